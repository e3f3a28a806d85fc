//! Folders and programs that cannot be used, and the error message for each.

use leasehold_servers::{Error, Folder, Postgres, PostgresOptions, Programs};
use leasehold_tests::private_folder;
use nix::unistd::Uid;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
};

#[test]
fn a_folder_has_one_user_whose_process_id_is_in_the_error() {
    let folder = private_folder();
    let first = Folder::open(folder.path()).expect("the first");
    let refused = Folder::open(folder.path()).expect_err("a second").to_string();
    assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
    drop(first);
    Folder::open(folder.path()).expect("free again");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let folder = private_folder();
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    let below = file.join("below");
    let refused = Folder::open(&below).expect_err("a folder in a file").to_string();
    assert!(refused.starts_with("making the folder ") && refused.contains(below.to_str().expect("UTF-8")), "{refused}");
}

#[test]
fn programs_that_are_missing_are_named_with_their_packages() {
    let folder = private_folder();
    let none = Programs::find_in(&[folder.path().to_owned()]);
    let refused = none.require(true, true).expect_err("no program exists").to_string();
    for word in ["PostgreSQL server", "redis-server", "`postgresql` and `redis-server`", "apt-get install"] {
        assert!(refused.contains(word), "{word} in: {refused}");
    }
    none.require(false, false).expect("no program is required");

    let found = Programs::find_in(&["/usr/sbin".into(), "/usr/bin".into(), folder.path().to_owned()]);
    let refused = found.require(true, false).expect_err("PostgreSQL is missing").to_string();
    assert!(!refused.contains("no redis-server"), "{refused}");
}

#[test]
fn files_of_another_version_are_refused() {
    let folder = private_folder();
    let opened = Folder::open(folder.path()).expect("a folder");
    let data = folder.path().join("postgres");
    fs::create_dir(&data).expect("a folder");
    fs::write(data.join("PG_VERSION"), "8\n").expect("a version");
    let refused = Postgres::start(&Programs::find(), &opened, PostgresOptions::default()).expect_err("version 8");
    assert!(refused.to_string().contains("was made by PostgreSQL 8, but only "), "{refused}");
}

/// If this process is root, PostgreSQL runs as another user, who cannot enter every folder. Otherwise this case does
/// not exist.
#[test]
fn a_folder_that_the_user_postgres_cannot_enter_is_named() {
    if !Uid::effective().is_root() {
        return;
    }
    let folder = private_folder();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).expect("chmod");
    let inner = Folder::open(&folder.path().join("inner")).expect("a folder");
    let refused = Postgres::start(&Programs::find(), &inner, PostgresOptions::default()).expect_err("closed");
    assert!(matches!(refused, Error::Closed { .. }), "{refused}");
    assert!(refused.to_string().contains("the user postgres may not enter"), "{refused}");
}

#[test]
fn a_program_that_is_a_link_is_found() {
    let folder = private_folder();
    for name in ["initdb", "postgres", "redis-server", "setpriv"] {
        symlink("/bin/sh", folder.path().join(name)).expect("a link");
    }
    Programs::find_in(&[folder.path().to_owned()]).require(true, true).expect("all programs are found");
}
