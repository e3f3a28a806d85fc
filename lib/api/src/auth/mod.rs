//! Authentication and scopes: who may do what over HTTP.
//!
//! - `layer` is around every request: it finds the caller, and refuses requests for which the caller lacks the scope.
//! - `routes` is the one table that says which scope each route needs. A route without an entry needs `admin`, and fails a test.
//! - `known` has the tokens of the database, a few seconds old at most. `usage` notes when a token was last used. `rates` counts requests.
//! - `caller` is who sends a request. Handlers ask it about queues that are only in the body or in the row of a job.
//! - `described` adds the scopes and the errors 401, 403 and 429 to the description of the interface.
//!
//! While PostgreSQL is unavailable, every request is refused with 503.

mod caller;
mod described;
mod known;
mod layer;
mod rates;
mod routes;
mod runs;
mod usage;

pub(crate) use caller::Caller;
pub(crate) use described::describe;
pub use known::Auth;
pub(crate) use layer::require;
pub(crate) use runs::denied_runs;
