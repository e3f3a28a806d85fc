//! Formats values as text and JSON. Nothing here calls a store or makes a decision.

pub(crate) mod audit;
pub(crate) mod batches;
pub(crate) mod counts;
pub(crate) mod each;
pub(crate) mod errors;
pub(crate) mod examination;
pub(crate) mod graphs;
pub(crate) mod human;
pub(crate) mod jobs;
pub(crate) mod limits;
pub(crate) mod migrations;
pub(crate) mod progress;
pub(crate) mod queues;
pub(crate) mod schedules;
pub(crate) mod settings;
pub(crate) mod steps;
pub(crate) mod tokens;
pub(crate) mod webhooks;
mod write;

pub(crate) use human::table;
pub(crate) use write::{bytes, either, json, json_lines, line, note, text};
