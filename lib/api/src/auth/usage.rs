//! Notes when tokens were last used: in the background, and at most once a minute for each token.

use leasehold_store::Store;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::mpsc, time::Instant};

/// A little more than the minute that the statement requires.
const PAUSE: Duration = Duration::from_secs(61);
/// The most tokens of one statement.
const AT_ONCE: usize = 100;

/// When this server has noted the use of each token.
#[derive(Debug)]
pub(super) struct Usage {
    noted: Mutex<HashMap<String, Instant>>,
    notes: mpsc::UnboundedSender<String>,
}

impl Usage {
    pub(super) fn new(store: Store) -> Self {
        let (notes, noted) = mpsc::unbounded_channel();
        tokio::spawn(write(store, noted));
        Self { noted: Mutex::default(), notes }
    }

    /// The token was used.
    pub(super) fn note(&self, id: &str) {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(id).is_some_and(|at| at.elapsed() < PAUSE) {
            return;
        }
        noted.insert(id.to_owned(), Instant::now());
        // The writing task ends with the server.
        let _ = self.notes.send(id.to_owned());
    }

    /// Removes tokens that cannot be used any more.
    pub(super) fn keep_only(&self, is_kept: impl Fn(&str) -> bool) {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| is_kept(id));
    }
}

/// Ends when the sender is dropped.
async fn write(store: Store, mut noted: mpsc::UnboundedReceiver<String>) {
    let mut ids = Vec::new();
    while noted.recv_many(&mut ids, AT_ONCE).await > 0 {
        if let Err(error) = store.note_token_use(&ids).await {
            // The next note of this token is a minute later.
            tracing::debug!(%error, "the use of a token was not noted");
        }
        ids.clear();
    }
}
