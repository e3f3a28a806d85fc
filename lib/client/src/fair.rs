//! Fair shares of a queue: whether its keys share it, and their weights.

use crate::{Client, Error};
use leasehold_core::QueueName;
use leasehold_store::FairWeight;

impl Client {
    /// Sets whether the jobs of a queue that have fair keys share it; if not, their keys are only labels. Moves the waiting jobs and
    /// returns how many it moved.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn set_fair(&self, queue: &QueueName, fair: bool) -> Result<u64, Error> {
        let moved = self.postgres()?.set_fair(queue, fair).await?;
        if let Some(hints) = &self.hints
            && moved > 0
        {
            hints.clear(queue).await;
        }
        Ok(moved)
    }

    /// Sets the weight of a fair key: its part of the queue compared with the other keys, from 0.001 to 1000. Keys without a
    /// weight have the weight 1. The backlog changes its order immediately.
    ///
    /// # Errors
    /// The weight is not valid, or PostgreSQL fails.
    pub async fn set_fair_weight(&self, queue: &QueueName, fair_key: &str, weight: f64) -> Result<(), Error> {
        let (parked, admitted) = self.postgres()?.set_fair_weight(queue, fair_key, weight).await?;
        if let Some(hints) = &self.hints
            && !parked.is_empty()
        {
            hints.forget(queue, &parked).await;
        }
        self.tell_of_admitted(queue, &admitted).await;
        Ok(())
    }

    /// Pauses a fair key in a queue: no job of the key starts until the key is resumed. Running jobs continue, and jobs of other
    /// keys start. The key needs no job. Returns whether that changed anything.
    ///
    /// # Errors
    /// The fair keys of the queue are only labels, or PostgreSQL fails.
    pub async fn pause_fair_key(&self, queue: &QueueName, fair_key: &str) -> Result<bool, Error> {
        let (changed, parked) = self.postgres()?.pause_fair_key(queue, fair_key).await?;
        if let Some(hints) = &self.hints
            && !parked.is_empty()
        {
            hints.forget(queue, &parked).await;
        }
        Ok(changed)
    }

    /// Resumes a fair key in a queue. Returns whether the key was paused. If the queue or the kind of a job is paused too, it stays paused.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn resume_fair_key(&self, queue: &QueueName, fair_key: &str) -> Result<bool, Error> {
        let (changed, admitted) = self.postgres()?.resume_fair_key(queue, fair_key).await?;
        self.tell_of_admitted(queue, &admitted).await;
        Ok(changed)
    }

    /// The weights that somebody has set in a queue, by key.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn fair_weights(&self, queue: &QueueName) -> Result<Vec<FairWeight>, Error> {
        Ok(self.postgres()?.fair_weights(queue).await?)
    }
}
