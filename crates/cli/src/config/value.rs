//! The kinds of values a setting can have: how each is read from text, read from TOML, and written as TOML.

use crate::units;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::de::DeValue;

/// A value of a setting. Errors are sentences without a full stop; the caller says where.
pub trait Value: Sized {
    /// Whether it is a secret, which is not shown.
    const HIDDEN: bool = false;

    /// From a flag or an environment variable.
    fn from_text(text: &str) -> Result<Self, String>;

    /// From the file. A string there is read as a flag would be.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) => Self::from_text(text),
            other => Self::from_text(&scalar(other)?),
        }
    }

    /// As TOML; reading it gives the same value.
    fn to_toml(&self) -> String;
}

/// Numbers and booleans as text.
fn scalar(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(|number| number.to_string())
            .map_err(|_| format!("`{}` is too large", number.as_str())),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        DeValue::Boolean(value) => Ok(value.to_string()),
        other => Err(format!("expected one value here, not {}", kind(other))),
    }
}

/// What a TOML value is, with its article.
pub fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// A TOML string.
pub fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A place to listen at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum At {
    Address(SocketAddr),
    /// A socket in the file system.
    Path(PathBuf),
}

impl At {
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            At::Address(address) => Some(*address),
            At::Path(_) => None,
        }
    }

    pub fn path(&self) -> Option<&Path> {
        match self {
            At::Address(_) => None,
            At::Path(path) => Some(path),
        }
    }

    fn read(text: &str) -> Result<At, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err(format!("`{text}` has no path: write `unix:/run/switchboard.sock`")),
            Some(path) => Ok(At::Path(path.into())),
            None if text.starts_with('/') => Err(format!("`{text}` is a path: write `unix:{text}`")),
            None => address(text).map(At::Address),
        }
    }

    pub fn show(&self) -> String {
        match self {
            At::Address(address) => address.to_string(),
            At::Path(path) => format!("unix:{}", path.display()),
        }
    }
}

/// Places to listen at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen(pub Vec<At>);

impl Value for Listen {
    /// Several are separated by commas; `[]` is none, as in a file.
    fn from_text(text: &str) -> Result<Listen, String> {
        if text.trim() == "[]" {
            return Ok(Listen(Vec::new()));
        }
        text.split(',').map(|text| At::read(text.trim())).collect::<Result<_, _>>().map(Listen)
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Listen, String> {
        match value {
            DeValue::String(text) => Listen::from_text(text),
            DeValue::Array(items) => {
                let one = |item: &DeValue<'_>| {
                    item.as_str().ok_or_else(|| "expected addresses, each a string".to_owned()).and_then(At::read)
                };
                items.iter().map(|item| one(item.get_ref())).collect::<Result<_, _>>().map(Listen)
            }
            other => Err(format!("expected \"ADDR:PORT\" or an array of them, not {}", kind(other))),
        }
    }

    fn to_toml(&self) -> String {
        let places: Vec<String> = self.0.iter().map(|at| quoted(&at.show())).collect();
        match places.as_slice() {
            [one] => one.clone(),
            several => format!("[{}]", several.join(", ")),
        }
    }
}

/// Reads `ADDR:PORT`. Names are not looked up, but for `localhost`, which is 127.0.0.1.
fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if text.parse::<u16>().is_ok() {
        return Err(format!("`{text}` is a port without an address: write `127.0.0.1:{text}`"));
    }
    if let Ok(ip) = text.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        return Err(format!("`{text}` has no port: write `{}`", SocketAddr::new(ip, 8000)));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("`{text}` is not an address: write ADDR:PORT, such as `127.0.0.1:8000`"));
    };
    let Ok(port) = port.parse::<u16>() else {
        return Err(format!("`{port}` in `{text}` is not a port: ports are numbers from 0 to 65535"));
    };
    match host {
        "localhost" => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        "" | "*" => Err(format!(
            "`{text}` has no address: write `127.0.0.1:{port}` for this machine alone, `0.0.0.0:{port}` for all"
        )),
        host if host.contains(':') => Err(format!("`{text}`: an IPv6 address goes in brackets, as in `[::1]:{port}`")),
        host => Err(format!("`{host}` in `{text}` is not an IP address, and names are not looked up here")),
    }
}

impl Value for bool {
    fn from_text(text: &str) -> Result<bool, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(format!("`{text}` is neither true nor false")),
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Result<bool, String> {
        value.as_bool().ok_or_else(|| format!("expected true or false, not {}", kind(value)))
    }

    fn to_toml(&self) -> String {
        self.to_string()
    }
}

/// How many of something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count(pub usize);

impl Value for Count {
    fn from_text(text: &str) -> Result<Count, String> {
        units::count(text).map(Count)
    }

    fn to_toml(&self) -> String {
        self.0.to_string()
    }
}

/// A count, or `auto`.
impl Value for Option<Count> {
    fn from_text(text: &str) -> Result<Option<Count>, String> {
        if text.trim().eq_ignore_ascii_case("auto") {
            return Ok(None);
        }
        Count::from_text(text).map(Some).map_err(|why| format!("{why}, nor `auto`"))
    }

    fn to_toml(&self) -> String {
        self.map_or_else(|| quoted("auto"), |count| count.to_toml())
    }
}

/// So many bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size(pub usize);

