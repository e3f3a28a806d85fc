//! Changes the place of jobs that wait: their priority or their queue.

use crate::{Client, Error};
use leasehold_core::{BATCH_MAX, JobId, Place, QueueName, State};
use leasehold_ports::{Hint, Placed};
use std::collections::BTreeMap;

impl Client {
    /// Changes the priority of waiting jobs: each job moves to the position in the line for its new priority. Jobs that run or
    /// have finished stay as they are. An id that belongs to no job is not in the answer.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the priority is not from −100 to 100: nothing was changed. Or PostgreSQL fails.
    pub async fn set_priority(&self, ids: &[JobId], priority: i16) -> Result<Vec<Placed>, Error> {
        self.place(ids, &Place::Priority(priority)).await
    }

    /// Moves waiting jobs to another queue. Each job keeps its priority and the time for which it has waited. Jobs that run or
    /// have finished stay as they are. An id that belongs to no job is not in the answer.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn move_to(&self, ids: &[JobId], queue: &QueueName) -> Result<Vec<Placed>, Error> {
        self.place(ids, &Place::Queue(queue.clone())).await
    }

    async fn place(&self, ids: &[JobId], place: &Place) -> Result<Vec<Placed>, Error> {
        place.validate()?;
        let mut answers = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH_MAX) {
            let placed = self.store.place(batch, place).await?;
            self.tell_of_places(&placed).await;
            answers.extend(placed);
        }
        Ok(answers)
    }

    /// Moves the hints of jobs that have another place now.
    pub(crate) async fn tell_of_places(&self, placed: &[Placed]) {
        let Some(hints) = &self.hints else { return };
        let mut gone: BTreeMap<&QueueName, Vec<JobId>> = BTreeMap::new();
        let mut by_queue: BTreeMap<&QueueName, Vec<Hint>> = BTreeMap::new();
        for job in placed.iter().filter(|job| job.state == State::Queued) {
            let Some(line_at) = job.line_at else { continue };
            by_queue.entry(&job.queue).or_default().push(Hint::at(job.id, line_at));
            if job.was_in != job.queue {
                gone.entry(&job.was_in).or_default().push(job.id);
            }
        }
        for (queue, ids) in gone {
            hints.forget(queue, &ids).await;
        }
        for (queue, moved) in by_queue {
            hints.place(queue, &moved).await;
        }
    }
}
