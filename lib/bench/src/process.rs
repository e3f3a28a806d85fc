//! Reads the kernel's data about processes from `/proc`. On a system without `/proc` the answers are `None`.

use std::fs;

/// The unit in which Linux reports CPU times: always 100 per second.
const TICKS_PER_S: f64 = 100.0;
/// A child that ends between two reads would be missed or counted twice: then all is read again.
const READS_MAX: usize = 50;

struct Stat {
    parent: i32,
    own_ticks: u64,
    reaped_ticks: u64,
}

/// CPU seconds of this process alone.
#[must_use]
pub fn cpu_s(pid: u32) -> Option<f64> {
    Some(stat(pid)?.own_ticks as f64 / TICKS_PER_S)
}

/// CPU seconds of the children of this process that have ended and were waited for, including their own children.
#[must_use]
pub fn reaped_cpu_s() -> Option<f64> {
    Some(stat(std::process::id())?.reaped_ticks as f64 / TICKS_PER_S)
}

/// CPU seconds of a server: of itself, of its ended children and of its live children.
#[must_use]
pub fn tree_cpu_s(root: u32) -> Option<f64> {
    let mut ticks = 0;
    for _ in 0..READS_MAX {
        let before = stat(root)?;
        let children = processes().filter_map(stat).filter(|child| i64::from(child.parent) == i64::from(root));
        ticks = before.own_ticks + before.reaped_ticks + children.map(|child| child.own_ticks).sum::<u64>();
        if stat(root)?.reaped_ticks == before.reaped_ticks {
            break;
        }
    }
    Some(ticks as f64 / TICKS_PER_S)
}

/// CPU seconds that this machine has been busy since it was started.
#[must_use]
pub fn machine_busy_s() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> = text.lines().next()?.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal. The fields that follow are already part of user.
    let idle = fields.get(3)? + fields.get(4)?;
    Some((fields.iter().take(8).sum::<u64>() - idle) as f64 / TICKS_PER_S)
}

/// The peak resident memory of a process, in bytes.
#[must_use]
pub fn memory_peak_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmHWM:")
}

/// The current resident memory of a process, in bytes.
#[must_use]
pub fn memory_now_bytes(pid: u32) -> Option<u64> {
    status_bytes(pid, "VmRSS:")
}

/// The parent of a process, if the parent has this name.
pub(crate) fn parent_of(pid: u32, name: &str) -> Option<u32> {
    let told = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    if told.trim() == name { stat(pid)?.parent.try_into().ok() } else { None }
}

fn status_bytes(pid: u32, key: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn stat(pid: u32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name is in parentheses and may hold any character; the state is the first field after the last parenthesis.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |nth: usize| fields.get(nth)?.parse::<u64>().ok();
    Some(Stat {
        parent: fields.get(1)?.parse().ok()?,
        own_ticks: ticks(11)? + ticks(12)?,
        reaped_ticks: ticks(13)? + ticks(14)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_seen() {
        let us = std::process::id();
        let before = tree_cpu_s(us).expect("our own times");
        let mut sum = 0_u64;
        while cpu_s(us).expect("our own times") < before + 0.05 {
            sum = (0..100_000).fold(sum, |sum, n| sum ^ n);
        }
        assert!(machine_busy_s().expect("the machine's times") > 0.0, "{sum}");
        // These two cannot be compared: they are read one after the other, and the kernel counts in steps.
        assert!(memory_peak_bytes(us) > Some(1 << 16) && memory_now_bytes(us) > Some(1 << 16));
        assert_eq!((cpu_s(0), tree_cpu_s(0), memory_peak_bytes(0)), (None, None, None));
    }
}
