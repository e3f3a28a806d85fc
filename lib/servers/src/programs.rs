//! Where the server programs are on this machine.

use crate::error::Error;
use std::{
    cmp::Reverse,
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Folders that hold one PostgreSQL per version, as `<folder>/<prefix><version>/bin`: Debian's, then PGDG's for RPM.
const VERSIONED: [(&str, &str); 2] = [("/usr/lib/postgresql", ""), ("/usr", "pgsql-")];
/// Searched after `PATH`, which is short in cron jobs and containers.
const USUAL: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The server programs, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// Folders with `initdb` and `postgres` in them, the preferred one first.
    pub(crate) postgres: Vec<PathBuf>,
    pub(crate) redis: PathBuf,
    pub(crate) setpriv: PathBuf,
}

impl Programs {
    /// Searches `PATH` and the usual places, the newest PostgreSQL first.
    pub fn find() -> Result<Self, Error> {
        let mut folders: Vec<PathBuf> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
        folders.extend(USUAL.iter().map(PathBuf::from));
        folders.extend(versioned_folders());
        folders.push("/usr/local/pgsql/bin".into());
        Self::find_in(&folders)
    }

    /// Searches these folders only, in their order.
    pub fn find_in(folders: &[PathBuf]) -> Result<Self, Error> {
        let mut postgres: Vec<PathBuf> = Vec::new();
        for folder in folders {
            if executable(&folder.join("initdb")) && executable(&folder.join("postgres")) && !postgres.contains(folder)
            {
                postgres.push(folder.clone());
            }
        }
        let first = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| executable(path));
        let (redis, setpriv) = (first("redis-server"), first("setpriv"));
        let mut missing = Vec::new();
        if postgres.is_empty() {
            missing.push("PostgreSQL server (initdb, postgres)");
        }
        if redis.is_none() {
            missing.push("redis-server");
        }
        if setpriv.is_none() {
            missing.push("setpriv (package util-linux)");
        }
        match (redis, setpriv) {
            (Some(redis), Some(setpriv)) if !postgres.is_empty() => Ok(Self { postgres, redis, setpriv }),
            _ => Err(Error::Missing { missing: missing.join(" and no ") }),
        }
    }

    /// The program that ties the life of a process to that of its parent.
    #[must_use]
    pub fn setpriv(&self) -> &Path {
        &self.setpriv
    }
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
