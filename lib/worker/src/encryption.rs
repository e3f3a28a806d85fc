//! Encrypts the result of a job whose payload is encrypted in the store, before the settler gets the result.

use leasehold_core::{JobId, Outcome};
use leasehold_ports::{Class, Encrypt};

/// The outcome with an encrypted result. If the result is too long for encryption, the job is dead: another run would return the
/// same result.
pub(crate) async fn encrypted(store: &(impl Encrypt + ?Sized), id: JobId, outcome: Outcome) -> Outcome {
    let Outcome::Succeeded(Some(result)) = outcome else { return outcome };
    match store.encrypt_result(id, &result).await {
        Ok(result) => Outcome::Succeeded(Some(result)),
        Err(error) if error.class == Class::Invalid => Outcome::Hopeless(format!("the {error}")),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}
