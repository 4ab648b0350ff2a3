//! Keeps the CPUs that measure from halting.
//!
//! A halted CPU has to be woken by whoever sends it something. In a virtual machine that is several microseconds, on the
//! sender's account, each time the receiver has fallen asleep: how often it does says more about the pace of both than
//! about what is measured.

use crate::targets::process;
use std::process::{Child, Command, Stdio};

/// Ends with whoever started it, also where that was killed: an orphan's parent is another.
const BUSY: &str = r#"
while read -r _ _ _ parent _ < /proc/$$/stat && [ "$parent" = "$PPID" ]; do
    i=0; while [ $i -lt 99999 ]; do i=$((i+1)); done
done
"#;

/// Programs that do nothing and give way to everything, one on each CPU; until this is dropped.
#[derive(Debug)]
pub struct Awake(Vec<Child>);

impl Awake {
    pub fn on(cpus: &[usize]) -> Result<Awake, String> {
        let mut awake = Awake(Vec::new());
        for cpu in cpus {
            let mut command = Command::new("chrt");
            command.args(["--idle", "0", "sh", "-c", BUSY]);
            awake.0.push(process::spawn(&mut command, Some(*cpu), Stdio::null())?);
        }
        Ok(awake)
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // One that has ended has nothing left to be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
