//! What can go wrong on the way to PostgreSQL and back. That somebody else was first is not among it:
//! such answers are values.

use crate::locked_out::LockedOut;
use leasehold_core::{InvalidJob, JobId};
use leasehold_ports::Class;
use sqlx::postgres::{PgDatabaseError, PgSeverity};
use std::fmt;

/// What went wrong, and what was being done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The jobs cannot be accepted as they are.
    #[error(transparent)]
    Invalid(#[from] InvalidJob),
    /// The URL is not one of PostgreSQL.
    #[error("database.url: {0}")]
    Url(String),
    /// No connection could be made.
    #[error("cannot connect to PostgreSQL at {to}: {}", Cause(source))]
    Connect {
        #[doc = "host, port, database and user; never the password"]
        to: String,
        #[doc = "why it failed"]
        source: sqlx::Error,
    },
    /// There is a pooler in between that nobody told us of.
    #[error(
        "{doing}: {said}: a connection pooler stands before PostgreSQL; \
         set database.pooler to transaction (LEASEHOLD_DATABASE__POOLER=transaction)"
    )]
    Pooler {
        #[doc = "what was being done"]
        doing: &'static str,
        #[doc = "how it was noticed"]
        said: String,
    },
    /// The pooler takes a connection away in the middle of a transaction.
    #[error("{doing}: {said}: PgBouncer must run with pool_mode = transaction, or session")]
    PoolMode {
        #[doc = "what was being done"]
        doing: &'static str,
        #[doc = "what the pooler said"]
        said: String,
    },
    /// The server answers, and takes no writes.
    #[error("{doing}: PostgreSQL takes no writes ({})", why_read_only(*is_standby))]
    ReadOnly {
        #[doc = "what was being done"]
        doing: &'static str,
        #[doc = "it follows another server; else somebody has set it read-only"]
        is_standby: bool,
    },
    /// The database keeps text in another encoding.
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
    /// The functions of the schema are older than this program's.
    #[error("functions of the schema leasehold are not those of this program ({names}); run `leasehold migrate`")]
    FunctionsOlder {
        #[doc = "which ones"]
        names: String,
    },
    /// The functions of the schema are newer than this program's.
    #[error(
        "the functions of the schema leasehold are at revision {found}, this program has {known}; use a newer leasehold"
    )]
    FunctionsNewer {
        #[doc = "in the database"]
        found: i32,
        #[doc = "in this program"]
        known: i32,
    },
    /// A migration was applied with another text than this program has.
    #[error("migration {version} of the schema leasehold was applied with another text than this program's")]
    SchemaDiffers {
        #[doc = "of the migration"]
        version: i64,
    },
    /// Others held the locks that a migration needs for longer than it had patience.
    #[error(
        "{} waited {} s for {by}; run `leasehold migrate` again to go on",
        if *version == 0 { "migrating the schema leasehold".to_owned() } else { format!("migration {version} of the schema leasehold") },
        waited.as_secs()
    )]
    MigrationHeldUp {
        #[doc = "of the migration; 0 if none was begun"]
        version: i64,
        #[doc = "how long"]
        waited: std::time::Duration,
        #[doc = "what was waited for, and who has it"]
        by: String,
    },
    /// Open transactions of others hold some of what was asked for. The rest was done. Trying again helps when they have
    /// ended.
    #[error("{0}; try again when it has ended")]
    Locked(Box<LockedOut>),
    /// A unique key of the job is in use by a live one.
    #[error("the unique key of {0} is taken by a live job")]
    UniqueKeyTaken(JobId),
    /// A batch took two statements, and the second one failed.
    #[error("{accepted} jobs of the batch were accepted, the others not: {source}")]
    InPart {
        #[doc = "how many are committed"]
        accepted: usize,
        #[doc = "what became of the others"]
        source: Box<Error>,
    },
    /// The server answered with an error, or did not answer.
    #[error("{doing}: {}", Cause(source))]
    Sql {
        #[doc = "what was being done"]
        doing: &'static str,
        #[doc = "why it failed"]
        source: sqlx::Error,
    },
}

/// SQLSTATE classes and codes that say nothing against the statement itself: connection trouble (08),
/// a transaction rolled back for others' sake (40), resources used up (53), an operator or a failover
/// (57P), a lock or a time limit (25P for a transaction), a server that is only a standby now, and its disk.
const TRANSIENT: [&str; 10] = ["08", "40", "53", "57P01", "57P02", "57P03", "55P03", "57014", "25006", "25P"];

/// SQLSTATE classes of a connection that is refused: who we are (28), and the database that we name (3D).
const OF_CONNECTING: [&str; 2] = ["28", "3D"];

impl Error {
    /// For `map_err`: the error with what was being done.
    pub(crate) fn sql(doing: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::of_pooler(doing, &source).unwrap_or(Self::Sql { doing, source })
    }

    /// That no connection could be made.
    pub(crate) fn connect(to: String, source: sqlx::Error) -> Self {
        Self::of_pooler("connecting to PostgreSQL", &source).unwrap_or(Self::Connect { to, source })
    }

    pub(crate) fn pooler(doing: &'static str, said: impl Into<String>) -> Self {
        Self::Pooler { doing, said: said.into() }
    }

