//! Time that processes spent on CPUs, from `/proc`.
//!
//! `schedstat` of every thread counts nanoseconds on a CPU, work in the kernel included; `stat` counts user and system
//! time in ticks of 10 ms and keeps the time of threads that have ended. The first is what is reported, the second is
//! kept beside it: where the two disagree by more than ticks explain, threads ended while measuring.

use std::collections::HashMap;
use std::fs;

/// User and system ticks in a second, on every Linux that Rust supports.
const TICKS: u64 = 100;

/// Time on CPUs so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cpu {
    /// By `schedstat`, of threads that live.
    pub nanos: u64,
    /// By `utime` and `stime`, in ticks.
    pub user: u64,
    pub system: u64,
}

impl Cpu {
    /// What processes have used so far, all together.
    pub fn of(processes: &[u32]) -> Cpu {
        processes.iter().fold(Cpu::default(), |sum, process| {
            let (user, system) = ticks(*process).unwrap_or_default();
            Cpu { nanos: sum.nanos + on_cpu(*process), user: sum.user + user, system: sum.system + system }
        })
    }

    pub fn since(self, before: Cpu) -> Cpu {
        Cpu {
            nanos: self.nanos.saturating_sub(before.nanos),
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }

    /// Microseconds, by the finer clock if the kernel has it.
    pub fn micros(self) -> f64 {
        if self.nanos > 0 { self.nanos as f64 / 1000.0 } else { self.ticked() }
    }

    /// Microseconds by the ticks.
    pub fn ticked(self) -> f64 {
        ((self.user + self.system) * (1_000_000 / TICKS)) as f64
    }
}

fn on_cpu(process: u32) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return 0 };
    threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum()
}

fn ticks(process: u32) -> Option<(u64, u64)> {
    let fields = stat(process)?;
    Some((fields.get(11)?.parse().ok()?, fields.get(12)?.parse().ok()?))
}

/// The fields of `/proc/PID/stat` after the name, which is in parentheses and may hold anything.
fn stat(process: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, after) = text.rsplit_once(')')?;
    Some(after.split_whitespace().map(str::to_owned).collect())
}

/// A process and all that descend from it.
pub fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
        let parent = stat(process).and_then(|fields| fields.get(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(process);
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(process) = found.get(at) {
        found.extend(children.remove(process).unwrap_or_default());
        at += 1;
    }
    found
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_in_nanoseconds() {
        let own = [std::process::id()];
        let before = Cpu::of(&own);
        let start = std::time::Instant::now();
        let mut work = 0_u64;
        while Cpu::of(&own).since(before).micros() < 3_000.0 {
            (0..1000).for_each(|i| work = work.wrapping_mul(31).wrapping_add(i));
            assert!(start.elapsed().as_secs() < 30, "30 s of work count as less than 3 ms ({work})");
        }
    }

    #[test]
    fn a_tree_has_its_root_and_its_children() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let tree = tree(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(tree[0], std::process::id());
        assert!(tree.contains(&child.id()));
    }
}
