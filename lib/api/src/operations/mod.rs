//! Bulk changes that the servers execute in the background, with progress.
//!
//! An operation is a row in PostgreSQL. `routes` makes, shows and stops operations. `keeper` works on them; each `leasehold api`
//! has one, and another server continues an operation if its server dies. `words` reads the request.

mod keeper;
mod routes;
mod words;

pub use keeper::Operations;
pub(crate) use routes::{__path_bulk, __path_cancel, __path_list, __path_show, bulk, cancel, list, show};
