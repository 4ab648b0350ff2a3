//! User memory of processes, from `/proc/PID/smaps`: the proportional set size, where a page that several processes
//! share counts a part for each.

use std::fs;

/// Bytes of user memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Memory {
    /// All of it.
    pub pss: u64,
    /// The part of it that no file stands behind.
    pub anonymous: u64,
    /// The part of that in the heap that `brk` grows.
    pub heap: u64,
}

impl Memory {
    /// What processes hold now, all together.
    pub fn of(processes: &[u32]) -> Memory {
        processes.iter().fold(Memory::default(), |sum, process| {
            let text = fs::read_to_string(format!("/proc/{process}/smaps")).unwrap_or_default();
            let one = read(&text);
            Memory { pss: sum.pss + one.pss, anonymous: sum.anonymous + one.anonymous, heap: sum.heap + one.heap }
        })
    }
}

fn read(smaps: &str) -> Memory {
    let mut memory = Memory::default();
    let mut in_heap = false;
    for line in smaps.lines() {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.contains('-') {
            // A mapping's own line begins with its range of addresses.
            in_heap = line.ends_with("[heap]");
            continue;
        }
        let bytes = || value.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap_or(0) * 1024;
        match name {
            "Pss" => {
                memory.pss += bytes();
                memory.heap += if in_heap { bytes() } else { 0 };
            }
            "Anonymous" => memory.anonymous += bytes(),
            _ => {}
        }
    }
    memory
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_are_summed_and_the_heap_is_told_apart() {
        let smaps = "55d0-55e0 r-xp 00000000 fe:00 12 /usr/bin/cat\nSize: 64 kB\nPss: 10 kB\nPss_Dirty: 3 kB\nAnonymous: 0 kB\n\
                     55f0-5600 rw-p 00000000 00:00 0 [heap]\nPss: 132 kB\nAnonymous: 132 kB\n\
                     7f00-7f10 rw-p 00000000 00:00 0\nPss: 8 kB\nAnonymous: 8 kB\nVmFlags: rd wr\n";
        assert_eq!(read(smaps), Memory { pss: 150 << 10, anonymous: 140 << 10, heap: 132 << 10 });
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory() {
        let own = Memory::of(&[std::process::id()]);
        assert!(own.pss > own.anonymous && own.anonymous > 0, "{own:?}");
    }
}
