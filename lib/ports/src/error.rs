//! The error between a caller and a store. It names no driver.

use std::{error, fmt};

/// A failed call. A lost race (another process was first) is not an error: such answers are values.
#[derive(Debug)]
pub struct Error {
    /// The store that failed, by its name in logs: `PostgreSQL`, `Redis`.
    pub store: &'static str,
    /// The action of the call.
    pub doing: &'static str,
    /// What the caller can do about it.
    pub class: Class,
    /// The cause. Its text also names the action of the call.
    pub source: Box<dyn error::Error + Send + Sync>,
}

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The store is unavailable, overloaded, read-only or full, or it rolled the call back: the same call may succeed
    /// later.
    Transient,
    /// Another transaction held a lock for longer than the call was allowed to wait: the same call may succeed later. The
    /// store answers other calls.
    Locked,
    /// The store understood the call and refused it. It will always refuse this call.
    Refused,
    /// The caller's values are not acceptable. The store did not see them.
    Invalid,
    /// The store, the network or the configuration is wrong, and an operator must repair it. The call itself may be
    /// right.
    Broken,
}

impl Error {
    /// An error of a store.
    pub fn new(
        store: &'static str,
        doing: &'static str,
        class: Class,
        source: impl Into<Box<dyn error::Error + Send + Sync>>,
    ) -> Self {
        Self { store, doing, class, source: source.into() }
    }

    /// Whether the store refused the call itself and always will. Problems of the store or of the network say nothing
    /// about the call.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self.class, Class::Refused | Class::Invalid)
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.class, Class::Transient | Class::Locked)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl error::Error for Error {
    /// The text of [`Error::source`] is already the text of this error, so the chain continues behind it.
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.source()
    }
}