    /// What only a pooler says, or a server with a pooler before it.
    fn of_pooler(doing: &'static str, source: &sqlx::Error) -> Option<Self> {
        let error = source.as_database_error()?;
        let said = error.message();
        // duplicate_prepared_statement, invalid_sql_statement_name: of another client, or gone to another connection.
        let is_mixed_up = matches!(error.code().as_deref(), Some("42P05" | "26000"));
        if is_mixed_up || said.starts_with("unsupported startup parameter") {
            return Some(Self::pooler(doing, said));
        }
        said.contains("statement pooling mode").then(|| Self::PoolMode { doing, said: said.to_owned() })
    }

    /// Whether trying again later may help: the server was away, overloaded, or a deadlock broken.
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
            // What came is no answer of PostgreSQL: half of one, or one of something else on the way there.
            sqlx::Error::Protocol(_) => true,
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                TRANSIENT.iter().any(|prefix| code.starts_with(prefix))
            }
            _ => false,
        }
    }

    /// Whether the statement itself was refused, and will be each time. Trouble with the server, with the way there, or
    /// with who we are says nothing about it.
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

    /// Whether the server rolled the statement back for others' sake: it surely changed nothing, and can be sent
    /// again at once.
    pub(crate) fn is_rolled_back(&self) -> bool {
        match self {
            Self::Sql { source, .. } | Self::Connect { source, .. } => is_rolled_back(source),
            _ => false,
        }
    }

    /// Whether a lock was not to be had in the time that there was for it.
    pub(crate) fn is_locked(&self) -> bool {
        self.code().is_some_and(|code| code == "55P03")
    }

    /// Whether the statement timed out, for a lock on a row or perhaps for a lock on the whole table: a statement waits for
    /// that one before its own `lock_timeout` is set.
    pub(crate) fn may_be_locked(&self) -> bool {
        self.code().is_some_and(|code| code == "55P03" || code == "57014")
    }

    /// The SQLSTATE, if the server gave one.
    pub(crate) fn code(&self) -> Option<String> {
        let (Self::Sql { source, .. } | Self::Connect { source, .. }) = self else { return None };
        code_of(source)
    }
}

impl From<Error> for leasehold_ports::Error {
    fn from(error: Error) -> Self {
        Self::new("PostgreSQL", error.doing(), error.class(), error)
    }
}

impl Error {
    /// What was being done.
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

    /// What a caller that knows no driver can do about it.
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
            _ if self.is_transient() => Class::Transient,
            _ if self.is_refusal() => Class::Refused,
            _ => Class::Broken,
        }
    }
}

/// What an error of a statement cannot tell apart.
const WHY_READ_ONLY: &str = "it is a standby, or default_transaction_read_only is on";

const fn why_read_only(is_standby: bool) -> &'static str {
    if is_standby {
        "it is a standby: database.url must name the primary"
    } else {
        "default_transaction_read_only is on: on the server, the database or the role"
    }
}

/// The same of a driver's error.
pub(crate) fn is_rolled_back(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| code == "40001" || code == "40P01")
}

/// The SQLSTATE of a driver's error.
pub(crate) fn code_of(error: &sqlx::Error) -> Option<String> {
    error.as_database_error().and_then(|error| error.code()).map(Into::into)
}

/// Classes and codes of errors after which the connection is as good as before: the statement could not be done with these
/// data (22, 23, 44), was rolled back for others' sake (40001, 40P01), was refused as it is (42, 54), found something in use
/// or locked (55), took too long (57014), needs more room on the disk (53100), or is one that a function raised (P0).
const SAY_NOTHING_OF_THE_CONNECTION: [&str; 11] =
    ["22", "23", "40001", "40P01", "42", "44", "53100", "54", "55", "57014", "P0"];

/// Whether the connection can be used after this error. Not after one of the connection itself, nor where the server ends
/// it, nor after one that another server may not give: this one takes no writes (25006), or is about to stop. And not after
/// one that a kept plan may give each time (0A000).
pub(crate) fn leaves_connection_fit(error: &sqlx::Error) -> bool {
    let Some(error) = error.as_database_error() else { return false };
    let code = error.code().unwrap_or_default();
    let is_of_the_statement = SAY_NOTHING_OF_THE_CONNECTION.iter().any(|prefix| code.starts_with(prefix));
    let ends_the_connection = error
        .try_downcast_ref::<PgDatabaseError>()
        .is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic));
    // duplicate_prepared_statement: a pooler has given us a connection that knows the statements of another client.
    is_of_the_statement && code != "42P05" && !ends_the_connection
}

/// A driver's error in one line, in the words of the server where it has spoken.
pub(crate) struct Cause<'a>(pub(crate) &'a sqlx::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            sqlx::Error::Database(error) if error.code().as_deref() == Some("25006") => {
                write!(f, "PostgreSQL takes no writes ({}): {}", WHY_READ_ONLY, error.message())
            }
            sqlx::Error::Database(error) => f.write_str(error.message()),
            sqlx::Error::Io(error) => error.fmt(f),
            sqlx::Error::PoolTimedOut => f.write_str("no connection to PostgreSQL could be had in time"),
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
        assert_eq!(away.to_string(), "claiming jobs: no connection to PostgreSQL could be had in time");
        let garbled = Error::sql("settling runs")(sqlx::Error::Protocol("unexpected response".into()));
        assert!(garbled.is_transient() && !garbled.is_refusal());
        assert!(!Error::SchemaMissing.is_transient() && Error::SchemaMissing.is_refusal());
        assert!(!Error::sql("reading a job")(sqlx::Error::RowNotFound).is_transient());
    }
}
