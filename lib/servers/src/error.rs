//! Why a server could not be started or stopped. Each message says what to do.

use std::{io, path::PathBuf};

/// Why a server did not start, or did not stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Required programs are missing on this machine.
    #[error(
        "found no {missing}; install the packages `postgresql` and `redis-server` \
         (Debian, Ubuntu: apt-get install postgresql redis-server)"
    )]
    Missing {
        /// The names of the missing programs.
        missing: String,
    },
    /// PgBouncer is missing on this machine. Only tests need it.
    #[error("found no pgbouncer; install the package `pgbouncer` (`make test-setup` does)")]
    NoPgBouncer,
    /// Another process uses the folder.
    #[error("{} is in use by process {holder}; stop it first, or choose another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process id of the holder, from the lock file.
        holder: String,
    },
    /// PostgreSQL and PgBouncer refuse to run as root, and the user for them cannot enter the folder.
    #[error(
        "PostgreSQL does not run as root, and the user {user} may not enter {}; \
         choose a folder that it can reach",
        path.display()
    )]
    Closed {
        /// The folder.
        path: PathBuf,
        /// The user.
        user: String,
    },
    /// The user to run PostgreSQL as does not exist.
    #[error(
        "PostgreSQL does not run as root, and there is no user `postgres` to run it as; install the package `postgresql`"
    )]
    NoAccount,
    /// The folder was created by a PostgreSQL version that is no longer on this machine.
    #[error(
        "{} was made by PostgreSQL {made_by}, but only {found} is installed; install that version or choose another folder",
        path.display()
    )]
    OtherVersion {
        /// The folder.
        path: PathBuf,
        /// The major version that created the folder.
        made_by: String,
        /// The versions that were found.
        found: String,
    },
    /// A file or folder could not be used.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// The path of the file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A program could not be started.
    #[error("{doing}: {source}")]
    Run {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The server, or the program that prepares it, failed. The last lines of its log follow.
    #[error("{doing} failed: {why}\n{log_tail}")]
    Failed {
        /// What was being done.
        doing: String,
        /// How the program ended.
        why: String,
        /// The last lines of its log.
        log_tail: String,
    },
}

impl Error {
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
