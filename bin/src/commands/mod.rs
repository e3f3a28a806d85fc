//! One file per command.

pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod migrate;
mod run;

pub(crate) use run::run;
