//! Response heads, read strictly (RFC 9112), and whole responses.

use crate::Field;
use serde_json::Value;

/// The head of a response.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    /// The bytes, up to and including the empty line.
    pub raw: String,
}

impl Head {
    /// Reads a head that ends with an empty line.
    ///
    /// # Panics
    /// If it is anything that RFC 9112 does not let a server send.
    #[track_caller]
    pub fn parse(raw: &[u8]) -> Head {
        let text = String::from_utf8(raw.to_vec()).expect("a response head is ASCII");
        assert!(text.is_ascii(), "a response head is ASCII: {text:?}");
        let inside = text.strip_suffix("\r\n\r\n").expect("a response head ends with an empty line");
        let mut lines = inside.split("\r\n");
        let line = lines.next().unwrap_or_default();
        let rest = line.strip_prefix("HTTP/1.1 ").unwrap_or_else(|| panic!("a status line: {line:?}"));
        let (status, _reason) = rest.split_once(' ').unwrap_or_else(|| panic!("a space after the status: {line:?}"));
        assert_eq!(status.len(), 3, "{line:?}");
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("a field line: {line:?}"));
            let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
            assert!(!name.is_empty() && name.bytes().all(token), "a field name: {line:?}");
            assert!(!value.contains(['\r', '\n', '\0']), "a field value: {line:?}");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        });
        let head =
            Head { status: status.parse().expect("a status is a number"), fields: fields.collect(), raw: text.clone() };
        head.check();
        head
    }

    #[track_caller]
    fn check(&self) {
        for once in ["content-length", "transfer-encoding", "content-type", "etag", "location", "retry-after"] {
            assert!(self.all(once).len() <= 1, "{once} stands twice:\n{}", self.raw);
        }
        let coded = self.field("transfer-encoding").is_some();
        assert!(!coded || self.field("content-length").is_none(), "both lengths:\n{}", self.raw);
        if self.status < 200 || self.status == 204 {
            assert!(!coded && self.field("content-length").is_none(), "RFC 9110 section 8.6:\n{}", self.raw);
        }
        if self.status >= 200 {
            assert!(self.all("date").len() <= 1, "date stands twice:\n{}", self.raw);
        }
    }

    /// The field's value; where it stands several times, the first.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All values of the field.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// Whether a field that is a list holds this member, whatever its case.
    pub fn lists(&self, name: &str, member: &str) -> bool {
        self.all(name).iter().flat_map(|value| value.split(',')).any(|each| each.trim().eq_ignore_ascii_case(member))
    }

    /// The media type, in lower case and without parameters.
    pub fn media_type(&self) -> String {
        self.field("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    /// Whether the connection can serve another request after this response.
    pub fn keeps_alive(&self) -> bool {
        !self.lists("connection", "close")
    }
}

/// A response and all of its body.
#[derive(Clone, Debug)]
pub struct Response {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Response {
    pub fn status(&self) -> u16 {
        self.head.status
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.field(name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {self}"),
        }
    }

    /// The response itself, if it has this status.
    ///
    /// # Panics
    /// If it has another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Response {
        assert_eq!(self.status(), status, "{self}");
        self
    }

    /// Checks that this is a problem (RFC 9457) with this status, whose `code` is a row of the one table of errors
    /// with that status.
    ///
    /// # Panics
    /// If it is anything else.
    #[track_caller]
    pub fn expect_refusal(self, status: u16) -> Response {
        let code = self.clone().expect(status).json()["code"].as_str().unwrap_or_default().to_owned();
        let row = switchboard_wire::code::TABLE.iter().map(|(_, row)| row).find(|row| row.name == code);
        assert!(row.is_some_and(|row| row.http == status), "{self}");
        self.expect_problem(status, &code)
    }

    /// Checks that this is a problem (RFC 9457) with this status and this `code`.
    ///
    /// # Panics
    /// If it is anything else.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str) -> Response {
        assert_eq!(self.status(), status, "{self}");
        assert_eq!(self.head.media_type(), "application/problem+json", "{self}");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{self}");
        assert_eq!(problem["code"], code, "{self}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{self}");
        self
    }
}

impl std::fmt::Display for Response {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.text();
        write!(f, "{}{}", self.head.raw, text.get(..2000).unwrap_or(&text))
    }
}

/// Writes a request. `Host` is added unless a field of that name is given, `Content-Length` if there is a body and
/// neither length is given.
pub fn request(method: &str, target: &str, host: &str, fields: &[Field<'_>], body: Option<&[u8]>) -> Vec<u8> {
    let given = |name: &str| fields.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
    let mut out = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    if !given("host") {
        out.extend_from_slice(format!("Host: {host}\r\n").as_bytes());
    }
    for (name, value) in fields {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    if let Some(body) = body
        && !given("content-length")
        && !given("transfer-encoding")
    {
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.unwrap_or_default());
    out
}
