//! The errors of PostgreSQL and of the connection to PostgreSQL. "Another process was first" is no error: such answers
//! are values.

use crate::locked_out::{LockedOut, locked_tables};
use leasehold_core::{InvalidJob, JobId};
use leasehold_ports::{Class, Enqueued};
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use std::fmt;

/// An error, with the action that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The jobs cannot be accepted as they are.
    #[error(transparent)]
    Invalid(#[from] InvalidJob),
    /// The URL is no URL of PostgreSQL.
    #[error("database.url: {0}")]
    Url(String),
    /// No connection could be made.
    #[error("cannot connect to PostgreSQL at {to}: {}", Cause(source))]
    Connect {
        #[doc = "host, port, database and user; never the password"]
        to: String,
        #[doc = "the reason"]
        source: sqlx::Error,
    },
    /// There is a pooler on the way, and the settings do not say so.
    #[error(
        "{doing}: {said}: a connection pooler stands before PostgreSQL; \
         set database.pooler to transaction (LEASEHOLD_DATABASE__POOLER=transaction)"
    )]
    Pooler {
        #[doc = "the action that failed"]
        doing: &'static str,
        #[doc = "how the pooler was noticed"]
        said: String,
    },
    /// The pooler gives the connection to another client within a transaction.
    #[error("{doing}: {said}: PgBouncer must run with pool_mode = transaction, or session")]
    PoolMode {
        #[doc = "the action that failed"]
        doing: &'static str,
        #[doc = "what the pooler said"]
        said: String,
    },
    /// The server answers, but takes no writes.
    #[error("{doing}: PostgreSQL takes no writes ({})", why_read_only(*is_standby))]
    ReadOnly {
        #[doc = "the action that failed"]
        doing: &'static str,
        #[doc = "the server follows another server; otherwise a setting makes it read-only"]
        is_standby: bool,
    },
    /// The database has an unsuitable text encoding.
    #[error(
        "the database has the encoding {0}, and Leasehold needs UTF8; make another one: \
         CREATE DATABASE jobs ENCODING 'UTF8' TEMPLATE template0"
    )]
    Encoding(String),
    /// There is no schema `leasehold` yet.
    #[error("the database has no schema leasehold; run `leasehold migrate`")]
    SchemaMissing,
    /// The schema is older than this program.
    #[error("the schema leasehold is at version {found}, this program needs {needed}; run `leasehold migrate`")]
    SchemaOlder {
        #[doc = "in the database"]
        found: i64,
        #[doc = "in this program"]
        needed: i64,
    },
    /// The schema is newer than this program.
    #[error("the schema leasehold is at version {found}, this program knows only {known}; use a newer leasehold")]
    SchemaNewer {
        #[doc = "in the database"]
        found: i64,
        #[doc = "in this program"]
        known: i64,
    },
    /// The functions of the schema are older than the functions of this program.
    #[error("functions of the schema leasehold are not those of this program ({names}); run `leasehold migrate`")]
    FunctionsOlder {
        #[doc = "which ones"]
        names: String,
    },
    /// The functions of the schema are newer than the functions of this program.
    #[error(
        "the functions of the schema leasehold are at revision {found}, this program has {known}; use a newer leasehold"
    )]
    FunctionsNewer {
        #[doc = "in the database"]
        found: i32,
        #[doc = "in this program"]
        known: i32,
    },
    /// An applied migration differs from the migration of this program.
    #[error("migration {version} of the schema leasehold was applied with another text than this program's")]
    SchemaDiffers {
        #[doc = "of the migration"]
        version: i64,
    },
    /// Other sessions held locks that a migration needs for longer than the patience of the migration.
    #[error(
        "{} waited {} s for {by}; run `leasehold migrate` again to continue",
        if *version == 0 { "migrating the schema leasehold".to_owned() } else { format!("migration {version} of the schema leasehold") },
        waited.as_secs()
    )]
    MigrationHeldUp {
        #[doc = "of the migration; 0 if none was begun"]
        version: i64,
        #[doc = "how long"]
        waited: std::time::Duration,
        #[doc = "what the migration waited for, and the session that has it"]
        by: String,
    },
    /// Open transactions of other sessions hold some of the requested rows or keys. The rest was done. A retry helps
    /// when these transactions have ended.
    #[error("{0}; try again when it has ended")]
    Locked(Box<LockedOut>),
    /// A live job has the unique key of this job.
    #[error("the unique key of {0} is taken by a live job")]
    UniqueKeyTaken(JobId),
    /// A batch took two statements, and the second one failed.
    #[error("{} of the jobs that were sent together were accepted, the others not: {source}", answers.iter().flatten().count())]
    InPart {
        #[doc = "the answers to the jobs that are committed, in the order of the call; `None` for the others, also at the end"]
        answers: Vec<Option<Enqueued>>,
        #[doc = "why the others were not accepted"]
        source: Box<Error>,
    },
    /// The server answered with an error, or did not answer.
    #[error("{doing}: {}", Cause(source))]
    Sql {
        #[doc = "the action that failed"]
        doing: &'static str,
        #[doc = "the reason"]
        source: sqlx::Error,
    },
}

