//! Where the server listens, and the certificate it shows there, as meant.

use super::value::{At, Listen, Text};
use super::written::{Origin, Problem, Said, Written};
use super::{access, public_address};
use switchboard::Config;
use switchboard::config::{Socket, Tls, Unfit};

/// Who may connect to a socket in the file system, where nobody says otherwise: the user whose server it is.
pub const SOCKET_MODE: &str = "600";
/// Longest path of such a socket, in bytes: the system has no room for more.
const PATH_MAX: usize = 107;

/// Takes over what was written.
pub fn apply(written: &Written, config: &mut Config, problems: &mut Vec<Problem>) {
    let mode = mode(written, problems);
    if let Some(Said { value: Listen(places), origin }) = &written.listen {
        config.listen = places.iter().filter_map(At::address).collect();
        for path in places.iter().filter_map(At::path) {
            if path.as_os_str().len() > PATH_MAX {
                let sentence = format!("the path of a socket has at most {PATH_MAX} bytes: {}", path.display());
                problems.push(Problem::at(origin, sentence));
            }
            config.sockets.push(Socket { path: path.to_owned(), mode });
        }
    }
    config.tls = tls(written, problems);
    if config.addresses().next().is_none() && config.sockets.is_empty() {
        let origin = written.listen.as_ref().map_or(Origin::Default, |said| said.origin.clone());
        problems.push(Problem::at(&origin, "`listen` is empty, so nobody could connect"));
    }
    check_doubles(written, problems);
    check_public(written, config, problems);
}

fn mode(written: &Written, problems: &mut Vec<Problem>) -> u32 {
    let read = |text: &str| u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    let said = written.socket_mode.as_ref();
    let mode = said.map_or(SOCKET_MODE, |said| &said.value.0);
    read(mode).unwrap_or_else(|| {
        if let Some(said) = said {
            let sentence = format!("`socket_mode`: `{mode}` is not what chmod takes, such as `660`");
            problems.push(Problem::at(&said.origin, sentence));
        }
        0
    })
}

fn tls(written: &Written, problems: &mut Vec<Problem>) -> Option<Tls> {
    let listen = written.tls_listen.as_ref().filter(|said| !said.value.0.is_empty());
    let file = |said: &Option<Said<Text>>| said.clone().filter(|said| !said.value.0.is_empty());
    let (certificate, key) = (file(&written.tls_certificate), file(&written.tls_key));
    let lacks = |origin: &Origin, key: &str, what: &str| Problem::at(origin, format!("TLS lacks `tls.{key}`: {what}"));
    match (listen, certificate, key) {
        (None, None, None) => None,
        (Some(listen), Some(certificate), Some(key)) => {
            if let Some(path) = listen.value.0.iter().find_map(At::path) {
                let sentence =
                    format!("`tls.listen`: no TLS is spoken on a socket in the file system, {}", path.display());
                problems.push(Problem::at(&listen.origin, sentence));
            }
            let tls = Tls {
                listen: listen.value.0.iter().filter_map(At::address).collect(),
                certificate: (&certificate.value.0).into(),
                key: (&key.value.0).into(),
            };
            problems.extend(unfit(&tls, &certificate.origin, &key.origin));
            Some(tls)
        }
        (listen, certificate, key) => {
            let origins = [listen.map(|said| &said.origin), certificate.as_ref().map(|said| &said.origin)];
            let origin = origins.into_iter().flatten().chain(key.as_ref().map(|said| &said.origin)).next();
            let origin = origin.unwrap_or(&Origin::Default);
            if listen.is_none() {
                problems.push(lacks(origin, "listen", "the addresses that it is spoken on"));
            }
            if certificate.is_none() {
                problems.push(lacks(origin, "certificate", "the file of the certificate, in PEM"));
            }
            if key.is_none() {
                problems.push(lacks(origin, "key", "the file of the certificate's key, in PEM"));
            }
            None
        }
    }
}

/// Says what TLS cannot be spoken with: of two files that are both no good, both.
fn unfit(tls: &Tls, certificate: &Origin, key: &Origin) -> Vec<Problem> {
    let Err(unfit) = tls.check() else { return Vec::new() };
    let problem = |unfit: Unfit| {
        let origin = if matches!(unfit, Unfit::Certificate(_)) { certificate } else { key };
        Problem::at(origin, format!("[tls]: {unfit}"))
    };
    let other = matches!(unfit, Unfit::Certificate(_)).then(|| tls.check_key().err()).flatten();
    [Some(unfit), other].into_iter().flatten().map(problem).collect()
}

/// What clients will complain of.
pub fn warnings(written: &Written, config: &Config) -> Vec<Problem> {
    let doubts = config.tls.as_ref().and_then(|tls| tls.check().ok()).unwrap_or_default();
    let origin = written.tls_certificate.as_ref().map_or(&Origin::Default, |said| &said.origin);
    doubts.into_iter().map(|doubt| Problem::at(origin, format!("[tls]: {doubt}"))).collect()
}

/// Nobody can listen at one address twice.
fn check_doubles(written: &Written, problems: &mut Vec<Problem>) {
    let mut seen: Vec<(&At, &str)> = Vec::new();
    for (key, said) in [("`listen`", &written.listen), ("`tls.listen`", &written.tls_listen)] {
        let Some(Said { value: Listen(places), origin }) = said else { continue };
        let stands_in =
            if *origin == Origin::Default { "`listen`, where nothing else is said (`listen = []`)," } else { key };
        for at in places.iter().filter(|at| at.address().is_none_or(|address| address.port() != 0)) {
            if let Some((_, first)) = seen.iter().find(|(other, _)| *other == at) {
                problems.push(Problem::at(origin, format!("{key}: {} stands in {first} already", at.show())));
            }
            seen.push((at, stands_in));
        }
    }
}

