//! `switchboard serve`: runs the server until it is told to stop.

use super::greeting::{self, Places, Ways};
use crate::config::{self, meant::Meant, written};
use crate::failure::{Failure, note, plain};
use crate::{holder, log};
use clap::Args;
use config::value::Format;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use switchboard::{Running, StartError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use written::{Origin, Problem, SETTINGS, Written};

const MORE: &str = "\
Sizes are written 65536, 64KiB or 8MB; durations 500ms, 15s, 10m or 1h.

Every setting is also a key of the file and a variable of the environment: `heartbeat` and SWITCHBOARD_HEARTBEAT; \
`message` in [limits] and SWITCHBOARD_LIMITS_MESSAGE. Flags go before the environment, the environment before the \
file. --print-config lists them all, with what holds and why; what it prints is a file that --config reads.

SIGHUP has the configuration read again, and what it says of access taken over: keys, origins, rules, and what channels \
take; and the certificate, which is also read again when its files are seen to have changed. No connection is dropped, but \
for streams that are no longer allowed. All else takes a restart.

SIGTERM and Ctrl-C stop the server within --drain: every client is told and connects again elsewhere or later. A second \
one stops it at once. Exit codes: 0 stopped as told, 1 could not start, 2 wrong flags or configuration, 130 stopped at \
once by a second Ctrl-C, 143 by a second SIGTERM.

Examples:
  switchboard serve
  switchboard serve --listen 127.0.0.1:9000 --listen '[::1]:9000'
  switchboard serve --config switchboard.toml --check
  switchboard serve --print-config > switchboard.toml";

/// Run the server
#[derive(Debug, Default, Args)]
#[command(after_help = MORE)]
pub struct Arguments {
    /// Address to listen on, or unix:PATH; give it again for more [default: 127.0.0.1:8000]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Vec<String>,
    /// Read settings from a TOML file; none is read unless named
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Allow addresses that others reach, without authentication: on these, everyone who reaches the server, and every
    /// web page open in a browser that reaches it, may read, publish and delete. Where it listens on loopback addresses
    /// alone, the rules for Host and Origin stay in force
    #[arg(long)]
    insecure: bool,
    /// Threads that hold connections [default: one for each CPU]
    #[arg(long, value_name = "N")]
    shards: Option<String>,
    /// Connections held at most [default: the limit of open files, less 64]
    #[arg(long, value_name = "N")]
    connections: Option<String>,
    /// How long a stop may take [default: 10s]
    #[arg(long, value_name = "TIME")]
    drain: Option<String>,
    /// How often a quiet stream says that it lives [default: 15s]
    #[arg(long, value_name = "TIME")]
    heartbeat: Option<String>,
    /// Largest data of one event [default: 1MiB]
    #[arg(long, value_name = "SIZE")]
    message_limit: Option<String>,
    /// How the log is written: text, or json: a record a line, the start and its failure too [default: text]
    #[arg(long, value_name = "FORMAT")]
    log: Option<String>,
    /// What is logged: off, error, warn, info, debug or trace; or by part, such as `info,switchboard=debug` [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
    /// Check the configuration and exit: 0 if it is fine, with warnings if any, 2 with all that is wrong
    #[arg(long)]
    check: bool,
    /// Print the configuration that holds, with where each value was said, and exit
    #[arg(long, conflicts_with = "check")]
    print_config: bool,
}

impl Arguments {
    /// The flags as written, and what is wrong with them.
    fn written(&self) -> (Written, Vec<Problem>) {
        let listen = (!self.listen.is_empty()).then(|| self.listen.join(","));
        let insecure = self.insecure.then(|| "true".to_owned());
        let flags: [(&'static str, &str, &Option<String>); 9] = [
            ("--listen", "listen", &listen),
            ("--insecure", "insecure", &insecure),
            ("--shards", "shards", &self.shards),
            ("--connections", "connections", &self.connections),
            ("--drain", "drain", &self.drain),
            ("--heartbeat", "heartbeat", &self.heartbeat),
            ("--message-limit", "limits.message", &self.message_limit),
            ("--log", "log", &self.log),
            ("--log-level", "log_level", &self.log_level),
        ];
        let mut written = Written::default();
        let mut problems = Vec::new();
        for (flag, key, text) in flags {
            let setting = SETTINGS.iter().find(|setting| setting.key == key);
            let (Some(setting), Some(text)) = (setting, text) else { continue };
            let origin = Origin::Flag(flag);
            if let Err(why) = (setting.read_text)(&mut written, text, origin.clone()) {
                problems.push(Problem::at(&origin, why));
            }
        }
        (written, problems)
    }
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (written, meant) = config::read(arguments.written(), std::env::vars_os(), arguments.config.as_deref());
    // A check and what is printed are for whoever typed the command.
    let serves = !arguments.print_config && !arguments.check;
    let records = serves && written.log.as_ref().is_some_and(|said| said.value == Format::Json);
    let outcome =
        meant.map_err(|problems| Failure::Usage(list(&problems))).and_then(|meant| go_on(arguments, &written, meant));
    outcome.map_err(|failure| if records { failure.record() } else { failure })
}

/// Does what was asked for, now that the configuration is known to be fine.
fn go_on(arguments: &Arguments, written: &Written, meant: Meant) -> Result<(), Failure> {
    if arguments.print_config {
        return Ok(std::io::stdout().write_all(config::print(written).as_bytes())?);
    }
    if arguments.check {
        meant.warnings.iter().for_each(|warning| note(&format!("warning: {warning}")));
        return Ok(writeln!(std::io::stdout(), "configuration is fine")?);
    }
    serve(arguments, written, meant)
}

/// One problem in a sentence, several in a list.
fn list(problems: &[Problem]) -> String {
    match problems {
        [one] => one.to_string(),
        several => {
            several.iter().fold(format!("{} problems with the configuration:", several.len()), |mut out, problem| {
                let _ = write!(out, "\n  {problem}");
                out
            })
        }
    }
}

fn serve(arguments: &Arguments, written: &Written, meant: Meant) -> Result<(), Failure> {
    log::start(meant.log, &meant.level);
    for warning in &meant.warnings {
        tracing::warn!(target: "switchboard", "{warning}");
    }
    let open_to_all = meant.server.insecure && meant.server.auth.is_open();
    let ways = Ways::of(written, &meant.server.auth, arguments.config.as_deref());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Refused(explain(&StartError::Io(error), &[])))?;
    // Signals are listened for before anything is announced, so that whoever acts on the announcement is heard.
    let signals = runtime.block_on(async { Signals::listen() });
    let mut signals = signals.map_err(|error| Failure::Refused(explain(&StartError::Io(error), &[])))?;
    let secure = meant.server.tls.as_ref().map_or_else(Vec::new, |tls| tls.listen.clone());
    let running = switchboard::start(meant.server).map_err(|error| Failure::Refused(explain(&error, &secure)))?;
    greeting::announce(&Places::of(&running), &ways, open_to_all, meant.log);
    runtime.block_on(async {
        while let Told::Reload = signals.next().await {
            reload(arguments, written, &running);
        }
        tracing::info!("stopping: clients are told, a second signal stops at once");
        tokio::select! {
            () = drained(running) => Ok(()),
            second = signals.next_stop() => Err(Failure::Interrupted(second)),
        }
    })
}

/// Reads the configuration again, and takes over what it says of access. Nothing changes where anything is wrong with it.
fn reload(arguments: &Arguments, began_with: &Written, running: &Running) {
    let (written, meant) = config::read(arguments.written(), std::env::vars_os(), arguments.config.as_deref());
    let meant = match meant {
        Ok(meant) => meant.server,
        Err(problems) => {
            let why = list(&problems);
            return tracing::error!(target: "switchboard", "who may do what stays as it was, and so does the certificate: {why}");
        }
    };
    let differing = config::restart::needed(began_with, &written);
    if !differing.is_empty() {
        let differing = differing.join(", ");
        tracing::warn!(target: "switchboard", "what the configuration says of {differing} takes a restart: the server goes on as it began");
    }
    match running.reload(meant.auth) {
        Ok(()) => tracing::info!(target: "switchboard", "who may do what was read again"),
        Err(why) => tracing::error!(target: "switchboard", "who may do what stays as it was: {why}"),
    }
    let Some(tls) = meant.tls else { return };
    match running.reload_certificate(&tls) {
        Ok(()) => tracing::info!(target: "switchboard", "the certificate was read again"),
        Err(why) => tracing::error!(target: "switchboard", "the certificate stays as it was: {why}"),
    }
}

/// Drains on a thread of its own: it blocks, and a second signal must be heard meanwhile.
async fn drained(running: Running) {
    let (done, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        running.drain();
        // Nobody waits where a second signal came first.
        let _ = done.send(());
    });
    let _ = wait.await;
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

/// What a signal asks for.
enum Told {
    Stop,
    Reload,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }

    /// The number of the next signal that stops.
    async fn next_stop(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
        }
    }
}

