//! File descriptor 3 of a command: lines of JSON, with which the command reports its progress and enqueues jobs.

use crate::run::Run;
use leasehold_core::{FOLLOWING_MAX, FOLLOWING_MAX_BYTES, InvalidProgress, NewJob};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::{RawValue, Value};
use std::{
    io::{self, PipeReader},
    os::fd::OwnedFd,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::unix::pipe::Receiver,
};

/// The number of the file descriptor in the command.
pub(crate) const DESCRIPTOR: i32 = 3;
/// The longest line: a payload of the full size, and the other fields of a job.
const LINE_MAX_BYTES: u64 = 1024 * 1024 + 64 * 1024;

/// Reads a job from a JSON object, with the fields of a line of `leasehold enqueue --stdin`.
pub type ReadJob = fn(&str) -> Result<NewJob, String>;

/// One line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[serde(expecting = "a JSON object")]
struct Line {
    #[serde(default, deserialize_with = "number")]
    progress: Option<f64>,
    #[serde(default, deserialize_with = "text")]
    note: Option<String>,
    enqueue: Option<Box<RawValue>>,
}

/// A number. Its error message uses the terms of JSON and not the terms of Rust.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
    let value = Option::<Value>::deserialize(from)?;
    value.map(|value| value.as_f64().ok_or_else(|| D::Error::custom("progress must be a number"))).transpose()
}

/// A text, likewise.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let value = Option::<Value>::deserialize(from)?;
    let told =
        |value| if let Value::String(text) = value { Ok(text) } else { Err(D::Error::custom("note must be a string")) };
    value.map(told).transpose()
}

/// The end of a command's pipe that the worker reads.
pub(crate) struct Channel {
    from: Receiver,
    read_job: Option<ReadJob>,
}

impl Channel {
    /// The channel, and the end for the command.
    pub(crate) fn open(read_job: Option<ReadJob>) -> io::Result<(Self, OwnedFd)> {
        let (reader, writer): (PipeReader, _) = io::pipe()?;
        Ok((Self { from: Receiver::from_owned_fd(OwnedFd::from(reader))?, read_job }, OwnedFd::from(writer)))
    }

    /// Reads lines until the command closes the pipe. Returns what is wrong with the first wrong line. The lines after it are
    /// read and ignored: a command must not block on a full pipe.
    pub(crate) async fn listen(self, run: &Run) -> Option<String> {
        let mut lines = BufReader::new(self.from);
        let (mut jobs, mut bytes, mut nth, mut is_warned) = (0, 0, 0, false);
        loop {
            let mut line = Vec::new();
            match (&mut lines).take(LINE_MAX_BYTES).read_until(b'\n', &mut line).await {
                // A pipe that cannot be read counts as closed.
                Ok(0) | Err(_) => return None,
                Ok(_) => nth += 1,
            }
            let wrong = match hear(&line, self.read_job, run) {
                Ok(Heard::Done) => continue,
                // The work of the command must not be lost because of a wrong number.
                Ok(Heard::BadProgress(error)) => {
                    if !is_warned {
                        let id = run.fence().id;
                        tracing::warn!(
                            %id,
                            "line {nth} on file descriptor {DESCRIPTOR} of a command is ignored: {error}; further lines of \
                             this run with such a number are ignored without a word"
                        );
                    }
                    is_warned = true;
                    continue;
                }
                Ok(Heard::Job(job)) => {
                    jobs += 1;
                    bytes += job.payload.get().len();
                    // One job more than allowed is kept. The later check of all jobs then reports the limit.
                    if jobs <= FOLLOWING_MAX + 1 && bytes <= FOLLOWING_MAX_BYTES + LINE_MAX_BYTES as usize {
                        run.then(*job);
                    }
                    continue;
                }
                Err(wrong) => wrong,
            };
            while (&mut lines).take(LINE_MAX_BYTES).read_until(b'\n', &mut line).await.is_ok_and(|count| count > 0) {
                line.clear();
            }
            return Some(format!("line {nth} on file descriptor {DESCRIPTOR}: {wrong}"));
        }
    }
}

/// What a line said.
enum Heard {
    /// It is done.
    Done,
    /// A job to enqueue.
    Job(Box<NewJob>),
    /// No known kind of line: it is ignored.
    BadProgress(InvalidProgress),
}

/// Executes a line. A job to enqueue is only returned.
fn hear(line: &[u8], read_job: Option<ReadJob>, run: &Run) -> Result<Heard, String> {
    if line.len() as u64 >= LINE_MAX_BYTES {
        return Err(format!("the line is longer than {LINE_MAX_BYTES} bytes"));
    }
    let text = std::str::from_utf8(line).map_err(|_| "the line is not UTF-8".to_owned())?.trim();
    if text.is_empty() {
        return Ok(Heard::Done);
    }
    let no_line = |error: serde_json::Error| {
        let error = error.to_string();
        let error = error.split(" at line ").next().unwrap_or_default();
        format!("neither {{\"progress\": 0.4, \"note\": \"…\"}} nor {{\"enqueue\": {{…}}}}: {error}")
    };
    let Line { progress, note, enqueue } = serde_json::from_str(text).map_err(no_line)?;
    let told = match (progress, note) {
        (Some(done), note) => run.progress(done, note.unwrap_or_default()),
        (None, Some(note)) => {
            run.note(note);
            Ok(())
        }
        (None, None) => Ok(()),
    };
    match (enqueue, read_job, told) {
        (None, _, Ok(())) => Ok(Heard::Done),
        (None, _, Err(error)) => Ok(Heard::BadProgress(error)),
        // The line also has a job, which must not be lost: a line is used, or it is an error.
        (Some(_), _, Err(error)) => Err(error.to_string()),
        (Some(_), None, _) => Err("this worker enqueues no jobs".to_owned()),
        (Some(job), Some(read_job), _) => read_job(job.get()).map(|job| Heard::Job(Box::new(job))),
    }
}
