//! Finds the server programs on this machine.

use crate::{
    error::Error,
    keeper::{self, DeathSignal},
};
use std::{
    cmp::Reverse,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Folders with one PostgreSQL for each version, as `<folder>/<prefix><version>/bin`: of Debian, and of PGDG's RPM
/// packages.
const VERSIONED: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];
/// Searched after `PATH`, which is short in cron jobs and containers.
const USUAL: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

const POSTGRES: &str = "PostgreSQL server (initdb, postgres)";
const REDIS: &str = "redis-server";
const SETPRIV: &str = "setpriv (package util-linux)";

/// The server programs that were found on this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Programs {
    /// Folders that hold `initdb` and `postgres`, the preferred one first.
    postgres: Vec<PathBuf>,
    redis: Option<PathBuf>,
    pgbouncer: Option<PathBuf>,
    setpriv: Option<PathBuf>,
}

impl Programs {
    /// Searches `PATH` and the usual folders. The newest PostgreSQL comes first.
    #[must_use]
    pub fn find() -> Self {
        let mut folders: Vec<PathBuf> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
        folders.extend(USUAL.iter().map(PathBuf::from));
        folders.extend(versioned_folders());
        folders.push("/usr/local/pgsql/bin".into());
        Self::find_in(&folders)
    }

    /// Searches only these folders, in this order.
    #[must_use]
    pub fn find_in(folders: &[PathBuf]) -> Self {
        let mut postgres: Vec<PathBuf> = Vec::new();
        for folder in folders {
            let complete = executable(&folder.join("initdb")) && executable(&folder.join("postgres"));
            if complete && !postgres.contains(folder) {
                postgres.push(folder.clone());
            }
        }
        let first = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| executable(path));
        let (redis, pgbouncer) = (first("redis-server"), first("pgbouncer"));
        Self { postgres, redis, pgbouncer, setpriv: first("setpriv") }
    }

    /// Fails unless the required servers are installed. One error names all missing programs.
    pub fn require(&self, postgres: bool, redis: bool) -> Result<(), Error> {
        let mut missing = Vec::new();
        if postgres && self.postgres.is_empty() {
            missing.push(POSTGRES);
        }
        if redis && self.redis.is_none() {
            missing.push(REDIS);
        }
        if (postgres || redis) && self.setpriv.is_none() {
            missing.push(SETPRIV);
        }
        if missing.is_empty() { Ok(()) } else { Err(Error::Missing { missing: missing.join(" and no ") }) }
    }

    /// A command that runs `program`, for [`crate::spawn`]. The program is killed when this process ends in any way.
    /// Programs that belong to the servers of this process, but are not servers, must not be left running either.
    ///
    /// # Errors
    /// `setpriv` is missing.
    pub fn tied(&self, program: &Path) -> Result<Command, Error> {
        Ok(keeper::tied(self.setpriv()?, &[], DeathSignal::Kill, program))
    }

    /// The folders with PostgreSQL programs, at least one.
    pub(crate) fn postgres(&self) -> Result<&[PathBuf], Error> {
        if self.postgres.is_empty() { Err(missing(POSTGRES)) } else { Ok(&self.postgres) }
    }

    pub(crate) fn redis(&self) -> Result<&Path, Error> {
        self.redis.as_deref().ok_or_else(|| missing(REDIS))
    }

    pub(crate) fn pgbouncer(&self) -> Result<&Path, Error> {
        self.pgbouncer.as_deref().ok_or(Error::NoPgBouncer)
    }

    pub(crate) fn setpriv(&self) -> Result<&Path, Error> {
        self.setpriv.as_deref().ok_or_else(|| missing(SETPRIV))
    }
}

fn missing(what: &str) -> Error {
    Error::Missing { missing: what.to_owned() }
}

fn versioned_folders() -> Vec<PathBuf> {
    let mut found: Vec<(Vec<u32>, PathBuf)> = Vec::new();
    for (root, prefix) in VERSIONED {
        for entry in fs::read_dir(root).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(version) = name.to_str().and_then(|name| name.strip_prefix(prefix)) else { continue };
            let Ok(version) = version.split('.').map(str::parse).collect() else { continue };
            found.push((version, entry.path().join("bin")));
        }
    }
    found.sort_by_key(|(version, _)| Reverse(version.clone()));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
