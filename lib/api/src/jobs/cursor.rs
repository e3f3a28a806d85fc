//! The cursor of a list: opaque for clients, and bound to the filter of its list.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use leasehold_core::JobId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// How many bytes of the hash a cursor has.
const HASH_BYTES: usize = 8;

/// The cursor behind this job, in the list with this filter.
pub(crate) fn write(last: JobId, filter: &str) -> String {
    let mut bytes = last.0.into_bytes().to_vec();
    bytes.extend_from_slice(&hash(last, filter));
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The job of a cursor. `None`: the text is no cursor of this list.
pub(crate) fn read(cursor: &str, filter: &str) -> Option<JobId> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let (id, hashed) = bytes.split_first_chunk::<16>()?;
    let last = JobId(Uuid::from_bytes(*id));
    (hashed == hash(last, filter)).then_some(last)
}

fn hash(last: JobId, filter: &str) -> [u8; HASH_BYTES] {
    let digest = Sha256::new().chain_update(last.0.as_bytes()).chain_update(filter.as_bytes()).finalize();
    let mut hash = [0; HASH_BYTES];
    hash.copy_from_slice(&digest[..HASH_BYTES]);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_filter() {
        let id = JobId::new();
        let cursor = write(id, "queue=a");
        assert_eq!(read(&cursor, "queue=a"), Some(id));
        assert_eq!(read(&cursor, "queue=b"), None);
        for bad in ["", "x", "%%", &cursor[1..]] {
            assert_eq!(read(bad, "queue=a"), None, "{bad}");
        }
    }
}
