//! Makes tokens of the HTTP interface, and gives them new secrets.

use crate::{
    Error,
    token_text::{TokenText, new_id, new_text},
};
use leasehold_core::Scopes;
use leasehold_store::{Store, TokenRecord, TokenRow};
use std::time::Duration;

/// Makes a token. Its text can be read only from this answer.
///
/// # Errors
/// PostgreSQL fails, or the operating system gives no random bytes.
pub async fn create_token(
    store: &Store,
    name: &str,
    scopes: &Scopes,
    valid_for: Option<Duration>,
) -> Result<(TokenRecord, TokenText), Error> {
    let id = new_id().map_err(Error::NoRandomness)?;
    let (text, hash) = new_text(&id).map_err(Error::NoRandomness)?;
    let row = TokenRow { id: &id, name, scopes, hash, valid_for };
    Ok((store.create_token(&row).await?, text))
}

/// Gives a token a new secret. The previous secret stays valid for `overlap`. `valid_for` moves the end of the token. `None` if
/// there is no such token, or it is revoked or expired.
///
/// # Errors
/// PostgreSQL fails, or the operating system gives no random bytes.
pub async fn rotate_token(
    store: &Store,
    id: &str,
    overlap: Duration,
    valid_for: Option<Duration>,
) -> Result<Option<(TokenRecord, TokenText)>, Error> {
    let (text, hash) = new_text(id).map_err(Error::NoRandomness)?;
    let rotated = store.rotate_token(id, hash, overlap, valid_for).await?;
    Ok(rotated.map(|token| (token, text)))
}
