//! The bounds of the server. A client that is slow, large or hostile uses no more than this.

use std::time::Duration;

/// How long a client may take to send the head of a request.
pub(crate) const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How long a client may take to send the body of a request.
pub(crate) const BODY_WITHIN: Duration = Duration::from_secs(30);
/// How long a client may read nothing of an answer.
pub(crate) const READS_WITHIN: Duration = Duration::from_secs(30);
/// How long a connection may be idle between two requests.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(75);
/// The longest body, in bytes. A job has a payload of at most 1 MiB; a request may have many jobs.
pub(crate) const BODY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// How much of a body that is too long the server reads before it cuts the connection. A body whose header announces more is not
/// read.
pub(crate) const DISCARDED_MAX_BYTES: usize = 64 * 1024 * 1024;
/// The bodies that are read at the same time, in bytes. A request waits until its body has room.
pub(crate) const BODIES_MAX_BYTES: usize = 256 * 1024 * 1024;
/// The most connections at the same time. More of them wait in the backlog of the socket.
pub(crate) const CONNECTIONS_MAX: usize = 10_000;
/// How long a stop waits for requests in flight.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// The most jobs of one request.
pub(crate) const JOBS_MAX: usize = 1_000;
/// The most claims that wait at the same time.
pub(crate) const WAITERS_MAX: usize = 10_000;
