//! The folder that is watched: reads it, and moves the files of finished jobs.

use super::{
    file::{Identity, Version},
    pattern::Pattern,
};
use nix::{errno::Errno, libc::NAME_MAX};
use std::{
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder},
    io::{self, ErrorKind},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::MetadataExt,
    },
    path::{Path, PathBuf},
};

/// A shelf: a folder in the watched folder for files of finished jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shelf {
    /// Their jobs succeeded.
    Completed,
    /// Their jobs are dead or cancelled.
    Failed,
}

impl Shelf {
    const ALL: [Self; 2] = [Self::Completed, Self::Failed];

    /// The name of the folder.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// The outcome of a move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// The file lies on its shelf now.
    Done,
    /// No file has this name any more.
    Gone,
    /// The name belongs to another version of the file. The version stays where it is: it is another job's.
    Replaced,
}

/// A folder, by its absolute path.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    pattern: Pattern,
}

impl Folder {
    pub(crate) fn open(path: &Path, pattern: Pattern) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        fs::read_dir(&path)?;
        Ok(Self { path, pattern })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The shelf that cannot be made, because a file that is no folder has its name.
    pub(crate) fn blocked_shelf(&self) -> Option<Shelf> {
        let is_blocked = |shelf: &Shelf| fs::metadata(self.path.join(shelf.name())).is_ok_and(|there| !there.is_dir());
        Shelf::ALL.into_iter().find(is_blocked)
    }

    /// The device and the number of the folder. Another folder of the same name has other numbers.
    pub(crate) fn identity(&self) -> io::Result<(u64, u64)> {
        let metadata = fs::metadata(&self.path)?;
        Ok((metadata.dev(), metadata.ino()))
    }

    /// All files that match the pattern. A file that vanishes during the scan is left out.
    pub(crate) fn scan(&self) -> io::Result<Vec<(OsString, Version)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if let Some(version) = self.look(&name)? {
                found.push((name, version));
            }
        }
        Ok(found)
    }

    /// The version of one file. `None` if there is no such file, if it is no regular file, if its name does not match, or if it has
    /// the name of a shelf.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<Option<Version>> {
        if !self.pattern.matches(name.as_bytes()) || Shelf::ALL.iter().any(|shelf| name == shelf.name()) {
            return Ok(None);
        }
        Ok(file_at(&self.path.join(name))?.map(|(version, _)| version))
    }

    /// Distinguishes this version of the file from another file. `None` if the name has another version, or no file, by now.
    pub(crate) fn identify(&self, name: &OsStr, version: Version) -> Option<Identity> {
        let (now, identity) = file_at(&self.path.join(name)).ok()??;
        (now == version).then_some(identity)
    }

    /// Whether the file lies on a shelf too: a watcher was killed between the link and the removal of the old name. The link has
    /// changed the time in the identity.
    pub(crate) fn is_half_moved(&self, name: &OsStr, number: u64) -> bool {
        Shelf::ALL.iter().any(|shelf| {
            let names = (0_u64..).map(|nth| self.path.join(shelf.name()).join(numbered(name, nth)));
            names.map_while(|path| file_at(&path).ok().flatten()).any(|(_, there)| there.number == number)
        })
    }

    /// Whether this version of the file already lies on a shelf under its own name.
    pub(crate) fn is_shelved(&self, name: &OsStr, version: Version) -> bool {
        Shelf::ALL.iter().any(|shelf| {
            let there = file_at(&self.path.join(shelf.name()).join(name));
            there.is_ok_and(|there| there.is_some_and(|(there, _)| there == version))
        })
    }

    /// Moves a file to a shelf. Never overwrites: if the name is in use there, the file gets a number. `number` is the inode number
    /// that the file had when its job was made.
    ///
    /// # Errors
    /// The file system refuses, for example because the disk is full. The file stays where it was.
    pub(crate) fn shelve(
        &self,
        name: &OsStr,
        version: Version,
        number: Option<u64>,
        shelf: Shelf,
    ) -> io::Result<Moved> {
        let from = self.path.join(name);
        let Some((now, identity)) = file_at(&from)? else { return Ok(Moved::Gone) };
        if now != version || number.is_some_and(|number| number != identity.number) {
            return Ok(Moved::Replaced);
        }
        let number = identity.number;
        let folder = self.path.join(shelf.name());
        match DirBuilder::new().create(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let Some(to) = move_to_free_name(&from, &folder, name, number)? else { return Ok(Moved::Gone) };
        // The producer may have replaced the file after it was read and before it was moved. The new version must get its own
        // job.
        match file_at(&to)? {
            Some((moved, identity)) if moved != version || identity.number != number => {
                move_to_free_name(&to, &self.path, name, identity.number)?;
                Ok(Moved::Replaced)
            }
            _ => Ok(Moved::Done),
        }
    }
}

/// The version and the identity of a regular file. A symbolic link is no regular file.
fn file_at(path: &Path) -> io::Result<Option<(Version, Identity)>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some((Version::of(&metadata), Identity::of(&metadata)))),
        Ok(_) => Ok(None),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Moves a file into a folder, under the first free name. `None` if the file has vanished.
