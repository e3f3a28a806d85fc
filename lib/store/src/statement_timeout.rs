//! The error of a statement that exceeded its statement timeout, with a message that says which locks the statement may have
//! waited for.

use crate::{error::code_of, explained::Explained};
use sqlx::{Error, postgres::PgDatabaseError};
use std::time::Duration;

/// The SQLSTATE of a cancelled statement (`query_canceled`): by its statement timeout or by an operator.
const CANCELLED: &str = "57014";

/// Whether the server cancelled the statement.
pub(crate) fn is_cancelled(error: &Error) -> bool {
    code_of(error).as_deref() == Some(CANCELLED)
}

/// The same error, with a better message if the statement exceeded its timeout: "canceling statement due to statement timeout" tells
/// neither the timeout nor the likely cause.
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
            Explained::error(text, (), source)
        }
        other => other,
    }
}
