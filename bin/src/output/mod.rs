//! How things look. Nothing here asks a store or decides anything.

pub(crate) mod each;
pub(crate) mod examination;
pub(crate) mod human;
pub(crate) mod jobs;
pub(crate) mod migrations;
pub(crate) mod progress;
pub(crate) mod queues;
pub(crate) mod settings;
pub(crate) mod steps;
mod table;
mod write;

pub(crate) use table::table;
pub(crate) use write::{bytes, either, json, json_lines, line, note, text};
