//! The runs of HTTP workers: `settle` ends them, `renew` renews their leases, `progress` writes their progress
//! reports, `after` updates Redis, and `routes` has the requests.

mod after;
mod ends;
mod progress;
mod renew;
mod routes;
mod settle;

pub(crate) use progress::{__path_progress, progress};
pub(crate) use renew::{__path_renew, __path_renew_all, renew, renew_all};
pub(crate) use routes::{
    __path_complete, __path_fail, __path_release, __path_settle_all, __path_snooze, complete, fail, release,
    settle_all, snooze,
};