/// SQLSTATE classes and codes that are no fault of the statement: a broken connection (08), a rollback because of a
/// conflict (40), missing resources (53), an operator or a failover (57P), a lock or a timeout (55P03, 57014, 25P), a
/// server that is now a standby (25006).
const TRANSIENT: [&str; 10] = ["08", "40", "53", "57P01", "57P02", "57P03", "55P03", "57014", "25006", "25P"];

/// The SQLSTATE of refuse_plain_payload.
pub(crate) const WANTS_ENCRYPTION: &str = "22ENC";

/// SQLSTATE classes of a refused connection: wrong credentials (28), an unknown database (3D).
const OF_CONNECTING: [&str; 2] = ["28", "3D"];

impl Error {
    /// For `map_err`: the error with the action that failed.
    pub(crate) fn sql(doing: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| {
            if let Some(held) = locked_tables(&source) {
                return Self::Locked(Box::new(LockedOut { doing, held, accepted: Vec::new() }));
            }
            Self::of_pooler(doing, &source).unwrap_or(Self::Sql { doing, source })
        }
    }

    /// No connection could be made.
    pub(crate) fn connect(to: String, source: sqlx::Error) -> Self {
        Self::of_pooler("connecting to PostgreSQL", &source).unwrap_or(Self::Connect { to, source })
    }

    pub(crate) fn pooler(doing: &'static str, said: impl Into<String>) -> Self {
        Self::Pooler { doing, said: said.into() }
    }

    /// An error that only a pooler produces, or a server behind a pooler.
    fn of_pooler(doing: &'static str, source: &sqlx::Error) -> Option<Self> {
        let error = source.as_database_error()?;
        let said = error.message();
        // duplicate_prepared_statement, invalid_sql_statement_name: a prepared statement belongs to another client or
        // to another connection.
        let is_mixed_up = matches!(error.code().as_deref(), Some("42P05" | "26000"));
        if is_mixed_up || said.starts_with("unsupported startup parameter") {
            return Some(Self::pooler(doing, said));
        }
        said.contains("statement pooling mode").then(|| Self::PoolMode { doing, said: said.to_owned() })
    }

