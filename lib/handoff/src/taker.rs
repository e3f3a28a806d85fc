//! Waiting for a hint, or for the bell, without asking again and again.

use crate::{
    connect::Handoff,
    error::Error,
    operator::command,
    pool::{connection_of_its_own, no_answer_within},
    worker::parse_member,
};
use leasehold_core::{JobId, QueueName};
use redis::{Cmd, FromRedisValue, aio::MultiplexedConnection};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

/// The shortest wait: Redis takes 0 for "for ever".
const SHORTEST: Duration = Duration::from_millis(10);
/// Between two attempts to wake a taker whose command is still on its way to the server.
const WAKE_AGAIN: Duration = Duration::from_millis(2);

/// A connection that blocks in `BLMOVE ready claimed LEFT RIGHT` or `BLPOP bell`, and nothing else.
///
/// [`Taker::take`] and [`Taker::bell`] should be driven to their end, not dropped half-way: to end one early, use
/// [`Unblock`] from elsewhere.
#[derive(Debug)]
pub struct Taker {
    handoff: Handoff,
    queue: QueueName,
    /// Gone after an error, and while a take is under way: one that is dropped takes it along.
    connection: Option<MultiplexedConnection>,
    waker: Arc<Waker>,
}

/// What a taker and those who wake it share.
#[derive(Debug)]
struct Waker {
    /// The taker's connection, as the server calls it.
    client_id: i64,
    /// A wait is under way.
    waiting: AtomicBool,
    /// A wake came that no wait has ended by yet.
    woken: AtomicBool,
}

/// Wakes a taker: its wait then ends with nothing, or with what it had already been given.
#[derive(Clone, Debug)]
pub struct Unblock {
    handoff: Handoff,
    waker: Arc<Waker>,
}

impl Handoff {
    /// A taker: a blocking connection of its own.
    ///
    /// # Errors
    /// When there is no connection in time.
    pub async fn taker(&self, queue: &QueueName) -> Result<Taker, Error> {
        const DOING: &str = "connecting to Redis to wait for hints";
        let connect = async {
            let mut connection = connection_of_its_own(&self.inner.client).await?;
            let client_id = command("CLIENT", "ID").query_async(&mut connection).await?;
            Ok((connection, client_id))
        };
        let time = self.inner.timeout;
        let (connection, client_id) = tokio::time::timeout(time, connect)
            .await
            .unwrap_or_else(|_| Err(no_answer_within(time)))
            .map_err(|source| Error::Redis { doing: DOING, source })?;
        let waker = Waker { client_id, waiting: AtomicBool::new(false), woken: AtomicBool::new(false) };
        Ok(Taker { handoff: self.clone(), queue: queue.clone(), connection: Some(connection), waker: Arc::new(waker) })
    }
}

impl Taker {
    /// Waits up to `timeout` for a hint and moves it to `claimed`: lease it at once ([`Handoff::take`] with `adopt`),
    /// claim it in PostgreSQL, or give it back ([`Handoff::release`]).
    ///
    /// If this future is dropped before its end, the connection goes with it (make a new taker), and a hint that the
    /// server had moved by then lies in `claimed` until the reaper adopts it: it is late by seconds, not lost.
    ///
    /// # Errors
    /// When the connection fails, or the server says nothing for well over `timeout`. The connection is gone then:
    /// make a new taker.
    pub async fn take(&mut self, timeout: Duration) -> Result<Option<JobId>, Error> {
        let (keys, timeout) = (self.handoff.keys().of(&self.queue), timeout.max(SHORTEST));
        let blmove = command("BLMOVE", (keys.ready(), keys.claimed(), "LEFT", "RIGHT", timeout.as_secs_f64()));
        let member: Option<Vec<u8>> = self.block("waiting for a hint", blmove, timeout).await?;
        let Some(member) = member else { return Ok(None) };
        let id = parse_member(&member);
        if id.is_none() {
            self.handoff.forget_strays(&self.queue, vec![member]).await;
        }
        Ok(id)
    }

    /// Waits up to `timeout` for the bell: whether it rang. Then there are hints in the head, or were a moment ago:
    /// [`Handoff::take`] takes them, and rings again if it leaves any.
    ///
    /// While the line is longer than the head, hints come by the thousand, and a server hands one of them to each who
    /// blocks in [`Taker::take`] before any can ask for more. Who waits for the bell instead is woken one after the other,
    /// and only as many as there is work for.
    ///
    /// If this future is dropped before its end, the connection goes with it, and nobody may hear a ring.
    ///
    /// # Errors
    /// As [`Taker::take`].
    pub async fn bell(&mut self, timeout: Duration) -> Result<bool, Error> {
        let timeout = timeout.max(SHORTEST);
        let blpop = command("BLPOP", (self.handoff.keys().of(&self.queue).bell(), timeout.as_secs_f64()));
        let rung: Option<(String, String)> = self.block("waiting for the bell", blpop, timeout).await?;
        Ok(rung.is_some())
    }

    /// Sends a command that blocks for at most `timeout`, and waits for its end.
    async fn block<T: FromRedisValue>(
        &mut self,
        doing: &'static str,
        blocking: Cmd,
        timeout: Duration,
    ) -> Result<Option<T>, Error> {
        let mut connection = self
            .connection
            .take()
            .ok_or_else(|| Error::Pool { doing, reason: "the connection was given up; make a new taker".to_owned() })?;
        let waiting = Waiting::begin(&self.waker);
        let answer = if self.waker.woken.load(SeqCst) {
            Ok(None)
        } else {
            // Only a server that is gone is silent for that long: it answers an empty wait by itself.
            let patience = timeout + self.handoff.inner.timeout;
            let answered = blocking.query_async(&mut connection);
            tokio::time::timeout(patience, answered).await.unwrap_or_else(|_| Err(no_answer_within(patience)))
        };
        drop(waiting);
        let answer = answer.map_err(|source| Error::Redis { doing, source })?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// The means to wake this taker.
    #[must_use]
    pub fn unblock(&self) -> Unblock {
        Unblock { handoff: self.handoff.clone(), waker: Arc::clone(&self.waker) }
    }
}

/// Says that a wait is under way for as long as it lives. Its end serves every wake that came before.
struct Waiting<'a>(&'a Waker);

impl<'a> Waiting<'a> {
    fn begin(waker: &'a Waker) -> Self {
        waker.waiting.store(true, SeqCst);
        Self(waker)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.store(false, SeqCst);
        self.0.woken.store(false, SeqCst);
    }
}

impl Unblock {
    /// Ends the wait that is under way, or the next one if there is none, by `CLIENT UNBLOCK` from another connection.
    ///
    /// # Errors
    /// When Redis does not do it in time. The wait ends by itself when its time is over.
    pub async fn wake(&self) -> Result<(), Error> {
        const DOING: &str = "waking a waiting worker";
        self.waker.woken.store(true, SeqCst);
        let wake = async {
            // The server does not know of a wait that has begun here and is still on its way there.
            while self.waker.waiting.load(SeqCst) {
                let unblock = command("CLIENT", ("UNBLOCK", self.waker.client_id)).into();
                let (unblocked,): (bool,) = self.handoff.run(DOING, vec![unblock]).await?;
                if unblocked {
                    break;
                }
                tokio::time::sleep(WAKE_AGAIN).await;
            }
            Ok(())
        };
        let time = self.handoff.inner.timeout;
        tokio::time::timeout(time, wake)
            .await
            .unwrap_or_else(|_| Err(Error::Redis { doing: DOING, source: no_answer_within(time) }))
    }
}