fn move_to_free_name(from: &Path, folder: &Path, name: &OsStr, number: u64) -> io::Result<Option<PathBuf>> {
    for nth in 0_u64.. {
        let to = folder.join(numbered(name, nth));
        match rename_without_overwriting(from, &to) {
            Ok(()) => return Ok(Some(to)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // An earlier watcher was killed between the link and the removal of the old name.
                if file_at(&to)?.is_some_and(|(_, there)| there.number == number) {
                    fs::remove_file(from)?;
                    return Ok(Some(to));
                }
            }
            Err(error) if is_absent(&error) && file_at(from)?.is_none() => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Renames in one step, and fails if the new name is in use.
fn rename_without_overwriting(from: &Path, to: &Path) -> io::Result<()> {
    match rename_noreplace(from, to) {
        // The file system cannot do this in one step. A hard link does not overwrite either.
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn rename_noreplace(from: &Path, to: &Path) -> nix::Result<()> {
    use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
    renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_NOREPLACE)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn rename_noreplace(_: &Path, _: &Path) -> nix::Result<()> {
    Err(Errno::ENOSYS)
}

/// `batch.parquet`, `batch.1.parquet`, `batch.2.parquet` … A name that would be too long loses the end of its stem.
fn numbered(name: &OsStr, nth: u64) -> OsString {
    if nth == 0 {
        return name.to_owned();
    }
    let bytes = name.as_bytes();
    let dot = bytes.iter().rposition(|byte| *byte == b'.').filter(|dot| *dot > 0).unwrap_or(bytes.len());
    let (stem, extension) = bytes.split_at(dot);
    let number = format!(".{nth}");
    let room = (NAME_MAX as usize).saturating_sub(number.len() + extension.len());
    let stem = &stem[..stem.len().min(room)];
    OsString::from_vec([stem, number.as_bytes(), extension].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn folder() -> (TempDir, Folder) {
        let temporary = TempDir::new().expect("a folder");
        let folder = Folder::open(temporary.path(), "*".parse().expect("a pattern")).expect("opened");
        (temporary, folder)
    }

    fn write(folder: &Folder, name: &str, text: &str) -> Version {
        fs::write(folder.path().join(name), text).expect("written");
        folder.look(OsStr::new(name)).expect("readable").expect("a file")
    }

    #[test]
    fn a_move_never_overwrites() {
        let (_temporary, folder) = folder();
        for text in ["1", "22", "333"] {
            let version = write(&folder, "a.txt", text);
            let moved = folder.shelve(OsStr::new("a.txt"), version, None, Shelf::Completed);
            assert_eq!(moved.expect("moved"), Moved::Done);
        }
        let read = |name: &str| fs::read_to_string(folder.path().join("completed").join(name)).expect("a file");
        assert_eq!((read("a.txt"), read("a.1.txt"), read("a.2.txt")), ("1".into(), "22".into(), "333".into()));
        assert_eq!(folder.scan().expect("readable"), []);
    }

    #[test]
    fn another_version_of_the_file_stays() {
        let (_temporary, folder) = folder();
        let old = write(&folder, "a", "1");
        write(&folder, "a", "22");
        assert_eq!(folder.shelve(OsStr::new("a"), old, None, Shelf::Failed).expect("looked"), Moved::Replaced);
        fs::remove_file(folder.path().join("a")).expect("removed");
        assert_eq!(folder.shelve(OsStr::new("a"), old, None, Shelf::Failed).expect("looked"), Moved::Gone);
    }

    /// It has the size and the time of the old file.
    #[test]
    fn another_file_of_the_same_version_stays() {
        let (_temporary, folder) = folder();
        let version = write(&folder, "a", "1");
        let old = folder.identify(OsStr::new("a"), version).expect("a file");
        fs::write(folder.path().join("b"), "2").expect("written");
        let same_time = fs::metadata(folder.path().join("a")).and_then(|old| old.modified()).expect("a time");
        fs::File::options()
            .write(true)
            .open(folder.path().join("b"))
            .and_then(|b| b.set_modified(same_time))
            .expect("set");
        fs::rename(folder.path().join("b"), folder.path().join("a")).expect("renamed");
        let shelve = |number| folder.shelve(OsStr::new("a"), version, Some(number), Shelf::Completed).expect("looked");
        assert_eq!(shelve(old.number), Moved::Replaced);
        let new = folder.identify(OsStr::new("a"), version).expect("a file");
        assert!(new.number != old.number && new.changed >= old.changed, "{old:?} {new:?}");
        assert_eq!(shelve(new.number), Moved::Done);
    }

    /// The steps of a file system that cannot rename without overwriting, with a kill between the two.
    #[test]
    fn a_move_that_was_interrupted_is_finished() {
        let (_temporary, folder) = folder();
        let version = write(&folder, "a", "1");
        let shelf = folder.path().join("completed");
        fs::create_dir(&shelf).expect("made");
        let number = folder.identify(OsStr::new("a"), version).expect("a file").number;
        assert!(!folder.is_half_moved(OsStr::new("a"), number));
        fs::hard_link(folder.path().join("a"), shelf.join("a")).expect("linked");
        assert!(folder.is_half_moved(OsStr::new("a"), number));
        assert_eq!(folder.shelve(OsStr::new("a"), version, None, Shelf::Completed).expect("moved"), Moved::Done);
        let names: Vec<_> =
            fs::read_dir(&shelf).expect("readable").map(|entry| entry.expect("read").file_name()).collect();
        assert_eq!((names, folder.scan().expect("readable")), (vec![OsString::from("a")], vec![]));
        assert!(folder.is_shelved(OsStr::new("a"), version));
    }

    #[test]
    fn a_number_stands_before_the_extension_and_the_name_stays_short_enough() {
        let number = |name: &str, nth| numbered(OsStr::new(name), nth).into_string().expect("text");
        assert_eq!(number("a.tar.gz", 0), "a.tar.gz");
        assert_eq!(number("a.tar.gz", 2), "a.tar.2.gz");
        assert_eq!(number("a", 1), "a.1");
        assert_eq!(number(".a", 1), ".a.1");
        let long = format!("{}.gz", "x".repeat(252));
        assert_eq!(number(&long, 10).len(), 255);
        assert!(number(&long, 10).ends_with("x.10.gz"));
    }
}
