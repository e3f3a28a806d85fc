//! Messages to clients that wait: these jobs have ended. Workers send them only while some client waits.

use crate::{connect::Handoff, error::Error, scripts::command};
use leasehold_core::JobId;
use tokio::sync::mpsc;
use uuid::Uuid;

/// The bytes of an id in a message.
const ID_BYTES: usize = 16;

impl Handoff {
    /// Tells all clients that listen that these jobs have ended. The message has the ids, 16 bytes each.
    ///
    /// # Errors
    /// If Redis does not publish the message in time.
    pub async fn tell_ends(&self, ids: &[JobId]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let message: Vec<u8> = ids.iter().flat_map(|id| id.0.into_bytes()).collect();
        let steps = vec![command("PUBLISH", (self.keys().ends(), message)).into()];
        self.run::<Vec<u32>>("telling clients of ended jobs", steps).await.map(drop)
    }

    /// Listens for ended jobs until the receiver is dropped. Connects again after a lost connection. Messages that were sent
    /// during the interruption are lost, which is allowed.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn listen_to_ends(&self) -> mpsc::Receiver<Vec<JobId>> {
        self.listen_on(self.keys().ends(), |message| Some(ids_of(message)), None)
    }

    /// The same, and also reports when it begins to receive messages, and again after each lost connection: the receiver then
    /// knows that it may have missed messages.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn listen_to_ends_and_connections(&self) -> mpsc::Receiver<EndsHeard> {
        let read: fn(&[u8]) -> Option<EndsHeard> = |message| Some(EndsHeard::Ended(ids_of(message)));
        self.listen_on(self.keys().ends(), read, Some(|| EndsHeard::Connected))
    }
}

/// An event of a listener to ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndsHeard {
    /// Messages are received from now on.
    Connected,
    /// These jobs have ended.
    Ended(Vec<JobId>),
}

fn ids_of(message: &[u8]) -> Vec<JobId> {
    message.chunks_exact(ID_BYTES).filter_map(|id| Uuid::from_slice(id).ok()).map(JobId).collect()
}
