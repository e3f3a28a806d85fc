//! Tokens of the HTTP interface: rows of `leasehold.token`. `lib/client` makes and reads the secret; `lib/api` checks the secret.

use crate::{
    connect::Store,
    error::Error,
    row::{millis, time, time_if_any},
};
use chrono::{DateTime, Utc};
use leasehold_core::{Scope, Scopes};
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

/// The SHA-256 of a token.
pub type TokenHash = [u8; 32];

/// A token in a list: without the hash that proves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "columns")]
pub struct TokenRecord {
    pub id: String,
    pub name: String,
    /// As texts: a newer program may know more scopes.
    pub scopes: Vec<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub rotated_at: Option<DateTime<Utc>>,
    /// Until when the secret before the last rotation is valid.
    pub old_until: Option<DateTime<Utc>>,
    /// Exact to a minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A token that is about to be made.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct TokenRow<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub scopes: &'a Scopes,
    pub hash: TokenHash,
    /// For how long the token is valid; `None`: without end.
    pub valid_for: Option<Duration>,
}

/// A token that can be used, as a server knows it.
#[derive(Clone, Debug)]
pub struct UsableToken {
    /// The id, which the token names.
    pub id: String,
    /// The name, for logs.
    pub name: String,
    /// What the token may do.
    pub scopes: Scopes,
    /// The secret, and how long it is still valid; `None`: without end.
    pub hash: (TokenHash, Option<Duration>),
    /// The secret before the last rotation.
    pub old_hash: Option<(TokenHash, Duration)>,
}

/// The data of a server about tokens.
#[derive(Clone, Debug, Default)]
pub struct UsableTokens {
    /// There are tokens, usable or not: every request needs one.
    pub are_needed: bool,
    /// The usable ones.
    pub tokens: Vec<UsableToken>,
}

fn record(row: &PgRow) -> Result<TokenRecord, sqlx::Error> {
    Ok(TokenRecord {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        scopes: row.try_get("scopes")?,
        created_at: time(row, "created_at")?,
        expires_at: time_if_any(row, "expires_at")?,
        revoked_at: time_if_any(row, "revoked_at")?,
        rotated_at: time_if_any(row, "rotated_at")?,
        old_until: time_if_any(row, "old_until")?,
        last_used_at: time_if_any(row, "last_used_at")?,
    })
}

/// The time that is left, not negative.
fn left(row: &PgRow, name: &str) -> Result<Option<Duration>, sqlx::Error> {
    let left: Option<f64> = row.try_get(name)?;
    Ok(left.map(|ms| Duration::try_from_secs_f64(ms.max(0.0) / 1000.0).unwrap_or(Duration::MAX)))
}

fn hash(row: &PgRow, name: &str) -> Result<Option<TokenHash>, sqlx::Error> {
    let bytes: Option<Vec<u8>> = row.try_get(name)?;
    Ok(bytes.and_then(|bytes| bytes.try_into().ok()))
}

fn usable(row: &PgRow) -> Result<Option<UsableToken>, sqlx::Error> {
    let (Some(id), Some(current)) = (row.try_get::<Option<String>, _>("id")?, hash(row, "hash")?) else {
        return Ok(None);
    };
    let scopes: Vec<String> = row.try_get("scopes")?;
    // A scope that this program does not know allows nothing here.
    let scopes: Vec<Scope> = scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
    let old_left = left(row, "old_left_ms")?;
    Ok(Some(UsableToken {
        id,
        name: row.try_get("name")?,
        scopes: Scopes(scopes),
        hash: (current, left(row, "left_ms")?),
        old_hash: hash(row, "old_hash")?.zip(old_left),
    }))
}

impl Store {
    /// Makes a token.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn create_token(&self, token: &TokenRow<'_>) -> Result<TokenRecord, Error> {
        let scopes: Vec<String> = token.scopes.0.iter().map(ToString::to_string).collect();
        let statement = sqlx::query(include_str!("../sql/token_create.sql"))
            .bind(token.id)
            .bind(token.name)
            .bind(scopes)
            .bind(token.hash.as_slice())
            .bind(token.valid_for.map(millis));
        let statement = statement.try_map(|row| record(&row));
        statement.fetch_one(&self.bounded).await.map_err(Error::sql("making a token"))
    }

    /// Gives a token a new secret. The secret before stays valid for `overlap`. `valid_for` moves the end of the token. `None` if there is
    /// no such token, or it is revoked or expired.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn rotate_token(
        &self,
        id: &str,
        hash: TokenHash,
        overlap: Duration,
        valid_for: Option<Duration>,
    ) -> Result<Option<TokenRecord>, Error> {
        let statement = sqlx::query(include_str!("../sql/token_rotate.sql"))
            .bind(id)
            .bind(hash.as_slice())
            .bind(millis(overlap))
            .bind(valid_for.map(millis));
        let statement = statement.try_map(|row| record(&row));
        statement.fetch_optional(&self.bounded).await.map_err(Error::sql("rotating a token"))
    }

    /// Ends a token. `None` if there is no such token, or it was revoked before.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn revoke_token(&self, id: &str) -> Result<Option<TokenRecord>, Error> {
        let statement = sqlx::query(include_str!("../sql/token_revoke.sql")).bind(id).try_map(|row| record(&row));
        statement.fetch_optional(&self.bounded).await.map_err(Error::sql("revoking a token"))
    }

    /// All tokens, the newest first; or the one with this id.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn tokens(&self, id: Option<&str>) -> Result<Vec<TokenRecord>, Error> {
        let statement = sqlx::query(include_str!("../sql/tokens.sql")).bind(id).try_map(|row| record(&row));
        statement.fetch_all(&self.bounded).await.map_err(Error::sql("listing tokens"))
    }

    /// The tokens that can be used, with what proves them: for a server.
    ///
    /// # Errors
    /// The statement failed, also because of missing rights.
    pub async fn usable_tokens(&self) -> Result<UsableTokens, Error> {
        let statement = sqlx::query(include_str!("../sql/token_hashes.sql"))
            .try_map(|row: PgRow| Ok((row.try_get::<bool, _>("are_needed")?, usable(&row)?)));
        let rows = statement.fetch_all(&self.bounded).await.map_err(Error::sql("reading tokens"))?;
        let are_needed = rows.iter().any(|(are_needed, _)| *are_needed);
        Ok(UsableTokens { are_needed, tokens: rows.into_iter().filter_map(|(_, token)| token).collect() })
    }

    /// Notes that these tokens were used a moment ago.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn note_token_use(&self, ids: &[String]) -> Result<(), Error> {
        let statement = sqlx::query(include_str!("../sql/token_used.sql")).bind(ids);
        statement.execute(&self.bounded).await.map(drop).map_err(Error::sql("noting the use of tokens"))
    }
}
