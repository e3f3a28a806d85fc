//! The error of a statement that exceeded its statement timeout, with a message that says what it may have waited for.

use crate::error::code_of;
use sqlx::{
    Error,
    error::{DatabaseError, ErrorKind},
    postgres::PgDatabaseError,
};
use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

/// The SQLSTATE of a cancelled statement (`query_canceled`): by its statement timeout or by an operator.
const CANCELLED: &str = "57014";

/// Whether the server cancelled the statement.
pub(crate) fn is_cancelled(error: &Error) -> bool {
    code_of(error).as_deref() == Some(CANCELLED)
}

/// The server's error with another message. "canceling statement due to statement timeout" tells neither the timeout
/// nor the likely cause.
#[derive(Debug)]
struct StatementTimeout {
    text: String,
    source: Box<dyn DatabaseError>,
}

/// The same error, with a better message if the statement exceeded its timeout.
pub(crate) fn explain(error: Error, limit: Duration) -> Error {
    match error {
        Error::Database(source) if source.code().as_deref() == Some(CANCELLED) => {
            let context = source.try_downcast_ref::<PgDatabaseError>().and_then(PgDatabaseError::r#where);
            let at = context.and_then(|context| context.lines().next()).map(|line| format!(" ({line})"));
            let text = format!(
                "did not end within {} ms; it may be waiting for a lock{}: {}",
                limit.as_millis(),
                at.unwrap_or_default(),
                source.message()
            );
            Error::Database(Box::new(StatementTimeout { text, source }))
        }
        other => other,
    }
}

impl fmt::Display for StatementTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for StatementTimeout {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self.source.as_error())
    }
}

impl DatabaseError for StatementTimeout {
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
