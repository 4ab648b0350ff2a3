//! What goes with a page: which files a client is told of, or sent, before it asks, and how it says that it has them.
//!
//! Nothing in here touches a file or a socket. A **digest** is what a client has, as it says itself in a cookie: three
//! bytes of a hash for each version of a file. It is a hint and nothing hangs on it. Where it says too much, the client
//! asks for the file; where it says too little, it is told of it once more.

use super::open::Found;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, COOKIE, HeaderName, LINK, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};
use std::time::UNIX_EPOCH;

/// The cookie that holds the digest.
pub const NAME: &str = "switchboard-site";
/// Most files of one page.
pub const FILES_MAX: usize = 32;
/// Most versions of files that a digest tells of. Beyond it, those that were told first are forgotten.
const MARKS_MAX: usize = 64;
/// How long a client is taken to have what it was given, in seconds: 30 days.
const MAX_AGE: u32 = 30 * 24 * 60 * 60;

/// Some bytes of a hash of a version of a file. That two are alike by chance among those of a full digest happens for one
/// version in a quarter of a million.
type Mark = [u8; 3];

/// What a file is to the page that it goes with (the Fetch standard calls it a destination).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Style,
    Script,
    Module,
    Font,
    Image,
    Other,
}

impl Kind {
    /// By the extension of a path.
    pub fn of(path: &str) -> Kind {
        let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, end)| end);
        match extension.to_ascii_lowercase().as_str() {
            "css" => Kind::Style,
            "js" => Kind::Script,
            "mjs" => Kind::Module,
            "woff2" | "woff" | "ttf" | "otf" => Kind::Font,
            "avif" | "gif" | "ico" | "jpeg" | "jpg" | "png" | "svg" | "webp" => Kind::Image,
            _ => Kind::Other,
        }
    }

    /// Parameters of `Link` (the HTML standard, link types `preload` and `modulepreload`). What a page asks for without
    /// credentials has to be preloaded without them, else it is fetched twice.
    fn parameters(self) -> &'static str {
        match self {
            Kind::Style => "rel=preload; as=style",
            Kind::Script => "rel=preload; as=script",
            Kind::Module => "rel=modulepreload",
            Kind::Font => "rel=preload; as=font; crossorigin",
            Kind::Image => "rel=preload; as=image",
            Kind::Other => "rel=preload; as=fetch; crossorigin",
        }
    }
}

/// A file that goes with a page, in the version that is there now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PushedFile {
    /// As a request names it.
    pub path: String,
    pub kind: Kind,
    mark: Mark,
}

impl PushedFile {
    /// `found`: what the file is at present. Its length and its time of modification are what its entity tag is made of.
    pub(crate) fn new(path: String, found: Found) -> PushedFile {
        let modified = found.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let hash = Sha256::new()
            .chain_update(path.as_bytes())
            .chain_update([0])
            .chain_update(found.length.to_le_bytes())
            .chain_update(modified.as_nanos().to_le_bytes())
            .finalize();
        PushedFile { kind: Kind::of(&path), path, mark: [hash[0], hash[1], hash[2]] }
    }

    /// The value of `Link` that tells of it (RFC 8288).
    pub fn link(&self) -> Option<HeaderValue> {
        HeaderValue::try_from(format!("<{}>; {}", self.path, self.kind.parameters())).ok()
    }
}

/// What a client says that it has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Digest(Vec<Mark>);

impl Digest {
    /// Reads the cookie among those of a request. One that cannot be read says nothing.
    pub fn of(headers: &HeaderMap) -> Digest {
        let fields = headers.get_all(COOKIE).iter().filter_map(|field| field.to_str().ok());
        let mut pairs = fields.flat_map(|field| field.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let value = pairs.find(|(name, _)| *name == NAME).map_or("", |(_, value)| value);
        let bytes = match value.len() <= MARKS_MAX * 4 {
            true => URL_SAFE_NO_PAD.decode(value).unwrap_or_default(),
            false => Vec::new(),
        };
        Digest(bytes.chunks_exact(3).map(|mark| [mark[0], mark[1], mark[2]]).collect())
    }

    /// Of a page's files, those that the client does not say that it has.
    pub fn lacks<'a>(&self, page: &'a [PushedFile]) -> Vec<&'a PushedFile> {
        page.iter().filter(|file| !self.0.contains(&file.mark)).collect()
    }

    /// What the client has once it has the page.
    #[must_use]
    pub fn with(self, page: &[PushedFile]) -> Digest {
        let mut marks: Vec<Mark> = page.iter().map(|file| file.mark).collect();
        marks.extend(self.0.into_iter().filter(|mark| !page.iter().any(|file| file.mark == *mark)));
        marks.truncate(MARKS_MAX);
        Digest(marks)
    }

    /// The value of `Set-Cookie` with which the client keeps the digest for paths below `prefix`. No script needs it, and
    /// it comes along where somebody follows a link to the site.
    pub fn set_cookie(&self, prefix: &str, secure: bool) -> Option<HeaderValue> {
        let value = URL_SAFE_NO_PAD.encode(self.0.as_flattened());
        let secure = if secure { "; Secure" } else { "" };
        let field = format!("{NAME}={value}; Path={prefix}; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::try_from(field).ok()
    }
}

/// What is due with a page: the files that the client lacks, and the digest of what it has then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Due {
    /// Never empty.
    pub files: Vec<PushedFile>,
    digest: Digest,
    prefix: String,
}

impl Due {
    /// `None`, where the client has all that goes with the page.
    pub(crate) fn of(page: &[PushedFile], digest: Digest, prefix: &str) -> Option<Due> {
        let files: Vec<PushedFile> = digest.lacks(page).into_iter().cloned().collect();
        (!files.is_empty()).then(|| Due { files, digest: digest.with(page), prefix: prefix.to_owned() })
    }

