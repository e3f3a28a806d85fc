//! The counters of a watcher since its start.

use serde::Serialize;

/// Numbers of files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    /// Versions of files that were seen.
    pub(crate) seen: u64,
    /// Jobs that this watcher made.
    pub(crate) made: u64,
    /// Files that already had a job: of an earlier run, or of another watcher.
    pub(crate) known: u64,
    /// Files that this watcher moved to `completed/`.
    pub(crate) completed: u64,
    /// Files that this watcher moved to `failed/`.
    pub(crate) failed: u64,
    /// Files that another watcher moved.
    pub(crate) elsewhere: u64,
    /// Files that were changed after they were seen. The new version counts as seen again.
    pub(crate) changed: u64,
    /// Files that vanished before their job had ended.
    pub(crate) vanished: u64,
}

impl Counts {
    /// One line for people.
    pub(crate) fn as_text(&self) -> String {
        format!(
            "seen {}, made {}, known {}, completed {}, failed {}, elsewhere {}, changed {}, vanished {}",
            self.seen, self.made, self.known, self.completed, self.failed, self.elsewhere, self.changed, self.vanished
        )
    }
}
