//! The folder of the private servers: it is created and locked here, and it holds the secrets.

use crate::{account::Account, error::Error, port::random_bytes};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
    unistd::Uid,
};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A folder that only this process uses for its servers. The lock is released when all clones are dropped, and when
/// this process ends in any way.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: Arc<Flock<File>>,
}

impl Folder {
    /// Creates the folder and its parents, and locks it.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let path = std::path::absolute(path).map_err(Error::file("finding", path))?;
        // If this process is root, PostgreSQL runs as another user, who must be able to enter. Secrets have their own
        // mode.
        let mode = if Uid::effective().is_root() { 0o711 } else { 0o700 };
        DirBuilder::new().recursive(true).mode(mode).create(&path).map_err(Error::file("making the folder", &path))?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: Arc::new(lock) })
    }

    /// The path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret in the file `name`, created at the first use. Only `reader` and root can read it.
    pub(crate) fn secret(&self, name: &str, reader: &Account) -> Result<String, Error> {
        let path = self.path.join(name);
        if let Ok(secret) = fs::read_to_string(&path)
            && secret.trim().len() >= 32
        {
            return Ok(secret.trim().to_owned());
        }
        let secret: String = random_bytes::<24>()?.iter().map(|byte| format!("{byte:02x}")).collect();
        self.write_private(name, &format!("{secret}\n"))?;
        reader.own(&path)?;
        Ok(secret)
    }

    /// Writes a file that only its owner can read. The file is complete or absent, even if this process is killed.
    pub fn write_private(&self, name: &str, content: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let fresh = self.path.join(format!(".{name}.new"));
        let _ = fs::remove_file(&fresh);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(Error::file("writing", &path))?;
        Ok(path)
    }
}

/// Locks the file. The existence of the file means nothing: a lock ends with its holder, so there are no stale locks.
fn lock(folder: &Path) -> Result<Flock<File>, Error> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o644)
        .open(&path)
        .map_err(Error::file("opening", &path))?;
    let mut locked = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(locked) => locked,
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = if holder.trim().is_empty() { "(unknown)" } else { holder.trim() }.to_owned();
            return Err(Error::InUse { path: folder.to_owned(), holder });
        }
        Err((_, errno)) => return Err(Error::file("locking", &path)(errno.into())),
    };
    locked
        .set_len(0)
        .and_then(|()| locked.rewind())
        .and_then(|()| writeln!(locked, "{}", std::process::id()))
        .map_err(Error::file("writing", &path))?;
    Ok(locked)
}
