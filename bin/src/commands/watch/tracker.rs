//! The state of each file in the folder. Knows no file system, no server and no clock: the caller passes the time.
//!
//! ```text
//! settling ──steady──▶ ready ──enqueued──▶ waiting ──job ended──▶ ended ──moved──▶ forgotten
//!     ▲                                                                                │
//!     └──────────────────────── another version: from any state ◀──────────────────────┘
//! ```

use super::{
    counts::Counts,
    file::{Identity, Version},
    folder::Shelf,
};
use leasehold::{JobId, State};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::{OsStr, OsString},
    ops::Bound,
    time::Duration,
};
use tokio::time::Instant;

/// What happens to a file now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The file may still be written. It has been the same since then.
    Settling(Instant),
    /// The file is steady and has no job yet.
    Ready,
    /// The job is live.
    Waiting(JobId),
    /// The job has ended. The file must be moved.
    Ended(Shelf),
}

#[derive(Clone, Copy, Debug)]
struct File {
    version: Version,
    stage: Stage,
    /// The identity when the job was made; `None` before that.
    identity: Option<Identity>,
    /// The job with the usual id belongs to another file, which had the same version. This file needs another id.
    is_other: bool,
}

impl File {
    fn settling(version: Version, since: Instant) -> Self {
        Self { version, stage: Stage::Settling(since), identity: None, is_other: false }
    }
}

/// A file that has no job yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) name: OsString,
    pub(crate) version: Version,
    /// There if the file needs another id than the usual one: see [`Version::job_id`].
    pub(crate) other: Option<Identity>,
}

/// A file whose job has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToMove {
    pub(crate) name: OsString,
    pub(crate) version: Version,
    /// The inode number that the file had when its job was made, if it was known.
    pub(crate) number: Option<u64>,
    pub(crate) shelf: Shelf,
}

/// All files that have been seen and are not moved yet.
#[derive(Debug, Default)]
pub(crate) struct Tracker {
    files: HashMap<OsString, File>,
    /// The names of the files whose jobs are live. One call asks for a page of them.
    waiting: BTreeMap<JobId, OsString>,
    /// The last id of the page that was asked for before.
    asked: Option<JobId>,
    pub(crate) counts: Counts,
}

impl Tracker {
    /// Notes the current version of a file; `None` if it no longer exists. `is_shelved` says whether another watcher
    /// has moved this version. Returns whether the file is new or changed.
    pub(crate) fn note(
        &mut self,
        name: &OsStr,
        now: Option<Version>,
        time: Instant,
        is_shelved: impl FnOnce(Version) -> bool,
    ) -> bool {
        let before = self.files.get(name).copied();
        match (before, now) {
            (None, None) => false,
            (Some(file), Some(version)) if file.version == version => false,
            (before, Some(version)) => {
                if let Some(file) = before {
                    self.forget(name, file);
                    self.counts.changed += u64::from(!matches!(file.stage, Stage::Settling(_)));
                }
                // A file that is being written is seen once.
                self.counts.seen += u64::from(!before.is_some_and(|file| matches!(file.stage, Stage::Settling(_))));
                self.files.insert(name.to_owned(), File::settling(version, time));
                true
            }
            (Some(file), None) => {
                self.forget(name, file);
                if is_shelved(file.version) {
                    self.counts.elsewhere += 1;
                } else {
                    self.counts.vanished += 1;
                }
                true
            }
        }
    }

    /// Notes that another file of the same version has come in place of the file.
    pub(crate) fn replaced(&mut self, name: &OsStr, version: Version, time: Instant) {
        if let Some(file) = self.files.get(name).copied() {
            self.forget(name, file);
            self.counts.changed += 1;
        }
        self.counts.seen += 1;
        self.files.insert(name.to_owned(), File::settling(version, time));
    }

    /// The names that a scan did not find.
    pub(crate) fn missing_in(&self, found: &HashSet<&OsStr>) -> Vec<OsString> {
        self.files.keys().filter(|name| !found.contains(name.as_os_str())).cloned().collect()
    }

    fn forget(&mut self, name: &OsStr, file: File) {
        if let Stage::Waiting(id) = file.stage {
            self.waiting.remove(&id);
        }
        self.files.remove(name);
    }

