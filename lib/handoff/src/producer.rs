//! What a producer does in Redis: it pushes the hints of jobs that have come into the line.

use crate::{
    connect::Handoff,
    error::Error,
    position::in_order,
    scripts::{Call, PUSH, Step},
};
use leasehold_core::QueueName;
use leasehold_ports::{Hint, Pushed};

/// The modes of a push; `lua/push.lua` describes each mode.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    New,
    Place,
    Return,
}

impl Handoff {
    /// Pushes hints for jobs that were just put into the line, each to its position.
    ///
    /// # Errors
    /// Redis does not answer in time. The jobs are in the line, and a fill brings their hints.
    pub async fn push(&self, queue: &QueueName, hints: &[Hint]) -> Result<Pushed, Error> {
        self.push_in("pushing hints", queue, hints, Mode::New).await
    }

    /// Moves the hints of jobs whose position in the line was changed, each to its new position. Hints that workers have taken
    /// stay with them.
    ///
    /// # Errors
    /// Redis does not answer in time. The next fill moves the hints.
    pub async fn place(&self, queue: &QueueName, hints: &[Hint]) -> Result<Pushed, Error> {
        self.push_in("moving hints", queue, hints, Mode::Place).await
    }

    pub(crate) async fn push_in(
        &self,
        doing: &'static str,
        queue: &QueueName,
        hints: &[Hint],
        mode: Mode,
    ) -> Result<Pushed, Error> {
        if hints.is_empty() {
            return Ok(Pushed::default());
        }
        let steps = vec![self.push_call(queue, hints, mode).into(), self.note_queue(queue)];
        let ((pushed, doubles, overflowed, paused), _): ((u32, u32, u32, bool), u32) = self.run(doing, steps).await?;
        Ok(Pushed { pushed, doubles, overflowed, paused })
    }

    fn push_call(&self, queue: &QueueName, hints: &[Hint], mode: Mode) -> Call {
        let keys = self.keys().of(queue);
        let mode = match mode {
            Mode::New => "new",
            Mode::Place => "place",
            Mode::Return => "return",
        };
        let fixed = [keys.ready(), keys.leases(), keys.flags(), keys.claimed(), keys.filled(), keys.bell()];
        PUSH.on(fixed.into_iter().chain([keys.readings()])).arg(self.inner.head_max).arg(mode).args(in_order(hints))
    }

    /// Notes that a queue has keys here. The note always comes after the step that made the keys, so that
    /// [`Handoff::queues`] can remove the note of an empty queue without losing a queue that is just being filled.
    pub(crate) fn note_queue(&self, queue: &QueueName) -> Step {
        let mut note = redis::cmd("SADD");
        note.arg(self.keys().queues()).arg(queue.as_str());
        note.into()
    }
}
