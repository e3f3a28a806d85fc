//! One version of a file, and the job that belongs to it.
//!
//! The id of a job follows from the name, the size and the time of the last write. Another file can have all three, for example if
//! its producer sets the time. [`Identity`] distinguishes the two files.

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use leasehold::JobId;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use std::{
    ffi::OsStr,
    fs::Metadata,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};
use uuid::{Builder, Uuid};

/// The size and the time of the last write. A file with another size or time is another version, and gets another job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    /// Seconds since 1970, and nanoseconds.
    pub(crate) modified: (i64, i64),
    /// In bytes.
    pub(crate) size: u64,
}

impl Version {
    /// The version that a file has now.
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { modified: (metadata.mtime(), metadata.mtime_nsec()), size: metadata.size() }
    }

    /// The id of the job: a UUIDv7 with the time of the last write, so that the jobs of one scan begin in the order in which
    /// their files were written. The other bits are a hash of the path, the size and the time. If another file with the same
    /// path, size and time already had the job of this id, `other` is the identity of this file, and the hash contains it too.
    pub(crate) fn job_id(self, folder: &Path, name: &OsStr, other: Option<Identity>) -> JobId {
        let mut hash = Sha256::new();
        hash.update(b"leasehold watch 1");
        for part in [folder.as_os_str(), name] {
            // The lengths keep the parts apart.
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        hash.update(self.size.to_le_bytes());
        hash.update(self.modified.0.to_le_bytes());
        hash.update(self.modified.1.to_le_bytes());
        if let Some(other) = other {
            let (word, at) = match other.created {
                Some(created) => (&b"created"[..], created),
                None => (&b"changed"[..], other.changed),
            };
            hash.update(word);
            hash.update(at.timestamp().to_le_bytes());
            hash.update(at.timestamp_subsec_nanos().to_le_bytes());
        }
        let mut random = [0; 10];
        random.copy_from_slice(&hash.finalize()[..10]);
        let millis = self.modified.0.saturating_mul(1_000).saturating_add(self.modified.1 / 1_000_000);
        // An id has 48 bits for the time.
        let millis = u64::try_from(millis).unwrap_or(0).min((1 << 48) - 1);
        let id: Uuid = Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        JobId(id)
    }

    /// The payload of the job. `identity` is `None` if the file has just vanished.
    pub(crate) fn payload(
        self,
        folder: &Path,
        name: &OsStr,
        identity: Option<Identity>,
    ) -> Result<Box<RawValue>, serde_json::Error> {
        let path = folder.join(name);
        let exact = path.to_str().is_none().then(|| BASE64_STANDARD.encode(path.as_os_str().as_bytes()));
        to_raw_value(&Payload {
            path: path.to_string_lossy().into_owned(),
            path_base64: exact,
            name: name.to_string_lossy().into_owned(),
            size: self.size,
            modified: text(moment(self.modified)),
            changed: identity.map(|identity| text(identity.changed)),
            created: identity.and_then(|identity| identity.created).map(text),
        })
    }
}

/// Distinguishes a file from another file with the same name, size and time of the last write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// When the file came into the file system. A program cannot set this time. `None`: the file system does not know.
    pub(crate) created: Option<DateTime<Utc>>,
    /// When the content, the name or the rights were changed the last time (`ctime`).
    pub(crate) changed: DateTime<Utc>,
    /// The inode number. Another file can get the number after the file was removed.
    pub(crate) number: u64,
}

impl Identity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            created: metadata.created().ok().map(DateTime::from),
            changed: moment((metadata.ctime(), metadata.ctime_nsec())),
            number: metadata.ino(),
        }
    }

    /// Whether this file came after the file of a job that has ended. `payload` and `finished_at` belong to the job.
    ///
    /// Three things must be true, so that a file whose job has ended and that was not moved yet is only moved:
    ///
    /// - The file was changed after the end of the job: it was made, or got its name, after the end.
    /// - It was changed after its job was made. The first comparison is wrong if the clock of the database is behind the clock of
    ///   the file system; this one uses only the clock of the file system.
    /// - It was created at another time. The first two are true if somebody has changed the rights or the owner of the old file, for
    ///   example because the rights did not allow the move.
    pub(crate) fn came_after(&self, payload: &RawValue, finished_at: DateTime<Utc>) -> bool {
        let of_job: Recorded = serde_json::from_str(payload.get()).unwrap_or_default();
        self.changed > finished_at
            && of_job.changed.as_deref() != Some(text(self.changed).as_str())
            && (self.created.is_none() || of_job.created != self.created.map(text))
    }
}

/// The identity of the file, from a payload. Jobs of earlier versions say nothing.
#[derive(Default, Deserialize)]
struct Recorded {
    changed: Option<String>,
    created: Option<String>,
}