    /// The files that have not changed for `settle`. The caller looks at each again before it calls [`Self::settled`].
    pub(crate) fn settling_before(&self, time: Instant, settle: Duration) -> Vec<OsString> {
        let is_due = |file: &File| matches!(file.stage, Stage::Settling(since) if since + settle <= time);
        self.files.iter().filter(|(_, file)| is_due(file)).map(|(name, _)| name.clone()).collect()
    }

    /// When the next file has not changed for `settle`.
    pub(crate) fn next_settled(&self, settle: Duration) -> Option<Instant> {
        let since = |file: &File| match file.stage {
            Stage::Settling(since) => Some(since + settle),
            _ => None,
        };
        self.files.values().filter_map(since).min()
    }

    /// Notes that the file has settled.
    pub(crate) fn settled(&mut self, name: &OsStr) {
        if let Some(file) = self.files.get_mut(name)
            && matches!(file.stage, Stage::Settling(_))
        {
            file.stage = Stage::Ready;
        }
    }

    /// Up to `limit` files that have no job yet, the oldest first.
    pub(crate) fn ready(&self, limit: usize) -> Vec<Ready> {
        let ready = self.files.iter().filter(|(_, file)| file.stage == Stage::Ready);
        let mut ready: Vec<_> = ready.map(|(name, file)| (file.version, name, file)).collect();
        ready.sort_unstable_by_key(|(version, name, _)| (*version, *name));
        ready.truncate(limit);
        let told = |(version, name, file): (Version, &OsString, &File)| Ready {
            name: name.clone(),
            version,
            other: file.identity.filter(|_| file.is_other),
        };
        ready.into_iter().map(told).collect()
    }

    /// Notes that the job with the usual id belongs to another file. The next job of this file gets another id.
    pub(crate) fn is_other(&mut self, name: &OsStr, identity: Identity) {
        if let Some(file) = self.files.get_mut(name) {
            file.identity = Some(identity);
            file.is_other = true;
        }
    }

    /// Notes the job of a file, and the state of the job.
    pub(crate) fn enqueued(
        &mut self,
        name: &OsStr,
        identity: Option<Identity>,
        id: JobId,
        inserted: bool,
        state: State,
    ) {
        if inserted {
            self.counts.made += 1;
        } else {
            self.counts.known += 1;
        }
        if let Some(file) = self.files.get_mut(name) {
            file.stage = Stage::Waiting(id);
            file.identity = identity;
            self.waiting.insert(id, name.to_owned());
        }
        self.ended(id, state);
    }

    /// Whether a job is live.
    pub(crate) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next page of live jobs, and whether the page after it begins again at the first job.
    pub(crate) fn page(&mut self, limit: usize) -> (Vec<JobId>, bool) {
        let from = self.asked.map_or(Bound::Unbounded, Bound::Excluded);
        let page: Vec<JobId> = self.waiting.range((from, Bound::Unbounded)).take(limit).map(|(id, _)| *id).collect();
        let is_last = page.len() < limit || self.waiting.last_key_value().map(|(id, _)| id) == page.last();
        self.asked = if is_last { None } else { page.last().copied() };
        (page, is_last)
    }

    /// Notes the state of a job. Only an end changes anything.
    pub(crate) fn ended(&mut self, id: JobId, state: State) {
        let shelf = match state {
            State::Succeeded => Shelf::Completed,
            State::Dead | State::Cancelled => Shelf::Failed,
            _ => return,
        };
        if let Some(name) = self.waiting.remove(&id)
            && let Some(file) = self.files.get_mut(&name)
        {
            file.stage = Stage::Ended(shelf);
        }
    }

    /// The files to be moved.
    pub(crate) fn to_move(&self) -> Vec<ToMove> {
        let ended = |(name, file): (&OsString, &File)| match file.stage {
            Stage::Ended(shelf) => {
                let number = file.identity.map(|identity| identity.number);
                Some(ToMove { name: name.clone(), version: file.version, number, shelf })
            }
            _ => None,
        };
        self.files.iter().filter_map(ended).collect()
    }

