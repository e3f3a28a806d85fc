//! The user that PostgreSQL runs as. PostgreSQL refuses to run as root.

use crate::{error::Error, programs::Programs};
use nix::unistd::{Uid, User, chown};
use std::{path::Path, process::Command};

/// The user that the packages of Debian and RPM create.
const POSTGRES_USER: &str = "postgres";

/// The user that a server runs as.
#[derive(Clone, Debug)]
pub(crate) enum Account {
    /// The user of this process.
    Ours,
    /// Another user; this process runs as root.
    Other(Box<User>),
}

impl Account {
    /// The account for PostgreSQL.
    pub(crate) fn for_postgres() -> Result<Self, Error> {
        if !Uid::effective().is_root() {
            return Ok(Self::Ours);
        }
        match User::from_name(POSTGRES_USER) {
            Ok(Some(user)) => Ok(Self::Other(Box::new(user))),
            _ => Err(Error::NoAccount),
        }
    }

    /// The arguments of `setpriv` that run a program as this user.
    pub(crate) fn privileges(&self) -> Vec<String> {
        match self {
            Self::Ours => Vec::new(),
            Self::Other(user) => {
                let (uid, gid) = (format!("--reuid={}", user.uid), format!("--regid={}", user.gid));
                vec![uid, gid, "--init-groups".into()]
            }
        }
    }

    /// Gives this user a file or folder that this process created.
    pub(crate) fn own(&self, path: &Path) -> Result<(), Error> {
        let Self::Other(user) = self else { return Ok(()) };
        chown(path, Some(user.uid), Some(user.gid))
            .map_err(|errno| Error::file("giving to the user postgres", path)(errno.into()))
    }

    /// Fails unless this user can enter the folder and all folders above it.
    pub(crate) fn must_enter(&self, programs: &Programs, folder: &Path) -> Result<(), Error> {
        let Self::Other(user) = self else { return Ok(()) };
        let entered = Command::new(programs.setpriv()?)
            .args(self.privileges())
            .args(["--", "/bin/sh", "-c", r#"cd -- "$0" 2>/dev/null"#])
            .arg(folder)
            .current_dir("/")
            .status()
            .map_err(|source| Error::Run { doing: "running setpriv".into(), source })?;
        if entered.success() { Ok(()) } else { Err(Error::Closed { path: folder.to_owned(), user: user.name.clone() }) }
    }
}