/// The time of seconds since 1970, and nanoseconds.
fn moment((seconds, nanoseconds): (i64, i64)) -> DateTime<Utc> {
    DateTime::<Utc>::from_timestamp(seconds, u32::try_from(nanoseconds).unwrap_or(0)).unwrap_or_default()
}

fn text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

/// The payload that the handler gets. JSON is text, and a name of a file is bytes: see `path_base64`.
#[derive(Serialize)]
struct Payload {
    /// The absolute path. A byte that is no UTF-8 is shown as U+FFFD.
    path: String,
    /// The exact bytes of the path in base64. Present only if `path` is not exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
    name: String,
    /// In bytes.
    size: u64,
    modified: String,
    /// See [`Identity`].
    #[serde(skip_serializing_if = "Option::is_none")]
    changed: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: Version = Version { modified: (1_700_000_000, 123_456_789), size: 7 };

    fn id(folder: &str, name: &[u8], version: Version) -> Uuid {
        version.job_id(Path::new(folder), OsStr::from_bytes(name), None).0
    }

    #[test]
    fn the_id_follows_from_path_size_and_time() {
        let all = [
            id("/d", b"a", VERSION),
            id("/d", b"b", VERSION),
            id("/da", b"", VERSION),
            id("/d", b"\xff", VERSION),
            id("/d", "\u{fffd}".as_bytes(), VERSION),
            id("/d", b"a", Version { size: 8, ..VERSION }),
            id("/d", b"a", Version { modified: (1_700_000_000, 123_456_790), ..VERSION }),
        ];
        for (nth, one) in all.iter().enumerate() {
            assert!(all[nth + 1..].iter().all(|other| other != one), "{nth}");
            assert_eq!(one.get_version_num(), 7);
        }
        // The ids must never change: a file that waits during an upgrade must keep its job.
        assert_eq!(all[0].to_string(), "018bcfe5-687b-7d24-b354-1b630e0d8f38");
    }

    #[test]
    fn jobs_begin_in_the_order_of_the_last_writes_and_odd_times_have_ids_too() {
        let later = Version { modified: (1_700_000_000, 125_000_000), ..VERSION };
        assert!(id("/d", b"z", VERSION) < id("/d", b"a", later));
        for seconds in [i64::MIN, -1, i64::MAX] {
            assert_eq!(id("/d", b"a", Version { modified: (seconds, 0), ..VERSION }).get_version_num(), 7);
        }
    }

    #[test]
    fn the_payload_has_the_exact_path() {
        let payload = |name: &[u8]| VERSION.payload(Path::new("/d"), OsStr::from_bytes(name), None).expect("JSON");
        assert_eq!(
            payload("a b\u{e9}".as_bytes()).get(),
            "{\"path\":\"/d/a b\u{e9}\",\"name\":\"a b\u{e9}\",\"size\":7,\"modified\":\"2023-11-14T22:13:20.123456789Z\"}"
        );
        let odd = payload(b"x\xff");
        assert!(odd.get().starts_with("{\"path\":\"/d/x\u{fffd}\",\"path_base64\":\"L2QveP8=\","), "{odd}");
    }

    fn identity(created: Option<i64>, changed: i64) -> Identity {
        let at = |seconds| moment((seconds, 5));
        Identity { created: created.map(at), changed: at(changed), number: 1 }
    }

    #[test]
    fn the_id_of_another_file_follows_from_the_time_when_it_was_created() {
        let id = |other| VERSION.job_id(Path::new("/d"), OsStr::new("a"), other).0;
        let all = [None, Some(identity(Some(1), 9)), Some(identity(Some(2), 9)), Some(identity(None, 9))].map(id);
        for (nth, one) in all.iter().enumerate() {
            assert!(all[nth + 1..].iter().all(|other| other != one), "{nth}");
        }
        assert_eq!(
            id(Some(identity(Some(1), 9))),
            id(Some(identity(Some(1), 10))),
            "a change of rights makes no other job"
        );
    }

    #[test]
    fn only_a_file_that_came_after_the_end_is_another_file() {
        let of = |identity| VERSION.payload(Path::new("/d"), OsStr::new("a"), identity).expect("JSON");
        let end = moment((100, 0));
        let old = of(Some(identity(Some(1), 10)));
        assert!(identity(Some(101), 102).came_after(&old, end));
        assert!(!identity(Some(1), 10).came_after(&old, end), "the file itself");
        assert!(!identity(Some(1), 102).came_after(&old, end), "the rights of the file were changed after the end");
        assert!(!identity(Some(50), 60).came_after(&old, end), "it came while the job ran");
        // The clock of the database is behind: by this clock, the job ended before the file existed.
        assert!(!identity(None, 110).came_after(&of(Some(identity(None, 110))), end));
        // File systems without the time of creation, and jobs of earlier versions.
        assert!(identity(None, 102).came_after(&of(Some(identity(None, 10))), end));
        assert!(identity(Some(101), 102).came_after(&of(None), end));
        assert!(!identity(Some(1), 10).came_after(&of(None), end));
    }
}
