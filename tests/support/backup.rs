//! Copies of a running PostgreSQL, for standbys and for restores.

use std::{
    fs,
    os::unix::fs::{self as unix, MetadataExt},
    path::Path,
    process::Command,
};

/// Copies a running server into `folder`, in which [`leasehold_servers::Postgres`] can then start the copy. `data` is the data folder
/// of the server, whose owner the copy gets.
///
/// # Panics
/// `pg_basebackup` fails.
pub fn copy_server(url: &str, data: &Path, folder: &Path, more: &[&str]) {
    let copy = folder.join("postgres");
    let mut copying = Command::new("pg_basebackup");
    copying.arg("--pgdata").arg(&copy).args(["--checkpoint=fast", "--dbname", url]).args(more);
    let copied = copying.output().expect("pg_basebackup runs");
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    give_to_owner_of(data, &copy);
}

/// Gives a file or a folder, with all that is in it, to the owner of `model`.
///
/// # Panics
/// This user may not.
pub fn give_to_owner_of(model: &Path, path: &Path) {
    let owner = fs::metadata(model).expect("the owner");
    unix::lchown(path, Some(owner.uid()), Some(owner.gid())).expect("giving a file away");
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).expect("a folder") {
            give_to_owner_of(model, &entry.expect("an entry").path());
        }
    }
}
