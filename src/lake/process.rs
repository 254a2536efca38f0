//! Tells a process of this machine from every other one, past and present, as Linux does.

use serde::{Deserialize, Serialize};

/// A process beyond doubt: its id alone is given to others after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// `/proc/sys/kernel/random/boot_id`: one start of one machine.
    boot: String,
    /// `/proc/self/ns/pid`: in which numbering of processes the id counts; containers have their own.
    namespace: String,
    /// When it began, in clock ticks since the machine's start (proc(5), field 22 of `stat`).
    started_ticks: u64,
}

impl Identity {
    /// Whether the other's id means something here.
    pub fn is_of_same_machine(&self, other: &Self) -> bool {
        self.boot == other.boot && self.namespace == other.namespace
    }
}

/// The identity of a running process, or nothing where there is none or the system does not tell.
pub fn identity(pid: u32) -> Option<Identity> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in parentheses, and may hold anything.
    let after_name = stat.rsplit_once(')')?.1;
    let mut fields = after_name.split_ascii_whitespace();
    // A zombie has ended: it only waits to be asked how.
    if fields.next()? == "Z" {
        return None;
    }
    Some(Identity {
        boot: boot.trim().to_owned(),
        namespace: namespace.display().to_string(),
        started_ticks: fields.nth(18)?.parse().ok()?,
    })
}

/// This machine's name.
pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
