//! Jobs: `enqueue`, `list` and its `cursor`, and the actions on one job (`one`).

pub(crate) mod cursor;
mod enqueue;
mod list;
mod one;
mod words;

pub(crate) use enqueue::{__path_enqueue, enqueue, idempotency_key, other_request, traceparent, traceparent_of};
pub(crate) use list::{__path_list, list};
pub(crate) use one::{
    __path_cancel, __path_explain, __path_priority, __path_retry, __path_show, __path_wait, cancel, explain, priority,
    retry, show, wait,
};
pub(crate) use words::{NewJobWords, late, read_job, refused};
