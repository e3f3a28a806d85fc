//! The way between a process and a store. Faults are here, not in the stores.

use async_trait::async_trait;
use std::{fmt, future::pending};

/// A call, or its answer, did not get through.
#[derive(Debug)]
pub struct Lost;

/// What happens to the calls of one process on their way to one store and back.
#[async_trait]
pub trait Link: fmt::Debug + Send + Sync {
    /// Before the store hears of the call. An error: it never does.
    async fn there(&self, verb: &'static str) -> Result<(), Lost>;

    /// After the store has done it. An error: nobody is told.
    async fn back(&self, verb: &'static str) -> Result<(), Lost>;

    /// Ready when a connection that waits for something is cut.
    async fn cut(&self) -> Lost {
        pending().await
    }

    /// Whether the store knows that nobody is at the other end any more.
    fn is_gone(&self) -> bool {
        false
    }

    /// Whether a notice that is said now is heard.
    fn hears(&self) -> bool {
        !self.is_gone()
    }
}

/// Nothing goes wrong, and nothing takes time.
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
