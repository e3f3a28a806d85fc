//! The connection between a process and a store. Faults are injected here, not in the stores.

use async_trait::async_trait;
use std::{fmt, future::pending};

/// A call, or its answer, was lost.
#[derive(Debug)]
pub struct Lost;

/// The error of a call that was lost, or whose answer was lost.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: the connection was lost")]
pub(crate) struct ConnectionLost {
    pub(crate) doing: &'static str,
}

/// The faults for the calls of one process on their way to one store and back.
#[async_trait]
pub trait Link: fmt::Debug + Send + Sync {
    /// Called before the store receives the call. An error: the store never receives it.
    async fn there(&self, verb: &'static str) -> Result<(), Lost>;

    /// Called after the store has executed the call. An error: the answer is lost.
    async fn back(&self, verb: &'static str) -> Result<(), Lost>;

    /// Ready when a waiting connection is cut.
    async fn cut(&self) -> Lost {
        pending().await
    }

    /// Whether the store has noticed that the process at the other end has disappeared.
    fn is_gone(&self) -> bool {
        false
    }

    /// Whether a notice that is sent now is received.
    fn hears(&self) -> bool {
        !self.is_gone()
    }
}

/// A connection without faults and without delay.
#[derive(Debug)]
pub struct Direct;

#[async_trait]
impl Link for Direct {
    async fn there(&self, _verb: &'static str) -> Result<(), Lost> {
        Ok(())
    }

    async fn back(&self, _verb: &'static str) -> Result<(), Lost> {
        Ok(())
    }
}
