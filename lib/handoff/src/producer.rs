//! The side that puts jobs into the line, and tells Redis of it.

use crate::{
    connect::Handoff,
    error::Error,
    scripts::{Call, PUSH, Step},
};
use leasehold_core::{JobId, QueueName};
use leasehold_ports::Pushed;

/// The ways into the head; `lua/push.lua` says what each does.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    Back,
    Front,
    Return,
}

impl Handoff {
    /// Hints for jobs just put into the line, in order; `front` puts them before the others.
    ///
    /// # Errors
    /// When Redis does not do it in time. The jobs are in the line all the same, and a fill brings them here.
    pub async fn push(&self, queue: &QueueName, ids: &[JobId], front: bool) -> Result<Pushed, Error> {
        let mode = if front { Mode::Front } else { Mode::Back };
        self.push_in("pushing hints", queue, ids, mode).await
    }

    pub(crate) async fn push_in(
        &self,
        doing: &'static str,
        queue: &QueueName,
        ids: &[JobId],
        mode: Mode,
    ) -> Result<Pushed, Error> {
        if ids.is_empty() {
            return Ok(Pushed::default());
        }
        let steps = vec![self.push_call(queue, ids, mode).into(), self.note_queue(queue)];
        let ((pushed, doubles, overflowed, paused), _): ((u32, u32, u32, bool), u32) = self.run(doing, steps).await?;
        Ok(Pushed { pushed, doubles, overflowed, paused })
    }

    fn push_call(&self, queue: &QueueName, ids: &[JobId], mode: Mode) -> Call {
        let keys = self.keys().of(queue);
        let mode = match mode {
            Mode::Back => "back",
            Mode::Front => "front",
            Mode::Return => "return",
        };
        PUSH.on([keys.ready(), keys.leases(), keys.flags(), keys.claimed(), keys.filled(), keys.bell()])
            .arg(self.inner.head_max)
            .arg(mode)
            .args(ids)
    }

    /// Notes that a queue has keys here. The note always comes after the step that made the keys, so that
    /// [`Handoff::queues`] can take the note of an empty queue away without losing a queue that is just being filled.
    pub(crate) fn note_queue(&self, queue: &QueueName) -> Step {
        let mut note = redis::cmd("SADD");
        note.arg(self.keys().queues()).arg(queue.as_str());
        note.into()
    }
}
