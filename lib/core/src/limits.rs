//! Every limit, each with its unit and the reason for its value.

use std::time::Duration;

/// Bytes in the name of a queue or a kind. Every Redis key and every index entry contains such a name.
pub const NAME_MAX_BYTES: usize = 128;
/// Bytes in a unique key or a limit key: long enough for two UUIDs and a URL path, short enough for a B-tree entry
/// (PostgreSQL refuses entries above about 2,700 bytes).
pub const KEY_MAX_BYTES: usize = 512;
/// Bytes of a payload, as JSON text. Larger data belongs in an object store; the payload then holds its address.
pub const PAYLOAD_MAX_BYTES: usize = 1024 * 1024;
/// Bytes of a result, as JSON text.
pub const RESULT_MAX_BYTES: usize = 1024 * 1024;
/// Bytes of a payload or a result that is encrypted, before that. The encrypted value is a third longer, and has a name of a key, a nonce
/// and a tag: together not more than 1 MiB.
pub const PLAIN_MAX_BYTES: usize = 786_000;
/// How long a job waits after a process without the key of its payload has given it back. Another process may have the key. Without a
/// pause, two processes without the key would pass the job to each other as fast as they can.
pub const KEY_LACK_PAUSE: Duration = Duration::from_secs(10);
/// Jobs that may follow from one success.
pub const FOLLOWING_MAX: usize = 1000;
/// Bytes of the payloads of the jobs that follow from one success. All of them are written in one transaction.
pub const FOLLOWING_MAX_BYTES: usize = 4 * 1024 * 1024;
/// Notes kept of a run: the latest notes.
pub const NOTES_MAX: usize = 16;
/// Bytes kept of a note.
pub const NOTE_MAX_BYTES: usize = 500;
/// Bytes kept of an error text. The end is kept, because programs say there what went wrong.
pub const ERROR_MAX_BYTES: usize = 8 * 1024;
/// Entries kept in the trail of a job (retries, lost leases, repairs): the newest entries.
pub const TRAIL_MAX_ENTRIES: usize = 20;

/// The lowest priority.
pub const PRIORITY_MIN: i16 = -100;
/// The highest priority.
pub const PRIORITY_MAX: i16 = 100;

/// The attempts of a job, unless the client sets another number.
pub const MAX_ATTEMPTS_DEFAULT: i32 = 5;
/// The highest number of attempts that a client may set.
pub const MAX_ATTEMPTS_MAX: i32 = 10_000;
/// Leases that a job may lose before it is dead. A job that kills its worker each time must stop.
pub const MAX_CRASHES: i16 = 3;

/// Levels of arrays and objects in a payload. `serde_json` reads at most 127, and PostgreSQL a few thousand. A job that
/// no worker can read would be retried until it is dead.
pub const PAYLOAD_MAX_DEPTH: usize = 100;

/// The earliest time of a job, in seconds since 1970: 1970 itself.
pub const RUN_AT_MIN_S: i64 = 0;
/// The end of the range of times for a job, in seconds since 1970: the year 10000, which RFC 3339 cannot write.
pub const RUN_AT_END_S: i64 = 253_402_300_800;
/// The longest delay of a job: 100 years. A longer delay is a mistake.
pub const DELAY_MAX: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Fields of a payload that can make a unique key.
pub const UNIQUE_FIELDS_MAX: usize = 32;

/// The shortest interval of a schedule. A reaper looks four times a second.
pub const EVERY_MIN: Duration = Duration::from_secs(1);
/// The longest interval of a schedule: ten years. A longer interval is a mistake.
pub const EVERY_MAX: Duration = Duration::from_secs(10 * 365 * 86_400);
/// Bytes in a cron expression.
pub const CRON_MAX_BYTES: usize = 200;
/// Missed ticks of a schedule that can be made up for. One statement makes all of them.
pub const MISSED_MAX: u16 = 500;

/// The longest timeout of a run.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 24 * 3600);
/// The lease of a claim, unless the settings say otherwise.
pub const LEASE_DEFAULT: Duration = Duration::from_millis(30_000);
/// The shortest lease that can be set. An ordinary pause of a process would lose a shorter lease.
pub const LEASE_MIN: Duration = Duration::from_millis(500);
/// How long Redis may lease a hint before PostgreSQL has granted the claim: much longer than a claim takes, and short
/// enough that a job whose worker died in between waits only for seconds.
pub const HANDOFF_LEASE: Duration = Duration::from_secs(5);
/// Parents of one job.
pub const PARENTS_MAX: usize = 10_000;

/// How many limit keys a job may have. A claim locks each of them.
pub const LIMIT_KEYS_MAX: usize = 8;
/// Jobs of one graph: one transaction makes all of them, in about a second.
pub const GRAPH_MAX_JOBS: usize = 10_000;
/// Bytes of the results of all parents together that a run gets. Results beyond are left out.
pub const PARENTS_MAX_BYTES: usize = 4 * 1024 * 1024;

/// Jobs in one statement. Larger requests are split into batches of this size.
pub const BATCH_MAX: usize = 500;
