//! One version of a file, and the job that belongs to it.

use base64::{Engine, prelude::BASE64_STANDARD};
use chrono::{DateTime, SecondsFormat, Utc};
use leasehold::JobId;
use serde::Serialize;
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
    /// their files were written. The other bits are a hash of the path, the size and the time.
    pub(crate) fn job_id(self, folder: &Path, name: &OsStr) -> JobId {
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
        let mut random = [0; 10];
        random.copy_from_slice(&hash.finalize()[..10]);
        let millis = self.modified.0.saturating_mul(1_000).saturating_add(self.modified.1 / 1_000_000);
        // An id has 48 bits for the time.
        let millis = u64::try_from(millis).unwrap_or(0).min((1 << 48) - 1);
        let id: Uuid = Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        JobId(id)
    }

    /// The payload of the job.
    pub(crate) fn payload(self, folder: &Path, name: &OsStr) -> Result<Box<RawValue>, serde_json::Error> {
        let path = folder.join(name);
        let exact = path.to_str().is_none().then(|| BASE64_STANDARD.encode(path.as_os_str().as_bytes()));
        let nanoseconds = u32::try_from(self.modified.1).unwrap_or(0);
        let modified = DateTime::<Utc>::from_timestamp(self.modified.0, nanoseconds).unwrap_or_default();
        to_raw_value(&Payload {
            path: path.to_string_lossy().into_owned(),
            path_base64: exact,
            name: name.to_string_lossy().into_owned(),
            size: self.size,
            modified: modified.to_rfc3339_opts(SecondsFormat::Nanos, true),
        })
    }
}

/// What the handler gets. JSON is text, and a name of a file is bytes: see `path_base64`.
#[derive(Serialize)]
struct Payload {
    /// The absolute path. A byte that is no UTF-8 is shown as U+FFFD.
    path: String,
    /// The exact bytes of the path in base64. Only there if `path` is not exact.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_base64: Option<String>,
    name: String,
    /// In bytes.
    size: u64,
    modified: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERSION: Version = Version { modified: (1_700_000_000, 123_456_789), size: 7 };

    fn id(folder: &str, name: &[u8], version: Version) -> Uuid {
        version.job_id(Path::new(folder), OsStr::from_bytes(name)).0
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
        let payload = |name: &[u8]| VERSION.payload(Path::new("/d"), OsStr::from_bytes(name)).expect("JSON");
        assert_eq!(
            payload("a b\u{e9}".as_bytes()).get(),
            "{\"path\":\"/d/a b\u{e9}\",\"name\":\"a b\u{e9}\",\"size\":7,\"modified\":\"2023-11-14T22:13:20.123456789Z\"}"
        );
        let odd = payload(b"x\xff");
        assert!(odd.get().starts_with("{\"path\":\"/d/x\u{fffd}\",\"path_base64\":\"L2QveP8=\","), "{odd}");
    }
}
