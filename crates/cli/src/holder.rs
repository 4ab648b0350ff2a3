//! Who listens on a port, as far as this system tells (proc(5)).

use std::fs;
use std::path::Path;

/// The state of a socket that listens, in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// The program that listens on a port of this machine: its process number and name. `None` where the system does not
/// say, as for a process of somebody else.
pub fn of_port(port: u16) -> Option<(u32, String)> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    if sockets.is_empty() {
        return None;
    }
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))).find_map(
        |(process, path): (u32, _)| {
            holds(&path, &sockets).then(|| {
                let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
                (process, name.trim().to_owned())
            })
        },
    )
}

fn holds(process: &Path, sockets: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    let mut targets = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str()))
}

/// The inodes of the sockets that listen on a port.
fn listening(table: &str, port: u16) -> Vec<String> {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
        let (_, found) = local.rsplit_once(':')?;
        let is_it = *state == LISTEN && u16::from_str_radix(found, 16) == Ok(port);
        is_it.then(|| (*inode).to_owned())
    };
    table.lines().skip(1).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
                     0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 x\n   \
                     1: 0100007F:1F40 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 x\n   \
                     2: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 x\n\
                     garbage\n";
        assert_eq!(listening(table, 8000), ["4711"]);
        assert_eq!(listening(table, 9), Vec::<String>::new());
        assert_eq!(listening("", 8000), Vec::<String>::new());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_very_process_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (process, name) = of_port(listener.local_addr().unwrap().port()).unwrap();
        assert_eq!(process, std::process::id());
        assert!(!name.is_empty());
    }
}
