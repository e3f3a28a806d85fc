//! An error of the server with our own message and with additional facts.

use sqlx::error::{DatabaseError, ErrorKind};
use std::{borrow::Cow, error::Error as StdError, fmt};

/// The server's error, explained. `T`: the additional facts.
#[derive(Debug)]
pub(crate) struct Explained<T> {
    text: String,
    /// Facts in addition to the text.
    pub(crate) known: T,
    source: Box<dyn DatabaseError>,
}

impl<T: fmt::Debug + Send + Sync + 'static> Explained<T> {
    /// The same error with this text.
    pub(crate) fn error(text: String, known: T, source: Box<dyn DatabaseError>) -> sqlx::Error {
        sqlx::Error::Database(Box::new(Self { text, known, source }))
    }
}

impl<T> fmt::Display for Explained<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<T: fmt::Debug> StdError for Explained<T> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_error())
    }
}

impl<T: fmt::Debug + Send + Sync + 'static> DatabaseError for Explained<T> {
    fn message(&self) -> &str {
        &self.text
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        self.source.code()
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        self.source.kind()
    }
}
