//! Every bound in one place, each with its unit and the reason for its size.

use std::time::Duration;

/// Bytes in the name of a queue or a kind. Names stand in every Redis key and index entry.
pub const NAME_MAX_BYTES: usize = 128;
/// Bytes in a unique key or a limit key: long enough for two UUIDs and a URL path, short enough
/// for a B-tree entry (PostgreSQL refuses those above about 2,700 bytes).
pub const KEY_MAX_BYTES: usize = 512;
/// Bytes of a payload, as JSON text. Larger data belongs in an object store, with its address here.
pub const PAYLOAD_MAX_BYTES: usize = 1024 * 1024;
/// Bytes of a result, as JSON text.
pub const RESULT_MAX_BYTES: usize = 1024 * 1024;
/// Bytes kept of an error text; the end is kept, since that is where programs say what went wrong.
pub const ERROR_MAX_BYTES: usize = 8 * 1024;
/// Entries kept in a job's trail (retries, lost leases, repairs): the newest ones.
pub const TRAIL_MAX_ENTRIES: usize = 20;

/// The lowest priority.
pub const PRIORITY_MIN: i16 = -100;
/// The highest priority.
pub const PRIORITY_MAX: i16 = 100;

/// Attempts a job gets when nothing else is said.
pub const MAX_ATTEMPTS_DEFAULT: i32 = 5;
/// The most attempts a job can be given.
pub const MAX_ATTEMPTS_MAX: i32 = 10_000;
/// Leases a job may lose before it is dead: one that kills its worker each time must stop.
pub const MAX_CRASHES: i16 = 3;

/// Levels of arrays and objects in a payload. `serde_json` reads at most 127 and PostgreSQL a few thousand: a job that
/// nobody can read would be retried until it is dead.
pub const PAYLOAD_MAX_DEPTH: usize = 100;

/// The first time that a job may be given, in seconds since 1970: 1970 itself.
pub const RUN_AT_MIN_S: i64 = 0;
/// The end of the times that a job may be given, in seconds since 1970: the year 10000, which RFC 3339 cannot write.
pub const RUN_AT_END_S: i64 = 253_402_300_800;
/// The longest delay that a job may be given: 100 years. Longer ones are mistakes.
pub const DELAY_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The longest time a run may be given.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 24 * 3600);
/// How long a claim holds without being renewed, when nothing else is said.
pub const LEASE_DEFAULT: Duration = Duration::from_millis(30_000);
/// The shortest lease that can be set: below it, an ordinary pause of a process would lose it.
pub const LEASE_MIN: Duration = Duration::from_millis(500);
/// How long a hint may be leased in Redis before PostgreSQL has granted the claim: far longer than a claim takes, and short
/// enough that a job whose worker died in between waits only seconds.
pub const HANDOFF_LEASE: Duration = Duration::from_secs(5);
/// Jobs in one statement. Larger requests are cut into batches of this size.
pub const BATCH_MAX: usize = 500;
