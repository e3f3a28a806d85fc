//! What can go wrong between a caller and a store, without a word about the driver of that store.

use std::{error, fmt};

/// A call that failed. That somebody else was first is no error: such answers are values.
#[derive(Debug)]
pub struct Error {
    /// Which store failed, as a log names it: `PostgreSQL`, `Redis`.
    pub store: &'static str,
    /// What was being done.
    pub doing: &'static str,
    /// What the caller can do about it.
    pub class: Class,
    /// Why it failed. Its text says also what was being done.
    pub source: Box<dyn error::Error + Send + Sync>,
}

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// The store is away, overloaded, read-only or full, or rolled the call back: the same call may succeed later.
    Transient,
    /// The store understood the call and refused it, and will refuse it each time.
    Refused,
    /// The values of the caller cannot be accepted as they are. The store did not see them.
    Invalid,
    /// The store, the way to it or its configuration is wrong: a person must mend it. Says nothing against the call itself.
    Broken,
}

impl Error {
    /// An error of one store.
    pub fn new(
        store: &'static str,
        doing: &'static str,
        class: Class,
        source: impl Into<Box<dyn error::Error + Send + Sync>>,
    ) -> Self {
        Self { store, doing, class, source: source.into() }
    }

    /// Whether the store refused the call itself, and will each time. Trouble with the store or with the way to it says
    /// nothing about the call.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self.class, Class::Refused | Class::Invalid)
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.class, Class::Transient)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl error::Error for Error {
    /// The text of [`Error::source`] is the text of this error, so the chain goes on behind it.
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        self.source.source()
    }
}