    /// Notes that this watcher has moved the file.
    pub(crate) fn moved(&mut self, name: &OsStr, shelf: Shelf) {
        match shelf {
            Shelf::Completed => self.counts.completed += 1,
            Shelf::Failed => self.counts.failed += 1,
        }
        self.files.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_millis(500);

    fn version(size: u64) -> Version {
        Version { modified: (size.cast_signed(), 0), size }
    }

    fn note(tracker: &mut Tracker, name: &str, now: Option<Version>, time: Instant) -> bool {
        tracker.note(OsStr::new(name), now, time, |_| false)
    }

    #[test]
    fn a_file_that_grows_is_not_ready() {
        let mut tracker = Tracker::default();
        let begun = Instant::now();
        for nth in 0..4 {
            assert!(note(&mut tracker, "a", Some(version(nth)), begun + SETTLE * u32::try_from(nth).expect("small")));
        }
        assert_eq!(tracker.settling_before(begun + SETTLE * 3, SETTLE), Vec::<OsString>::new());
        assert_eq!(tracker.next_settled(SETTLE), Some(begun + SETTLE * 4));
        assert_eq!(tracker.settling_before(begun + SETTLE * 4, SETTLE), [OsString::from("a")]);
        tracker.settled(OsStr::new("a"));
        let ready = |other| [Ready { name: OsString::from("a"), version: version(3), other }];
        assert_eq!(tracker.ready(10), ready(None));
        let identity = Identity { created: None, changed: chrono::DateTime::UNIX_EPOCH, number: 7 };
        tracker.is_other(OsStr::new("a"), identity);
        assert_eq!(tracker.ready(10), ready(Some(identity)));
        assert_eq!(tracker.counts, Counts { seen: 1, ..Counts::default() });
    }

    #[test]
    fn files_are_ready_in_the_order_of_their_last_writes() {
        let mut tracker = Tracker::default();
        for (name, size) in [("a", 3), ("b", 1), ("c", 2)] {
            note(&mut tracker, name, Some(version(size)), Instant::now());
            tracker.settled(OsStr::new(name));
        }
        let names: Vec<_> = tracker.ready(2).into_iter().map(|ready| ready.name).collect();
        assert_eq!(names, ["b", "c"]);
    }

    #[test]
    fn live_jobs_are_asked_for_in_pages_and_a_change_makes_a_new_job() {
        let mut tracker = Tracker::default();
        let ids: Vec<JobId> = (0..5).map(|_| JobId::new()).collect();
        for (nth, id) in ids.iter().enumerate() {
            let name = nth.to_string();
            note(&mut tracker, &name, Some(version(1)), Instant::now());
            tracker.settled(OsStr::new(&name));
            tracker.enqueued(OsStr::new(&name), None, *id, nth > 0, State::Queued);
        }
        assert_eq!(tracker.page(2), (ids[..2].to_vec(), false));
        assert_eq!(tracker.page(3), (ids[2..].to_vec(), true));
        assert_eq!(tracker.page(2), (ids[..2].to_vec(), false));
        tracker.ended(ids[0], State::Succeeded);
        tracker.ended(ids[1], State::Cancelled);
        tracker.ended(ids[2], State::Running);
        // Another version of a file: its old job is no longer waited for.
        note(&mut tracker, "4", Some(version(2)), Instant::now());
        let mut ended = tracker.to_move();
        ended.sort_by(|one, other| one.name.cmp(&other.name));
        let to_move = |name, shelf| ToMove { name: OsString::from(name), version: version(1), number: None, shelf };
        assert_eq!(ended, [to_move("0", Shelf::Completed), to_move("1", Shelf::Failed)]);
        tracker.moved(OsStr::new("0"), Shelf::Completed);
        tracker.note(OsStr::new("1"), None, Instant::now(), |_| true);
        note(&mut tracker, "2", None, Instant::now());
        assert_eq!(tracker.page(9), (vec![ids[3]], true));
        let counts =
            Counts { seen: 6, made: 4, known: 1, completed: 1, elsewhere: 1, changed: 1, vanished: 1, failed: 0 };
        assert_eq!(tracker.counts, counts);
        assert_eq!(tracker.missing_in(&HashSet::from([OsStr::new("4")])), [OsString::from("3")]);
    }
}
