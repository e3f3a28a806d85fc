//! A blocking take, and the handle that wakes it.

use crate::{
    head::MemoryHead,
    keys::{Awaited, Served, Server},
};
use async_trait::async_trait;
use leasehold_core::{JobId, QueueName};
use leasehold_ports::{BlockingTake, Class, Error, WakeTake};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::time::sleep;

/// The pause between two attempts to wake a taker whose command is still on its way.
const WAKE_AGAIN: Duration = Duration::from_millis(2);
const SHORTEST: Duration = Duration::from_millis(10);

/// A connection that waits for a hint or for the bell.
#[derive(Debug)]
pub struct MemoryTaker {
    head: MemoryHead,
    queue: QueueName,
    is_connected: bool,
    state: Arc<TakerState>,
}

/// Shared by a taker and the handles that wake it.
#[derive(Debug, Default)]
struct TakerState {
    taking: AtomicBool,
    woken: AtomicBool,
    /// The number of the wait at the server; 0 when there is none.
    waiter: AtomicU64,
}

/// Marks a take as in progress while this value lives; when dropped, ends the wait at the server.
struct Taking<'a> {
    state: &'a TakerState,
    server: &'a Mutex<Server>,
}

impl Drop for Taking<'_> {
    fn drop(&mut self) {
        self.state.taking.store(false, SeqCst);
        self.state.woken.store(false, SeqCst);
        let waiter = self.state.waiter.swap(0, SeqCst);
        self.server.lock().unwrap_or_else(PoisonError::into_inner).unblock(waiter);
    }
}

impl MemoryHead {
    /// A connection that waits for hints of this queue.
    pub async fn taker(&self, queue: &QueueName) -> Result<MemoryTaker, Error> {
        self.call("taker", |_, _| ()).await?;
        Ok(MemoryTaker::new(self.clone(), queue.clone()))
    }
}

impl MemoryTaker {
    fn new(head: MemoryHead, queue: QueueName) -> Self {
        Self { head, queue, is_connected: true, state: Arc::default() }
    }
}

impl MemoryTaker {
    async fn block(
        &mut self,
        queues: &[QueueName],
        awaited: Awaited,
        timeout: Duration,
    ) -> Result<Option<Served>, Error> {
        const DOING: &str = "waiting at Redis";
        if !std::mem::replace(&mut self.is_connected, false) {
            let given_up = format!("{DOING}: the connection was given up; make a new taker");
            return Err(Error::new("Redis", DOING, Class::Transient, given_up));
        }
        let (head, state) = (&self.head, &*self.state);
        state.taking.store(true, SeqCst);
        let taking = Taking { state, server: &head.server };
        if state.woken.load(SeqCst) {
            drop(taking);
            self.is_connected = true;
            return Ok(None);
        }
        head.link.there("take").await.map_err(|_| MemoryHead::lost(DOING))?;
        let (waiter, answered) = head.server().wait(queues, awaited, Arc::clone(&head.link));
        state.waiter.store(waiter, SeqCst);
        let served = tokio::select! {
            biased;
            served = answered => served.unwrap_or_default(),
            _ = head.link.cut() => return Err(MemoryHead::lost(DOING)),
            () = sleep(timeout.max(SHORTEST)) => None,
        };
        drop(taking);
        head.link.back("take").await.map_err(|_| MemoryHead::lost(DOING))?;
        self.is_connected = true;
        Ok(served)
    }
}

#[async_trait]
impl BlockingTake for MemoryTaker {
    async fn take(&mut self, timeout: Duration) -> Result<Option<JobId>, Error> {
        let served = self.block(&[self.queue.clone()], Awaited::Hint, timeout).await?;
        Ok(served.and_then(|served| if let Served::Hint(id) = served { Some(id) } else { None }))
    }

    async fn bell(&mut self, timeout: Duration) -> Result<bool, Error> {
        Ok(self.any_bell(&[self.queue.clone()], timeout).await?.is_some())
    }

    async fn any_bell(&mut self, queues: &[QueueName], timeout: Duration) -> Result<Option<QueueName>, Error> {
        let served = self.block(queues, Awaited::Bell, timeout).await?;
        Ok(served.and_then(|served| if let Served::Bell(queue) = served { Some(queue) } else { None }))
    }

    fn unblock(&self) -> Arc<dyn WakeTake> {
        Arc::new(MemoryUnblock { head: self.head.clone(), state: Arc::clone(&self.state) })
    }
}

#[derive(Debug)]
struct MemoryUnblock {
    head: MemoryHead,
    state: Arc<TakerState>,
}

#[async_trait]
impl WakeTake for MemoryUnblock {
    async fn wake(&self) -> Result<(), Error> {
        self.state.woken.store(true, SeqCst);
        let wake = async {
            while self.state.taking.load(SeqCst) {
                self.head.link.there("wake").await?;
                if self.head.server().unblock(self.state.waiter.load(SeqCst)) {
                    break;
                }
                sleep(WAKE_AGAIN).await;
            }
            Ok(())
        };
        match tokio::time::timeout(Duration::from_secs(2), wake).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(crate::link::Lost)) | Err(_) => Err(MemoryHead::lost("waking a waiting worker")),
        }
    }
}
