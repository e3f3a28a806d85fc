//! `leasehold webhook …`: `set` has its own file because of its flags, `replay` because of its two forms.

mod named;
mod replay;
mod run;
mod set;

pub(crate) use run::{Args, run};
pub(crate) use set::allowed_networks;