    /// The fields of `103 Early Hints` (RFC 8297), over any version of HTTP.
    pub fn hints(&self) -> HeaderMap {
        let mut fields = HeaderMap::new();
        self.put(LINK, &mut fields);
        fields
    }

    /// Adds to the answer what has to be said with it: the digest, and with a page the links, for those who were not told
    /// of them before. `secure`: the client is to keep the digest for TLS alone.
    pub fn dress(&self, status: StatusCode, secure: bool, headers: &mut HeaderMap) {
        match status {
            StatusCode::OK => self.put(LINK, headers),
            StatusCode::NOT_MODIFIED => {}
            _ => return,
        }
        if let Some(cookie) = self.digest.set_cookie(&self.prefix, secure) {
            headers.append(SET_COOKIE, cookie);
            keep_private(headers);
        }
    }

    fn put(&self, name: HeaderName, headers: &mut HeaderMap) {
        for link in self.files.iter().filter_map(PushedFile::link) {
            headers.append(name.clone(), link);
        }
    }
}

/// What is set for one client is kept for nobody else (RFC 9111 section 7.3).
fn keep_private(headers: &mut HeaderMap) {
    let said = headers.get(CACHE_CONTROL).and_then(|control| control.to_str().ok()).unwrap_or_default();
    let parts = || said.split(',').map(str::trim);
    if parts().any(|part| matches!(part, "private" | "no-store")) {
        return;
    }
    let rest = parts().filter(|part| !matches!(*part, "" | "public"));
    let private: Vec<&str> = std::iter::once("private").chain(rest).collect();
    if let Ok(control) = HeaderValue::try_from(private.join(", ")) {
        headers.insert(CACHE_CONTROL, control);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn file(path: &str, length: u64) -> PushedFile {
        let modified = UNIX_EPOCH + Duration::from_secs(1);
        PushedFile::new(path.to_owned(), Found { is_directory: false, length, modified })
    }

    /// The cookie that a browser sends back.
    fn sent_back(due: &Due) -> HeaderMap {
        let mut headers = HeaderMap::new();
        due.dress(StatusCode::OK, true, &mut headers);
        let cookie = headers[SET_COOKIE].to_str().unwrap().to_owned();
        let (pair, attributes) = cookie.split_once(';').unwrap();
        assert_eq!(attributes, " Path=/a/; Max-Age=2592000; HttpOnly; SameSite=Lax; Secure");
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("x=1"));
        headers.append(COOKIE, format!("theme=dark; {pair}; y=2").parse().unwrap());
        headers
    }

    #[test]
    fn what_a_client_has_is_not_due_again_until_it_changes() {
        let page = [file("/a/x.css", 1), file("/a/x.js", 2)];
        let first = Due::of(&page, Digest::of(&HeaderMap::new()), "/a/").unwrap();
        assert_eq!(first.files, page);
        let cookie = sent_back(&first);
        assert_eq!(Due::of(&page, Digest::of(&cookie), "/a/"), None);
        // A file that changed is due, alone; so is one that only another page has.
        let changed = [page[0].clone(), file("/a/x.js", 3)];
        let second = Due::of(&changed, Digest::of(&cookie), "/a/").unwrap();
        assert_eq!(second.files, changed[1..]);
        let other = [file("/a/y.css", 4), page[0].clone()];
        let third = Due::of(&other, Digest::of(&sent_back(&second)), "/a/").unwrap();
        assert_eq!(third.files, other[..1]);
        let all = sent_back(&third);
        for page in [&changed[..], &other] {
            assert_eq!(Due::of(page, Digest::of(&all), "/a/"), None);
        }
    }

    #[test]
    fn a_digest_stays_small_and_forgets_what_was_told_first() {
        let mut digest = Digest::default();
        let page = |number: u64| [file(&format!("/{number}.css"), number)];
        for number in 0..100 {
            digest = digest.with(&page(number));
        }
        assert_eq!(digest.0.len(), MARKS_MAX);
        assert!(digest.lacks(&page(99)).is_empty() && digest.lacks(&page(36)).is_empty());
        assert_eq!(digest.lacks(&page(35)).len(), 1);
        let cookie = digest.set_cookie("/", false).unwrap();
        assert!(cookie.len() <= 256 + 100 && !cookie.to_str().unwrap().contains("Secure"), "{cookie:?}");
    }

    #[test]
    fn a_cookie_that_cannot_be_read_says_nothing() {
        let long = "A".repeat(4 * MARKS_MAX + 4);
        for value in ["", "!!!", "AAA=", "é", "AAAAA", &long] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, HeaderValue::from_bytes(format!("{NAME}={value}").as_bytes()).unwrap());
            assert_eq!(Digest::of(&headers), Digest::default(), "{value}");
        }
    }

    #[test]
    fn links_say_what_a_browser_has_to_know() {
        let link = |path: &str| file(path, 1).link().unwrap().to_str().unwrap().to_owned();
        assert_eq!(link("/a/style.css"), "</a/style.css>; rel=preload; as=style");
        assert_eq!(link("/app.js"), "</app.js>; rel=preload; as=script");
        assert_eq!(link("/app.mjs"), "</app.mjs>; rel=modulepreload");
        assert_eq!(link("/f.WOFF2"), "</f.WOFF2>; rel=preload; as=font; crossorigin");
        assert_eq!(link("/i.svg"), "</i.svg>; rel=preload; as=image");
        assert_eq!(link("/x.d/data"), "</x.d/data>; rel=preload; as=fetch; crossorigin");
    }
}
