//! The operating system's numbers for this process: memory, processor time, open files, and its start. Read from `/proc`, so
//! there are no such metrics on systems without it.

use crate::exposition::{counter_of, gauge};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{fmt, fs};

/// Ticks of the processor times in `/proc/self/stat`, on every Linux of today.
const TICKS_PER_S: f64 = 100.0;
/// After the name of the program: its processor time in user mode, in the kernel, and its start, counted from the state.
const USER: usize = 11;
const KERNEL: usize = 12;
const START: usize = 19;

/// The metrics of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process;

/// The values of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Stat {
    cpu_s: f64,
    start_since_boot_s: f64,
}

impl Stat {
    /// The name of the program may hold spaces and brackets, so the values are counted after the last bracket.
    fn read(text: &str) -> Option<Self> {
        let values: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = |nth: usize| values.get(nth)?.parse::<u32>().ok().map(f64::from);
        Some(Self {
            cpu_s: (ticks(USER)? + ticks(KERNEL)?) / TICKS_PER_S,
            start_since_boot_s: values.get(START)?.parse::<f64>().ok()? / TICKS_PER_S,
        })
    }
}

/// The number of a line such as `VmRSS:     1234 kB`.
fn number(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().find_map(|word| word.parse().ok())
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let encoder = &mut encoder;
        if let Some(kib) = fs::read_to_string("/proc/self/status").ok().and_then(|text| number(&text, "VmRSS:")) {
            gauge(encoder, "leasehold_process_resident_bytes", "Memory of this process", kib * 1024)?;
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            gauge(
                encoder,
                "leasehold_process_open_files",
                "Open files and sockets of this process",
                files.count() as u64,
            )?;
        }
        let limits = fs::read_to_string("/proc/self/limits").ok();
        if let Some(most) = limits.and_then(|text| number(&text, "Max open files")) {
            gauge(encoder, "leasehold_process_open_files_max", "The most files that this process may open", most)?;
        }
        let stat = fs::read_to_string("/proc/self/stat").ok().and_then(|text| Stat::read(&text));
        let boot = fs::read_to_string("/proc/stat").ok().and_then(|text| number(&text, "btime "));
        if let Some(stat) = &stat {
            counter_of(encoder, "leasehold_process_cpu_seconds", "Processor time of this process", stat.cpu_s)?;
        }
        if let (Some(stat), Some(boot)) = (stat, boot) {
            let start = boot + stat.start_since_boot_s as u64;
            gauge(encoder, "leasehold_process_start_time_seconds", "When this process started, in Unix time", start)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_program_may_hold_anything() {
        let text = "71 (a) R (b) S 1 71 71 0 -1 4194560 2000 0 0 0 250 150 0 0 20 0 4 0 123400 1000 500";
        assert_eq!(Stat::read(text), Some(Stat { cpu_s: 4.0, start_since_boot_s: 1234.0 }));
        assert_eq!(Stat::read("71 (a) S 1"), None);
    }

    #[test]
    fn numbers_are_found_by_the_beginning_of_their_line() {
        let status = "VmPeak:\t  9 kB\nVmRSS:\t  1234 kB\n";
        assert_eq!((number(status, "VmRSS:"), number(status, "VmSwap:")), (Some(1234), None));
        let limits = "Max open files            1024                 4096                 files\n";
        assert_eq!(number(limits, "Max open files"), Some(1024));
    }
}