/// Why the server did not start, and what to do about it.
/// `secure` are the addresses that TLS is spoken on.
fn explain(error: &StartError, secure: &[SocketAddr]) -> String {
    match error {
        StartError::Public(address) => config::public_address(*address),
        StartError::Listen(address, error) => explain_listen(*address, secure.contains(address), error),
        StartError::Socket(path, error) => explain_socket(path, error),
        StartError::Certificate(why) => format!("TLS cannot be spoken: {why}"),
        StartError::Site(_) => error.to_string(),
        StartError::Io(error) => format!("the server could not start: {}", plain(error)),
    }
}

fn explain_listen(address: SocketAddr, secure: bool, error: &std::io::Error) -> String {
    let (ip, port) = (address.ip(), address.port());
    let other = |port: u16| {
        let address = SocketAddr::new(ip, port);
        // Of TLS there is no flag.
        if secure {
            format!("SWITCHBOARD_TLS_LISTEN={address} switchboard serve")
        } else {
            format!("switchboard serve --listen {address}")
        }
    };
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            let who = match holder::of_port(port) {
                Some((process, name)) => format!("{name} listens there, as process {process}"),
                None => "another program listens there, perhaps another switchboard".to_owned(),
            };
            let elsewhere = other(port.checked_add(1).unwrap_or(8000));
            format!(
                "port {port} on {ip} is in use: {who}\n  \
                 to see more of it:       ss -ltnp 'sport = :{port}'\n  \
                 to listen elsewhere:     {elsewhere}\n  \
                 or on any free port:     {}",
                other(0)
            )
        }
        std::io::ErrorKind::PermissionDenied if port < 1024 => format!(
            "port {port} may not be listened on: ports below 1024 are for root, or for programs that were given \
             CAP_NET_BIND_SERVICE\n  \
             to listen elsewhere:     {}",
            other(8000),
        ),
        std::io::ErrorKind::AddrNotAvailable => {
            format!("{ip} is not an address of this machine\n  to see which it has:     ip -brief address")
        }
        _ => format!("{address} cannot be listened on: {}", plain(error)),
    }
}

