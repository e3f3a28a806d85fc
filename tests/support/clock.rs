//! Wrong wall clocks, and a clock that is always right.
//!
//! libfaketime, which is loaded before the C library, shifts the wall clock of a single process. The monotonic clock,
//! which timeouts use, is not changed. The same is true on a machine with a wrong or changed clock.

use nix::time::{ClockId, clock_gettime};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

/// The folders where Linux distributions install libfaketime.
const FOLDERS: [&str; 3] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];
const LIBRARY: &str = "faketime/libfaketime.so.1";

/// The wall clock of a process, wrong by some hours. It can be changed while the process runs.
#[derive(Debug)]
pub struct WrongClock {
    library: PathBuf,
    file: PathBuf,
    pid: Option<&'static str>,
}

impl WrongClock {
    /// A clock that is this many seconds ahead, or behind if negative. The setting is kept in a file in `folder`.
    ///
    /// # Panics
    /// libfaketime is not installed, or the file cannot be written.
    #[must_use]
    pub fn new(folder: &Path, name: &str, ahead_s: i64) -> Self {
        let library = find().expect("libfaketime: install the package `libfaketime` (`make test-setup` does)");
        let clock = Self { library, file: folder.join(format!("{name}.clock")), pid: None };
        clock.set(ahead_s);
        clock
    }

    /// The same clock, for a process that also gets the process id 1, like the first process of every container.
    #[must_use]
    pub fn as_process_1(self) -> Self {
        Self { pid: Some("1"), ..self }
    }

    /// Changes the clock.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn set(&self, ahead_s: i64) {
        let fresh = self.file.with_extension("new");
        fs::write(&fresh, format!("{ahead_s:+}s\n")).and_then(|()| fs::rename(&fresh, &self.file)).expect("a clock");
    }

    /// The environment for a process with this clock.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let mut variables = vec![
            ("LD_PRELOAD", self.library.clone().into()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.clone().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
            ("DONT_FAKE_MONOTONIC", "1".into()),
            ("NO_FAKE_STAT", "1".into()),
        ];
        variables.extend(self.pid.map(|pid| ("FAKETIME_FAKEPID", pid.into())));
        variables
    }
}

/// Removes the files that libfaketime leaves behind when a process is killed. Another process may get the same process
/// id.
pub fn forget_clock_of(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        // Most processes have right clocks and no such files.
        let _ = fs::remove_file(Path::new("/dev/shm").join(name));
    }
}

/// Searches each folder, and its subfolders named after the machine's architecture.
fn find() -> Option<PathBuf> {
    FOLDERS.iter().map(Path::new).find_map(|folder| {
        let within = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        std::iter::once(folder.to_owned()).chain(within).map(|folder| folder.join(LIBRARY)).find(|path| path.exists())
    })
}

/// Milliseconds on a clock that all processes of this machine share and that no process can change.
///
/// # Panics
/// The machine has no such clock.
pub(crate) fn monotonic_ms() -> i64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a monotonic clock");
    time.tv_sec() * 1_000 + time.tv_nsec() / 1_000_000
}
