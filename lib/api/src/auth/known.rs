//! The tokens of the database as this server knows them.
//!
//! One statement reads all usable tokens, at most every half second, and only when somebody asks. A snapshot is used for four
//! seconds, so that a revoked token is refused within five. If the token of a request is not in the snapshot, the server reads a
//! snapshot that is newer than the request before it refuses the request. So a token that has just been made or rotated works
//! immediately. So requests with random tokens cost PostgreSQL at most two statements in a second.

use super::{
    caller::{Caller, Token},
    rates::Rates,
    usage::Usage,
};
use crate::errors::{Code, Problem, Result};
use leasehold_client::read_token;
use leasehold_store::{Store, TokenHash, UsableToken, UsableTokens};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use subtle::ConstantTimeEq;
use tokio::time::{Instant, sleep_until, timeout};

/// How long a snapshot is used. With the time of the statement, a revoke takes effect within five seconds.
const FRESH: Duration = Duration::from_secs(4);
/// How long a request waits for a read, if old tokens are good enough for it.
const OLD_AFTER: Duration = Duration::from_millis(500);
/// The pause between two reads.
const PAUSE: Duration = Duration::from_millis(500);

/// Checks tokens. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Auth(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    /// Only programs of this machine can reach the server.
    is_loopback: bool,
    state: Mutex<State>,
    /// One read at a time.
    reading: tokio::sync::Mutex<()>,
    rates: Rates,
    usage: Usage,
}

#[derive(Debug, Default)]
struct State {
    known: Option<Arc<Known>>,
    /// The time and the error of the last failed read, if no later read has succeeded.
    failed: Option<(Instant, Problem)>,
}

/// A snapshot of the tokens.
#[derive(Debug)]
struct Known {
    /// The time just before the statement was sent.
    asked_at: Instant,
    are_needed: bool,
    by_id: HashMap<String, Entry>,
}

#[derive(Debug)]
struct Entry {
    token: Arc<Token>,
    /// The current secret, and the secret before the last rotation, each with its end.
    secrets: Vec<(TokenHash, Option<Instant>)>,
}

impl Entry {
    fn of(token: UsableToken, asked_at: Instant) -> (String, Self) {
        let end = |left: Duration| asked_at.checked_add(left);
        let UsableToken { id, scopes, hash: (current, left), old_hash, .. } = token;
        let until = left.and_then(end);
        let mut secrets = vec![(current, until)];
        if let Some((old, old_left)) = old_hash {
            // The old secret does not outlive the token.
            let old_until = until.into_iter().chain(end(old_left)).min();
            secrets.push((old, old_until));
        }
        (id.clone(), Self { token: Arc::new(Token { id, scopes }), secrets })
    }

    /// Whether this is the hash of a valid secret. Takes the same time for every wrong hash.
    fn is_proven_by(&self, hash: &TokenHash) -> bool {
        let now = Instant::now();
        let mut is_proven = subtle::Choice::from(0);
        for (secret, until) in &self.secrets {
            let is_valid = until.is_none_or(|until| now < until);
            is_proven |= secret.ct_eq(hash) & subtle::Choice::from(u8::from(is_valid));
        }
        is_proven.into()
    }
}

impl Auth {
    /// Checks tokens for a server that listens on loopback addresses only, or also on other addresses. `rate` is the most
    /// requests of a token in a second; 0: any number.
    #[must_use]
    pub fn new(store: Store, is_loopback: bool, rate: u32) -> Self {
        let usage = Usage::new(store.clone());
        let (state, reading) = Default::default();
        Self(Arc::new(Inner { store, is_loopback, state, reading, rates: Rates::new(rate), usage }))
    }

    /// Whether there are tokens, so that every request needs one.
    ///
    /// # Errors
    /// PostgreSQL fails, or the user of the database may not read tokens.
    pub async fn are_needed(&self) -> std::result::Result<bool, leasehold_store::Error> {
        Ok(self.read().await?.are_needed)
    }

    /// Whether requests of web pages of other sites must be refused, because the server asks for no token, as far as it knows.
    pub(crate) fn is_open(&self) -> bool {
        self.0.is_loopback && !self.state().known.as_ref().is_some_and(|known| known.are_needed)
    }

    /// The caller with this header `Authorization`. `old_ones_count`: while the tokens cannot be read, the last snapshot counts.
    pub(super) async fn caller(&self, given: Option<&str>, old_ones_count: bool) -> Result<Caller> {
        let known = if old_ones_count { self.known_or_old().await? } else { self.known(None).await? };
        if !known.are_needed {
            return self.without_tokens();
        }
        let Some(given) = given else {
            return Err(unauthorized("a token is needed: send the header Authorization: Bearer lh_…"));
        };
        let read = given.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let Some((id, hash)) = read.and_then(|(_, text)| read_token(text.trim())) else {
            return Err(unauthorized(
                "the header Authorization must be: Bearer, and a token of `leasehold token create`",
            ));
        };
        if let Some(token) = known.proven(id, &hash) {
            return Ok(Caller::Token(token));
        }
        // The token may be newer than the snapshot.
        let known = self.known(Some(Instant::now())).await?;
        let token = known.proven(id, &hash);
        token.map(Caller::Token).ok_or_else(|| unauthorized("the token is unknown, revoked or expired"))
    }

    fn without_tokens(&self) -> Result<Caller> {
        match self.0.is_loopback {
            true => Ok(Caller::Anyone),
            // Somebody has deleted the rows.
            false => Err(unauthorized("a token is needed, and there is none: make one with `leasehold token create`")),
        }
    }

