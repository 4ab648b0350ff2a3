//! A server in a process of its own.

use crate::figures::cpu::{self, Cpu};
use crate::figures::memory::Memory;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to listen.
const START: Duration = Duration::from_secs(20);

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Running {
    /// Where subscribers come.
    pub address: SocketAddr,
    /// Where it is spoken to in clear text: the same, unless subscribers come over TLS.
    pub plain: SocketAddr,
    child: Option<Child>,
    /// Kept open, so that the server can go on printing.
    _output: Option<ChildStdout>,
}

impl Running {
    /// Starts a program that prints where it listens, as `http://ADDRESS:PORT` in a line of its output.
    pub fn announced(command: Command, cpu: Option<usize>) -> Result<Running, String> {
        Running::after(command, cpu, |line| announced(line, "http://"))
    }

    /// The same, where subscribers come over TLS: it prints `https://ADDRESS:PORT` as well, behind the other.
    pub fn announced_secure(command: Command, cpu: Option<usize>) -> Result<Running, String> {
        let mut plain = None;
        let mut running = Running::after(command, cpu, |line| {
            plain = plain.or(announced(line, "http://"));
            announced(line, "https://")
        })?;
        running.plain = plain.unwrap_or(running.plain);
        Ok(running)
    }

    /// Starts a program, and waits until a line of its output tells where subscribers come.
    fn after(
        mut command: Command,
        cpu: Option<usize>,
        mut told: impl FnMut(&str) -> Option<SocketAddr>,
    ) -> Result<Running, String> {
        let mut child = spawn(&mut command, cpu, Stdio::piped())?;
        let Some(stdout) = child.stdout.take() else { return Err("the program has no output".into()) };
        let mut reader = BufReader::with_capacity(1 << 10, stdout);
        let mut text = String::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => {
                    let _ = child.wait();
                    return Err(format!("{command:?} ended before it listened: {text}"));
                }
                Ok(_) => text.push_str(&line),
            }
            if let Some(address) = told(&line) {
                return Ok(Running::at_address(address, Some(child), Some(reader.into_inner())));
            }
        }
    }

    fn at_address(address: SocketAddr, child: Option<Child>, output: Option<ChildStdout>) -> Running {
        Running { address, plain: address, child, _output: output }
    }

    /// Starts a program whose address is known, and waits until it accepts connections there.
    pub fn at(mut command: Command, cpu: Option<usize>, address: SocketAddr) -> Result<Running, String> {
        let mut child = spawn(&mut command, cpu, Stdio::null())?;
        let start = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("{command:?} ended with {status} before it listened"));
            }
            if start.elapsed() > START {
                let _ = child.kill();
                return Err(format!("{command:?} does not listen at {address}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Running::at_address(address, Some(child), None))
    }

    /// A server that somebody else runs: neither its time nor its memory can be seen.
    pub fn elsewhere(address: SocketAddr) -> Running {
        Running::at_address(address, None, None)
    }

    fn processes(&self) -> Vec<u32> {
        self.child.as_ref().map(|child| cpu::tree(child.id())).unwrap_or_default()
    }

    /// What the server and its processes have used of CPUs so far.
    pub fn cpu(&self) -> Cpu {
        Cpu::of(&self.processes())
    }

    /// What the server and its processes hold of memory now.
    pub fn memory(&self) -> Memory {
        Memory::of(&self.processes())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let processes = cpu::tree(child.id());
        for process in processes.into_iter().filter_map(|process| rustix::process::Pid::from_raw(process as i32)) {
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        let _ = child.wait();
    }
}

fn announced(line: &str, scheme: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once(scheme)?;
    let end = address.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(address.len());
    address[..end].parse().ok()
}

/// A child inherits the CPUs of the thread that starts it, so this thread moves there and back.
pub(crate) fn spawn(command: &mut Command, cpu: Option<usize>, output: Stdio) -> Result<Child, String> {
    let own = cpus();
    if let Some(cpu) = cpu {
        hold_to(&[cpu])?;
    }
    let child = command.stdin(Stdio::null()).stdout(output).spawn();
    if cpu.is_some() {
        hold_to(&own)?;
    }
    child.map_err(|error| format!("{command:?}: {error}"))
}

/// Holds this thread, and what it starts, to some CPUs.
#[cfg(target_os = "linux")]
pub fn hold_to(cpus: &[usize]) -> Result<(), String> {
    let mut set = rustix::thread::CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    rustix::thread::sched_setaffinity(None, &set).map_err(|error| format!("CPUs {cpus:?} cannot be held to: {error}"))
}

/// The CPUs this thread may use.
#[cfg(target_os = "linux")]
pub fn cpus() -> Vec<usize> {
    use rustix::thread::{CpuSet, sched_getaffinity};
    let set = sched_getaffinity(None).unwrap_or_default();
    (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect()
}

/// Other systems are not asked to hold a thread to a CPU.
#[cfg(not(target_os = "linux"))]
pub fn hold_to(_: &[usize]) -> Result<(), String> {
    Ok(())
}

/// None that this thread could be held to.
#[cfg(not(target_os = "linux"))]
pub fn cpus() -> Vec<usize> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_a_line() {
        let plain = |line| announced(line, "http://");
        assert_eq!(plain("listening on http://127.0.0.1:45163\n"), Some(([127, 0, 0, 1], 45163).into()));
        assert_eq!(plain("see http://127.0.0.1:8/x"), Some(([127, 0, 0, 1], 8).into()));
        assert_eq!(plain("listening on https://127.0.0.1:8\n"), None);
        assert_eq!(announced("listening on https://127.0.0.1:8\n", "https://"), Some(([127, 0, 0, 1], 8).into()));
        assert_eq!(plain("nothing"), None);
    }
}
