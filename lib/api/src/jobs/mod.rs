//! Jobs: `enqueue`, `list` and its `cursor`, and what is done with one job (`one`).

mod cursor;
mod enqueue;
mod list;
mod one;
mod words;

pub(crate) use enqueue::{__path_enqueue, enqueue};
pub(crate) use list::{__path_list, list};
pub(crate) use one::{
    __path_cancel, __path_explain, __path_priority, __path_retry, __path_show, __path_wait, cancel, explain, priority,
    retry, show, wait,
};
pub(crate) use words::{NewJobWords, read_job, refused};