    /// Whether a long request is still allowed: during the request, its token may have been revoked, or the first token may have
    /// been made.
    pub(crate) async fn check_again(&self, caller: &Caller) -> Result<()> {
        let known = self.known(None).await?;
        let is_allowed = match caller {
            Caller::Anyone => !known.are_needed && self.0.is_loopback,
            Caller::Token(token) => known.by_id.contains_key(&token.id),
        };
        if is_allowed { Ok(()) } else { Err(unauthorized("the token was revoked, or has expired, during the request")) }
    }

    pub(super) fn rates(&self) -> &Rates {
        &self.0.rates
    }

    pub(super) fn usage(&self) -> &Usage {
        &self.0.usage
    }

    /// A snapshot that is fresh, and not older than this.
    async fn known(&self, not_before: Option<Instant>) -> Result<Arc<Known>> {
        let asked = Instant::now();
        let serves = |known: &Arc<Known>| {
            known.asked_at.elapsed() < FRESH && not_before.is_none_or(|time| known.asked_at >= time)
        };
        if let Some(known) = self.state().known.clone().filter(serves) {
            return Ok(known);
        }
        let _turn = self.0.reading.lock().await;
        let (known, failed) = {
            let state = self.state();
            (state.known.clone(), state.failed.clone())
        };
        if let Some(known) = known.clone().filter(serves) {
            return Ok(known);
        }
        if let Some((_, problem)) = failed.filter(|(at, _)| *at >= asked) {
            return Err(problem);
        }
        if let Some(known) = known {
            sleep_until(known.asked_at + PAUSE).await;
        }
        self.read().await.map_err(|error| cannot_read(&error))
    }

    /// A fresh snapshot, or the last one if PostgreSQL takes long or fails.
    async fn known_or_old(&self) -> Result<Arc<Known>> {
        match timeout(OLD_AFTER, self.known(None)).await {
            Ok(Ok(known)) => Ok(known),
            Ok(Err(problem)) => self.state().known.clone().ok_or(problem),
            Err(_) => {
                let old = self.state().known.clone();
                if let Some(old) = old { Ok(old) } else { self.known(None).await }
            }
        }
    }

    async fn read(&self) -> std::result::Result<Arc<Known>, leasehold_store::Error> {
        let asked_at = Instant::now();
        let usable = match self.usable().await {
            Ok(usable) => usable,
            Err(error) => {
                if self.state().failed.replace((Instant::now(), cannot_read(&error))).is_none() {
                    tracing::warn!(%error, "the tokens cannot be read from PostgreSQL: requests are refused with 503");
                }
                return Err(error);
            }
        };
        let by_id: HashMap<_, _> = usable.tokens.into_iter().map(|token| Entry::of(token, asked_at)).collect();
        self.0.rates.forget_idle();
        self.0.usage.keep_only(|id| by_id.contains_key(id));
        let known = Arc::new(Known { asked_at, are_needed: usable.are_needed, by_id });
        let before = std::mem::replace(&mut *self.state(), State { known: Some(Arc::clone(&known)), failed: None });
        if before.failed.is_some() {
            tracing::info!("the tokens can be read again: requests are let in");
        }
        Ok(known)
    }

    /// The tokens. A server that needs no tokens also works with a user of the database who may not read their hashes.
    async fn usable(&self) -> std::result::Result<UsableTokens, leasehold_store::Error> {
        match self.0.store.usable_tokens().await {
            Err(error) if error.is_denied() && self.0.store.tokens(None).await?.is_empty() => {
                Ok(UsableTokens::default())
            }
            usable => usable,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn proven(&self, id: &str, hash: &TokenHash) -> Option<Arc<Token>> {
        self.by_id.get(id).filter(|entry| entry.is_proven_by(hash)).map(|entry| Arc::clone(&entry.token))
    }
}

fn unauthorized(message: &str) -> Problem {
    Problem::new(Code::Unauthorized, message)
}

/// Every request is refused while the tokens cannot be read.
fn cannot_read(error: &leasehold_store::Error) -> Problem {
    let message = if error.is_denied() {
        "the server's user of PostgreSQL may not read the tokens, so nobody is let in: it needs the role leasehold_api"
    } else if error.may_be_locked() {
        return Problem::of_store(error);
    } else {
        "PostgreSQL is unavailable; try again"
    };
    Problem::new(Code::Unavailable, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::Scopes;

    fn entry(left: Option<Duration>, old: Option<Duration>) -> Entry {
        let token = UsableToken {
            id: "i".to_owned(),
            name: "n".to_owned(),
            scopes: Scopes::default(),
            hash: ([1; 32], left),
            old_hash: old.map(|left| ([2; 32], left)),
        };
        Entry::of(token, Instant::now()).1
    }

    #[test]
    fn a_secret_proves_a_token_until_its_end() {
        let (long, over) = (Duration::from_secs(60), Duration::ZERO);
        let proves = |left, old, hash: u8| entry(left, old).is_proven_by(&[hash; 32]);
        assert!(proves(None, None, 1) && proves(Some(long), None, 1));
        assert!(!proves(None, None, 2) && !proves(Some(over), None, 1) && !proves(None, None, 0));
        assert!(proves(None, Some(long), 2) && proves(None, Some(long), 1));
        assert!(!proves(None, Some(over), 2) && proves(None, Some(over), 1));
        assert!(!proves(Some(over), Some(long), 2), "the old secret does not outlive the token");
        assert!(proves(Some(Duration::MAX), Some(Duration::MAX), 2), "an end beyond all clocks is no end");
    }
}