    /// Whether a later retry may help: the server was unavailable or overloaded, or a deadlock was resolved.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        let source = match self {
            Self::Sql { source, .. } | Self::Connect { source, .. } => source,
            Self::InPart { source, .. } => return source.is_transient(),
            Self::MigrationHeldUp { .. } | Self::Locked(_) | Self::ReadOnly { .. } => return true,
            _ => return false,
        };
        match source {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
            // The answer is incomplete, or another program on the way sent it.
            sqlx::Error::Protocol(_) => true,
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                TRANSIENT.iter().any(|prefix| code.starts_with(prefix))
            }
            _ => false,
        }
    }

    /// Whether the server refuses this statement every time. Errors of the server as a whole, of the connection, or of
    /// the credentials do not count.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::InPart { source, .. } => source.is_refusal(),
            Self::Sql { source: sqlx::Error::Database(error), .. } => {
                let code = error.code().unwrap_or_default();
                !self.is_transient() && !OF_CONNECTING.iter().any(|class| code.starts_with(class))
            }
            Self::Sql { source: sqlx::Error::Tls(_), .. } | Self::Connect { .. } | Self::Pooler { .. } => false,
            _ => !self.is_transient(),
        }
    }

    /// Whether the server rolled the statement back because of a conflict. The statement changed nothing and can be
    /// sent again immediately.
    pub(crate) fn is_rolled_back(&self) -> bool {
        match self {
            Self::Sql { source, .. } | Self::Connect { source, .. } => is_rolled_back(source),
            _ => false,
        }
    }

    /// Whether the user of the database lacks a right.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Sql { source, .. } => code_of(source).as_deref() == Some("42501"),
            Self::InPart { source, .. } => source.is_denied(),
            _ => false,
        }
    }

    /// The server's message about a value that one of our functions refuses: the mistake is the caller's.
    #[must_use]
    pub fn refused_value(&self) -> Option<String> {
        let source = match self {
            Self::Sql { source, .. } => source,
            Self::InPart { source, .. } => return source.refused_value(),
            _ => return None,
        };
        let sqlx::Error::Database(error) = source else { return None };
        // A parent that does not exist, or a value that no check of this program knows.
        let is_refused = error.code().is_some_and(|code| code == "23503" || code == "P0002" || code.starts_with("22"));
        is_refused.then(|| without_function(error.message()).to_owned())
    }

    /// Whether a queue takes encrypted payloads only, and a payload was not encrypted.
    pub(crate) fn wants_encryption(&self) -> bool {
        match self {
            Self::InPart { source, .. } => source.wants_encryption(),
            _ => self.code().is_some_and(|code| code == WANTS_ENCRYPTION),
        }
    }

    /// Whether a lock was not free within the lock timeout.
    pub(crate) fn is_locked(&self) -> bool {
        self.code().is_some_and(|code| code == "55P03")
    }

    /// Whether the server cancelled the statement, because it ran for too long.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.code().is_some_and(|code| code == "57014")
    }

    /// Whether a lock of another session blocked the statement for too long.
    #[must_use]
    pub fn may_be_locked(&self) -> bool {
        matches!(self, Self::Locked(_)) || self.may_be_row_lock()
    }

    /// Whether the statement timed out although no session has locked a whole table: perhaps because of a lock on a
    /// row.
    pub(crate) fn may_be_row_lock(&self) -> bool {
        self.code().is_some_and(|code| code == "55P03" || code == "57014")
    }

    /// The SQLSTATE, if the server gave one.
    pub(crate) fn code(&self) -> Option<String> {
        let (Self::Sql { source, .. } | Self::Connect { source, .. }) = self else { return None };
        code_of(source)
    }
}

impl Error {
    /// The error of a call that has enqueued some of its jobs before.
    pub(crate) fn in_part(answers: &[Option<Enqueued>], error: Self) -> Self {
        if answers.iter().all(Option::is_none) {
            return error;
        }
        Self::InPart { answers: answers.to_vec(), source: Box::new(error) }
    }
}

impl From<Error> for leasehold_ports::Error {
    fn from(error: Error) -> Self {
        Self::new("PostgreSQL", error.doing(), error.class(), error)
    }
}

impl Error {
    /// The action that failed.
    fn doing(&self) -> &'static str {
        match self {
            Self::Pooler { doing, .. }
            | Self::PoolMode { doing, .. }
            | Self::ReadOnly { doing, .. }
            | Self::Sql { doing, .. } => doing,
            Self::Locked(locked) => locked.doing,
            Self::InPart { source, .. } => source.doing(),
            Self::Invalid(_) => "checking jobs",
            Self::UniqueKeyTaken(_) => "reviving jobs",
            Self::Url(_) | Self::Connect { .. } | Self::Encoding(_) => "connecting to PostgreSQL",
            Self::SchemaMissing
            | Self::SchemaOlder { .. }
            | Self::SchemaNewer { .. }
            | Self::SchemaDiffers { .. }
            | Self::FunctionsOlder { .. }
            | Self::FunctionsNewer { .. } => "checking the schema",
            Self::MigrationHeldUp { .. } => "migrating the schema",
        }
    }

    /// The class of the error, for callers that know no driver.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::InPart { source, .. } => source.class(),
            Self::Invalid(_) => Class::Invalid,
            Self::Url(_)
            | Self::Pooler { .. }
            | Self::PoolMode { .. }
            | Self::Encoding(_)
            | Self::SchemaMissing
            | Self::SchemaOlder { .. }
            | Self::SchemaNewer { .. }
            | Self::SchemaDiffers { .. }
            | Self::FunctionsOlder { .. }
            | Self::FunctionsNewer { .. } => Class::Broken,
            Self::Locked(_) => Class::Locked,
            _ if self.is_locked() => Class::Locked,
            _ if self.is_transient() => Class::Transient,
            _ if self.is_refusal() => Class::Refused,
            _ => Class::Broken,
        }
    }
}

