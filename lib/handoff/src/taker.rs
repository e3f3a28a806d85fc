//! Waits for a hint or for the bell, without polling.

use crate::{
    connect::Handoff,
    error::Error,
    pool::{connection_of_its_own, no_answer_within},
    scripts::command,
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

/// The shortest wait: 0 means no timeout in Redis.
const SHORTEST: Duration = Duration::from_millis(10);
/// The pause between two attempts to wake a taker whose command is still on its way to the server.
const WAKE_AGAIN: Duration = Duration::from_millis(2);

/// A connection that sends only `BLMOVE ready claimed LEFT RIGHT` and `BLPOP bell …`, which block.
///
/// Await [`Taker::take`] and [`Taker::bell`] to their end. To end one of them early, use [`Unblock`] instead of
/// dropping the future.
#[derive(Debug)]
pub struct Taker {
    handoff: Handoff,
    queue: QueueName,
    /// `None` after an error and during a take: a future that is dropped drops the connection.
    connection: Option<MultiplexedConnection>,
    waker: Arc<Waker>,
}

/// The state that a taker shares with the handles that wake it.
#[derive(Debug)]
struct Waker {
    /// The client id of the taker's connection at the server.
    client_id: i64,
    /// A wait is in progress.
    waiting: AtomicBool,
    /// A wake has come that has not ended a wait yet.
    woken: AtomicBool,
}

/// Wakes a taker. Its wait then ends with nothing, or with a hint that it had already got.
#[derive(Clone, Debug)]
pub struct Unblock {
    handoff: Handoff,
    waker: Arc<Waker>,
}

impl Handoff {
    /// A taker, with a separate blocking connection.
    ///
    /// # Errors
    /// If the connection cannot be made in time.
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
    /// Waits up to `timeout` for a hint, and moves the hint to `claimed`. The caller must immediately lease the hint
    /// ([`Handoff::take`] with `adopt`), claim its job in PostgreSQL, or give the hint back ([`Handoff::release`]).
    ///
    /// If this future is dropped before its end, the connection is closed (make a new taker). If the server has
    /// already moved a hint, the hint stays in `claimed` until the reaper adopts it: its job starts seconds later, and
    /// is not lost.
    ///
    /// # Errors
    /// If the connection fails, or the server is silent for much longer than `timeout`. Then the connection is closed:
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

    /// Waits up to `timeout` for the bell. Returns whether the bell rang. Then the head has hints, or had hints a
    /// moment ago: [`Handoff::take`] takes them, and rings again if it leaves any.
    ///
    /// While the line is longer than the head, hints come by the thousand. The server would give one hint to each
    /// worker that blocks in [`Taker::take`], before any worker can take more. Workers that wait for the bell are woken
    /// one after the other, and only as many as there is work for.
    ///
    /// If this future is dropped before its end, the connection is closed, and a ring may be lost.
    ///
    /// # Errors
    /// As for [`Taker::take`].
    pub async fn bell(&mut self, timeout: Duration) -> Result<bool, Error> {
        let timeout = timeout.max(SHORTEST);
        let blpop = command("BLPOP", (self.handoff.keys().of(&self.queue).bell(), timeout.as_secs_f64()));
        let rung: Option<(String, String)> = self.block("waiting for the bell", blpop, timeout).await?;
        Ok(rung.is_some())
    }

    /// The same for the bells of many queues: waits until one of them rings, and returns its queue.
    ///
    /// # Errors
    /// As for [`Taker::take`].
    pub async fn any_bell(&mut self, queues: &[QueueName], timeout: Duration) -> Result<Option<QueueName>, Error> {
        let timeout = timeout.max(SHORTEST);
        let bells: Vec<String> = queues.iter().map(|queue| self.handoff.keys().of(queue).bell()).collect();
        let blpop = command("BLPOP", (&bells, timeout.as_secs_f64()));
        let rung: Option<(String, String)> = self.block("waiting for the bells of queues", blpop, timeout).await?;
        Ok(rung.and_then(|(key, _)| bells.iter().position(|bell| *bell == key)).map(|nth| queues[nth].clone()))
    }

    /// Sends a command that blocks for at most `timeout`, and waits for its answer.
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
            // Only a dead server is silent for so long: a live server ends the wait by itself.
            let patience = timeout + self.handoff.inner.timeout;
            let answered = blocking.query_async(&mut connection);
            tokio::time::timeout(patience, answered).await.unwrap_or_else(|_| Err(no_answer_within(patience)))
        };
        drop(waiting);
        let answer = answer.map_err(|source| Error::Redis { doing, source })?;
        self.connection = Some(connection);
        Ok(answer)
    }

    /// The handle that wakes this taker.
    #[must_use]
    pub fn unblock(&self) -> Unblock {
        Unblock { handoff: self.handoff.clone(), waker: Arc::clone(&self.waker) }
    }
}

/// Marks a wait as in progress while this value exists. The end of the wait satisfies every earlier wake.
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
    /// Ends the wait that is in progress, or else the next wait, with `CLIENT UNBLOCK` from another connection.
    ///
    /// # Errors
    /// If Redis does not answer in time. The wait ends by itself at its timeout.
    pub async fn wake(&self) -> Result<(), Error> {
        const DOING: &str = "waking a waiting worker";
        self.waker.woken.store(true, SeqCst);
        let wake = async {
            // The server does not know a wait whose command is still on its way.
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
