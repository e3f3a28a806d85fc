//! What a process costs.

use std::fs;

/// The CPU time of a process so far, from `/proc/<pid>/stat` (100 ticks per second on Linux).
///
/// # Panics
/// There is no such process.
#[must_use]
pub fn cpu_ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("reading stat");
    let after_name = stat.rsplit(')').next().expect("the fields after the name");
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime")
}