/// The possible reasons of an error of a statement, which does not say which one it is.
const WHY_READ_ONLY: &str = "it is a standby, or default_transaction_read_only is on";

const fn why_read_only(is_standby: bool) -> &'static str {
    if is_standby {
        "it is a standby: database.url must name the primary"
    } else {
        "default_transaction_read_only is on: on the server, the database or the role"
    }
}

/// The same for an error of the driver.
pub(crate) fn is_rolled_back(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| code == "40001" || code == "40P01")
}

/// The SQLSTATE of an error of the driver.
pub(crate) fn code_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(Into::into)
}

/// Classes and codes of errors that leave the connection fit for use: wrong data (22, 23, 44), a rollback because of a
/// conflict (40001, 40P01), a refused statement (42, 54), a thing in use or locked (55), a timeout (57014), a full disk
/// (53100), an error that a function raised (P0).
const LEAVE_CONNECTION_FIT: [&str; 11] = ["22", "23", "40001", "40P01", "42", "44", "53100", "54", "55", "57014", "P0"];

/// Whether the connection can be used after this error. It cannot after an error of the connection itself or when the
/// server ends the connection. It should not after an error that another server may not produce: this server takes no
/// writes (25006) or is about to stop. It should not after an error that a kept plan may produce each time (0A000).
pub(crate) fn leaves_connection_fit(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    let code = error.code().unwrap_or_default();
    let is_of_the_statement = LEAVE_CONNECTION_FIT.iter().any(|prefix| code.starts_with(prefix));
    let ends_the_connection = error
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic));
    // duplicate_prepared_statement: a pooler has given us a connection that knows the statements of another client.
    is_of_the_statement && code != "42P05" && !ends_the_connection
}

/// The message without the name of our SQL function that raised it, such as `leasehold.enqueue: `. The name helps those who call the
/// function in SQL; the callers of this crate have called something else.
fn without_function(message: &str) -> &str {
    let Some((name, said)) = message.split_once(": ") else { return message };
    let function = name.strip_prefix("leasehold.").unwrap_or_default();
    let is_function = !function.is_empty() && function.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_function { said } else { message }
}

/// An error of the driver in one line, with the words of the server if there are any.
pub(crate) struct Cause<'a>(pub(crate) &'a sqlx::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            sqlx::Error::Database(error) if error.code().as_deref() == Some("25006") => {
                write!(f, "PostgreSQL takes no writes ({}): {}", WHY_READ_ONLY, error.message())
            }
            sqlx::Error::Database(error) => f.write_str(without_function(error.message())),
            sqlx::Error::Io(error) => error.fmt(f),
            sqlx::Error::PoolTimedOut => f.write_str("no connection to PostgreSQL was available in time"),
            other => other.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        let away = Error::sql("claiming jobs")(sqlx::Error::PoolTimedOut);
        assert!(away.is_transient() && !away.is_rolled_back());
        assert_eq!(away.to_string(), "claiming jobs: no connection to PostgreSQL was available in time");
        let garbled = Error::sql("settling runs")(sqlx::Error::Protocol("unexpected response".into()));
        assert!(garbled.is_transient() && !garbled.is_refusal());
        assert!(!Error::SchemaMissing.is_transient() && Error::SchemaMissing.is_refusal());
        assert!(!Error::sql("reading a job")(sqlx::Error::RowNotFound).is_transient());
    }

    #[test]
    fn the_name_of_a_function_of_ours_is_left_out() {
        assert_eq!(without_function("leasehold.enqueue_graph: job 2 has a cycle: b"), "job 2 has a cycle: b");
        for said in
            ["permission denied for table job", "a: b", "relation leasehold.job: locked", "leasehold.Job: locked"]
        {
            assert_eq!(without_function(said), said);
        }
    }
}
