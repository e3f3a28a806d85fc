//! Encryption of the output of a run: its result, and its follow-on jobs. A store without keys gives everything back unchanged.

use crate::error::Error;
use async_trait::async_trait;
use leasehold_core::{JobId, NewJob};
use serde_json::value::RawValue;
use std::fmt;

/// Encrypts the output of a run.
#[async_trait]
pub trait Encrypt: fmt::Debug + Send + Sync {
    /// Encrypts the result of a job whose payload was encrypted. An error of the class `Invalid`: the result is too long for that.
    async fn encrypt_result(&self, id: JobId, result: &RawValue) -> Result<Box<RawValue>, Error>;

    /// Encrypts the payloads of these jobs whose queues take encrypted payloads.
    async fn encrypt_jobs(&self, jobs: &[NewJob]) -> Result<Vec<NewJob>, Error>;
}
