//! How things look. Nothing here asks a store or decides anything.

pub(crate) mod human;
pub(crate) mod migrations;
pub(crate) mod progress;
pub(crate) mod settings;
mod table;
mod write;

pub(crate) use table::table;
pub(crate) use write::{bytes, either, json, json_lines, line, text};