fn explain_socket(path: &Path, error: &std::io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "{shown} is in use: somebody listens there, perhaps another switchboard\n  to see who:              ss -lxp 'src = {shown}'"
        ),
        std::io::ErrorKind::AlreadyExists => format!("{shown} is a file and no socket: it stays, and is in the way"),
        std::io::ErrorKind::NotFound => format!("{shown} is in a directory that does not exist"),
        _ => format!("{shown} cannot be listened on: {}", plain(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Only {
        #[command(flatten)]
        arguments: Arguments,
    }

    fn flags(words: &[&str]) -> (Written, Vec<Problem>) {
        Only::try_parse_from(["serve"].iter().chain(words)).unwrap().arguments.written()
    }

    #[test]
    fn flags_are_settings() {
        let (written, problems) = flags(&[
            "--listen",
            "127.0.0.1:1",
            "--listen",
            "[::1]:2",
            "--insecure",
            "--message-limit",
            "2 MiB",
            "--shards",
            "3",
        ]);
        assert_eq!(problems, []);
        assert_eq!(written.listen.unwrap().value.0.len(), 2);
        assert_eq!(written.limits_message.unwrap().value.0, 2 << 20);
        assert_eq!(written.insecure.unwrap().origin, Origin::Flag("--insecure"));
        assert_eq!(written.drain, None);
    }

    #[test]
    fn a_wrong_flag_is_named() {
        let (_, problems) = flags(&["--drain", "10", "--log", "xml"]);
        let list = list(&problems);
        assert!(list.starts_with("2 problems with the configuration:\n  --drain: `10` has no unit"), "{list}");
    }

    #[test]
    fn a_port_in_use_is_explained() {
        let in_use = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        let address = "127.0.0.1:8000".parse().unwrap();
        let error = StartError::Listen(address, in_use);
        let text = explain(&error, &[address]);
        assert!(text.contains("SWITCHBOARD_TLS_LISTEN=127.0.0.1:8001 switchboard serve\n"), "{text}");
        let text = explain(&error, &[]);
        for hint in ["port 8000", "ss -ltnp 'sport = :8000'", "--listen 127.0.0.1:8001", "--listen 127.0.0.1:0"] {
            assert!(text.contains(hint), "{hint}: {text}");
        }
        assert!(explain(&StartError::Public("0.0.0.0:80".parse().unwrap()), &[]).contains("--insecure"));
    }
}