/// Open mode listens on loopback addresses alone, unless told.
fn check_public(written: &Written, config: &Config, problems: &mut Vec<Problem>) {
    if config.insecure || access::is_configured(written) {
        return;
    }
    for said in [&written.listen, &written.tls_listen].into_iter().flatten() {
        let addresses = said.value.0.iter().filter_map(At::address);
        for address in addresses.filter(|address| !address.ip().to_canonical().is_loopback()) {
            problems.push(Problem::at(&said.origin, public_address(address)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{file, meant};
    use switchboard_testkit::issuer::{Authority, Term};
    use switchboard_testkit::tls::Files;

    fn of(text: &str) -> Result<Config, Vec<String>> {
        let (written, problems) = file::read("s.toml", text);
        assert_eq!(problems, []);
        let meant = meant::resolve(&written.over(meant::defaults()));
        meant.map(|meant| meant.server).map_err(|problems| problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn sockets_stand_among_the_addresses() {
        let config = of("listen = [\"127.0.0.1:1\", \"unix:/run/a.sock\"]\nsocket_mode = \"660\"").unwrap();
        assert_eq!(config.listen, ["127.0.0.1:1".parse().unwrap()]);
        assert_eq!(config.sockets, [Socket { path: "/run/a.sock".into(), mode: 0o660 }]);
        let alone = of("listen = \"unix:a.sock\"").unwrap();
        assert_eq!((alone.listen.len(), alone.sockets[0].mode), (0, 0o600));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_where_it_stands() {
        let long = format!("listen = \"unix:/{}\"", "a".repeat(107));
        for (text, begins, holds) in [
            ("listen = []", "s.toml:1: `listen` is empty", ""),
            (&*long, "s.toml:1: the path of a socket", "107"),
            (
                "listen = [\"127.0.0.1:1\", \"127.0.0.1:1\"]",
                "s.toml:1: `listen`: 127.0.0.1:1 stands in `listen` already",
                "",
            ),
            ("socket_mode = \"999\"", "s.toml:1: `socket_mode`: `999`", "660"),
            ("socket_mode = \"4755\"", "s.toml:1: `socket_mode`", ""),
        ] {
            let problems = of(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(begins) && problems[0].contains(holds), "{problems:?}");
        }
        let text = "[tls]\nlisten = \"127.0.0.1:8000\"\ncertificate = \"/none/such.pem\"\nkey = \"/none/such.key\"";
        assert_eq!(
            of(text).unwrap_err(),
            [
                "s.toml:3: [tls]: /none/such.pem cannot be read: no such file or directory",
                "s.toml:4: [tls]: /none/such.key cannot be read: no such file or directory",
                "s.toml:2: `tls.listen`: 127.0.0.1:8000 stands in `listen`, where nothing else is said (`listen = []`), already",
            ]
        );
        assert!(of("listen = [\"127.0.0.1:0\", \"127.0.0.1:0\"]").is_ok(), "the system chooses two");
        let lacking = of("[tls]\nlisten = \"0.0.0.0:1\"").unwrap_err();
        let begins = ["s.toml:2: TLS lacks `tls.certificate`", "s.toml:2: TLS lacks `tls.key`", "s.toml:2: 0.0.0.0:1"];
        assert!(
            lacking.len() == 3 && lacking.iter().zip(begins).all(|(told, begins)| told.starts_with(begins)),
            "{lacking:?}"
        );
        let lacking = of("[tls]\nkey = \"a\"").unwrap_err();
        assert!(lacking.len() == 2 && lacking[0].starts_with("s.toml:2: TLS lacks `tls.listen`"), "{lacking:?}");
    }

    #[test]
    fn of_a_certificate_and_its_key_the_one_that_is_wrong_is_named_where_it_stands() {
        let authority = Authority::new("the tests");
        let (ours, others) = (Files::new(&authority), Files::new(&authority));
        let none = ours.key().with_file_name("none.pem");
        for (certificate, key, begins) in [
            (&none, &ours.key(), "s.toml:3: [tls]: "),
            (&ours.key(), &ours.key(), "s.toml:3: [tls]: "),
            (&ours.certificate(), &none, "s.toml:4: [tls]: "),
            (&ours.certificate(), &ours.certificate(), "s.toml:4: [tls]: "),
            (&ours.certificate(), &others.key(), "s.toml:4: [tls]: the key in "),
        ] {
            let text = format!("[tls]\nlisten = \"127.0.0.1:1\"\ncertificate = {certificate:?}\nkey = {key:?}");
            let problems = of(&text).unwrap_err();
            assert!(problems.len() == 1 && problems[0].starts_with(begins), "{text}: {problems:?}");
        }
        let (certificate, key) = (ours.certificate(), ours.key());
        let text = format!("[tls]\nlisten = \"127.0.0.1:1\"\ncertificate = {certificate:?}\nkey = {key:?}");
        assert!(of(&text).is_ok());
        ours.replace_for(&authority, Term::Past);
        let (written, _) = file::read("s.toml", &text);
        let warnings = meant::resolve(&written.over(meant::defaults())).unwrap().warnings;
        let told = warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert!(told.starts_with("s.toml:3: [tls]: ") && told.contains("expired on 2021-01-01"), "{told}");
    }
}
