//! Notices to workers. A notice only makes workers act sooner: PostgreSQL has the same information.

use crate::{connect::Handoff, error::Error, scripts::command};
use futures_util::StreamExt;
use leasehold_core::Backoff;
use leasehold_ports::Notice;
use redis::RedisResult;
use std::time::Duration;
use tokio::sync::mpsc;

/// The most notices that wait for a busy listener. Further notices stay in the connection.
const BACKLOG: usize = 256;
/// The pauses between attempts to connect again.
const RECONNECT: Backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(5));

impl Handoff {
    /// Sends notices to workers.
    ///
    /// # Errors
    /// If Redis does not publish the notices in time.
    pub async fn notify(&self, notices: &[Notice]) -> Result<(), Error> {
        const DOING: &str = "sending notices to workers";
        if notices.is_empty() {
            return Ok(());
        }
        let texts: Result<Vec<String>, _> = notices.iter().map(serde_json::to_string).collect();
        let texts = texts.map_err(|error| Error::Pool { doing: DOING, reason: format!("the notice: {error}") })?;
        let channel = self.keys().notices();
        let steps = texts.into_iter().map(|text| command("PUBLISH", (&channel, text)).into()).collect();
        self.run::<Vec<u32>>(DOING, steps).await.map(|_| ())
    }

    /// Listens for notices until the receiver is dropped. Connects again after a lost connection. Notices that were sent during
    /// the interruption are lost, which is allowed.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    #[must_use]
    pub fn listen(&self) -> mpsc::Receiver<Notice> {
        // A notice that cannot be read is from another version of this program, and is not for this worker.
        self.listen_on(self.keys().notices(), |message| serde_json::from_slice(message).ok(), None)
    }

    /// Listens on a channel until the receiver is dropped. Messages that cannot be read are ignored. `connected`: the receiver is
    /// notified each time the subscription becomes active.
    pub(crate) fn listen_on<T: Send + 'static>(
        &self,
        channel: String,
        read: fn(&[u8]) -> Option<T>,
        connected: Option<fn() -> T>,
    ) -> mpsc::Receiver<T> {
        let (sender, receiver) = mpsc::channel(BACKLOG);
        let handoff = self.clone();
        tokio::spawn(async move {
            let mut failures = 0;
            while !sender.is_closed() {
                if let Err(error) = handoff.pass_on(&channel, read, connected, &sender, &mut failures).await {
                    tracing::debug!(%error, failures, "cannot listen for messages; connects again after a pause");
                }
                failures += 1;
                let pause = RECONNECT.delay(failures, rand::random());
                let _ = tokio::time::timeout(pause, sender.closed()).await;
            }
        });
        receiver
    }

    /// Passes messages to the receiver until the connection ends or the receiver is dropped.
    async fn pass_on<T>(
        &self,
        channel: &str,
        read: fn(&[u8]) -> Option<T>,
        connected: Option<fn() -> T>,
        sender: &mpsc::Sender<T>,
        failures: &mut i32,
    ) -> RedisResult<()> {
        let subscribe = async {
            let mut subscription = self.inner.client.get_async_pubsub().await?;
            subscription.subscribe(channel).await?;
            Ok(subscription)
        };
        let mut subscription = tokio::time::timeout(self.inner.timeout, subscribe)
            .await
            .unwrap_or_else(|_| Err(crate::pool::no_answer_within(self.inner.timeout)))?;
        *failures = 0;
        if let Some(connected) = connected {
            let _ = sender.send(connected()).await;
        }
        let mut messages = subscription.on_message();
        loop {
            tokio::select! {
                () = sender.closed() => return Ok(()),
                message = messages.next() => {
                    let Some(message) = message else { return Ok(()) };
                    if let Some(message) = read(message.get_payload_bytes()) {
                        let _ = sender.send(message).await;
                    }
                }
            }
        }
    }
}