impl Value for Size {
    fn from_text(text: &str) -> Result<Size, String> {
        units::size(text).map(Size)
    }

    fn to_toml(&self) -> String {
        // TOML's integers end at 2^63.
        quoted(&units::show_size(self.0))
    }
}

/// A stretch of time, to the millisecond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span(pub Duration);

impl Value for Span {
    fn from_text(text: &str) -> Result<Span, String> {
        units::duration(text).map(Span)
    }

    fn to_toml(&self) -> String {
        quoted(&units::show_duration(self.0))
    }
}

/// Some text; empty where there is none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text(pub String);

impl Value for Text {
    fn from_text(text: &str) -> Result<Text, String> {
        Ok(Text(text.trim().to_owned()))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

/// Several texts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Texts(pub Vec<String>);

impl Value for Texts {
    /// Separated by commas.
    fn from_text(text: &str) -> Result<Texts, String> {
        Ok(Texts(text.split(',').map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect()))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Texts, String> {
        let DeValue::Array(items) = value else {
            return match value {
                DeValue::String(text) => Texts::from_text(text),
                other => Err(format!("expected an array of strings, not {}", kind(other))),
            };
        };
        let one = |value: &DeValue<'_>| {
            value.as_str().map(str::to_owned).ok_or_else(|| format!("expected strings, not {}", kind(value)))
        };
        items.iter().map(|item| one(item.get_ref())).collect::<Result<_, _>>().map(Texts)
    }

    fn to_toml(&self) -> String {
        let texts: Vec<String> = self.0.iter().map(|text| quoted(text)).collect();
        format!("[{}]", texts.join(", "))
    }
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(pub String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

/// Several such texts.
#[derive(Clone, PartialEq, Eq)]
pub struct Hiddens(pub Vec<String>);

impl std::fmt::Debug for Hiddens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secrets]")
    }
}

impl Value for Hiddens {
    const HIDDEN: bool = true;

    fn from_text(text: &str) -> Result<Hiddens, String> {
        Texts::from_text(text).map(|texts| Hiddens(texts.0))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Hiddens, String> {
        match value {
            // One that holds a comma is one all the same.
            DeValue::String(text) => Ok(Hiddens(vec![text.to_string()])),
            other => Texts::from_toml(other).map(|texts| Hiddens(texts.0)),
        }
    }

    fn to_toml(&self) -> String {
        quoted("it is not shown")
    }
}

/// How the log is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Json,
}

impl Value for Format {
    fn from_text(text: &str) -> Result<Format, String> {
        match text.trim() {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(format!("`{text}` is not a format of the log: write `text` or `json`")),
        }
    }

    fn to_toml(&self) -> String {
        quoted(match self {
            Format::Text => "text",
            Format::Json => "json",
        })
    }
}

/// What is logged, in the words of tracing's filters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Level(pub String);

/// The plain levels, the quietest first.
pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Value for Level {
    fn from_text(text: &str) -> Result<Level, String> {
        let text = text.trim();
        // A lone word that is no level would be taken for the name of a part, and silence everything else.
        let known = |directive: &str| {
            let level = directive.rsplit('=').next().unwrap_or_default().trim();
            LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level))
        };
        let parses = tracing_subscriber::EnvFilter::try_new(text).is_ok();
        if text.is_empty() || !text.split(',').all(known) || !parses {
            return Err(format!(
                "`{text}` is not a level of the log: write {}, or by part, such as `info,switchboard=debug`",
                LEVELS.join(", ")
            ));
        }
        Ok(Level(text.to_owned()))
    }

    fn to_toml(&self) -> String {
        quoted(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_the_right_one_is_named() {
        assert_eq!(address("localhost:80"), Ok(SocketAddr::from(([127, 0, 0, 1], 80))));
        assert_eq!(Listen::from_text("127.0.0.1:1, [::1]:2").unwrap().0.len(), 2);
        for (text, hint) in [
            ("8000", "`127.0.0.1:8000`"),
            (":8000", "`127.0.0.1:8000`"),
            ("127.0.0.1", "`127.0.0.1:8000`"),
            ("::1", "`[::1]:8000`"),
            ("[::1]", "`[::1]:8000`"),
            ("fe80::zz:80", "`[::1]:80`"),
            ("127.0.0.1:http", "not a port"),
            ("127.0.0.1:99999", "not a port"),
            ("example.com:80", "not looked up"),
            ("", "write ADDR:PORT"),
        ] {
            assert!(address(text).unwrap_err().contains(hint), "{text}: {:?}", address(text));
        }
        assert_eq!(At::read("unix:/run/a.sock"), Ok(At::Path("/run/a.sock".into())));
        for (text, hint) in [("unix:", "no path"), ("/run/a.sock", "`unix:/run/a.sock`")] {
            assert!(At::read(text).unwrap_err().contains(hint), "{text}");
        }
    }

    #[test]
    fn levels_are_known_words() {
        for good in ["info", "DEBUG", "off", "info,switchboard=debug", "switchboard_hub=trace"] {
            assert!(Level::from_text(good).is_ok(), "{good}");
        }
        for bad in ["", "verbose", "switchboard", "info,switchboard", "switchboard=loud"] {
            assert!(Level::from_text(bad).is_err(), "{bad}");
        }
    }
}
