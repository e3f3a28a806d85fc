//! What can go wrong on the way to a running server, each in words that say what to do.

use std::{io, path::PathBuf};

/// Why a server did not start, or did not stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Programs that are needed are not on this machine.
    #[error(
        "found no {missing}; install the packages `postgresql` and `redis-server` \
         (Debian, Ubuntu: apt-get install postgresql redis-server)"
    )]
    Missing {
        /// Which, in words.
        missing: String,
    },
    /// PgBouncer is not on this machine. Only tests want it.
    #[error("found no pgbouncer; install the package `pgbouncer` (`make test-setup` does)")]
    NoPgBouncer,
    /// Another process uses the folder.
    #[error("{} is in use by process {holder}; stop it first, or choose another folder", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The process id of the holder, as it wrote it down.
        holder: String,
    },
    /// PostgreSQL and PgBouncer refuse to run as root, and the user they would run as cannot get there.
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
    /// There is no user to run PostgreSQL as.
    #[error(
        "PostgreSQL does not run as root, and there is no user `postgres` to run it as; install the package `postgresql`"
    )]
    NoAccount,
    /// The folder was filled by a PostgreSQL that is not on this machine any more.
    #[error(
        "{} was made by PostgreSQL {made_by}, and only {found} is here; install that version or choose another folder",
        path.display()
    )]
    OtherVersion {
        /// The folder.
        path: PathBuf,
        /// The major version that made it.
        made_by: String,
        /// The versions that were found.
        found: String,
    },
    /// A file or folder could not be used.
    #[error("{doing} {}: {source}", path.display())]
    File {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A program could not be run at all.
    #[error("{doing}: {source}")]
    Run {
        /// What was being done.
        doing: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The server, or the program that prepares it, gave up. Its own last words follow.
    #[error("{doing} failed: {why}\n{last_words}")]
    Failed {
        /// What was being done.
        doing: String,
        /// How it ended.
        why: String,
        /// The last lines that it wrote.
        last_words: String,
    },
}

impl Error {
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
