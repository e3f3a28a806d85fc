//! The program under test, built once for a test binary.

use std::{path::PathBuf, process::Command, sync::OnceLock};

/// The path of the `leasehold` program, made from the source as it is now.
///
/// Cargo tells a test the path of programs of its own package only, and `leasehold` belongs to another. It is built as
/// part of the workspace, with the features that everything else was built with, so that nothing is built twice.
///
/// # Panics
/// When it does not build.
pub fn leasehold_program() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(build).clone()
}

fn build() -> PathBuf {
    // Beside the tests: target/<profile>/deps/<test> → target/<profile>/leasehold.
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.ancestors().nth(2).expect("the folder of the profile").to_owned();
    let profile = if folder.ends_with("release") { "release" } else { "dev" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // What cargo says to a test about its own package. Crates like ring are built anew when it changes, and with them
    // half of the tree, for minutes: once for each test binary, and once more for each build after it.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|own| text.starts_with(own)) {
            build.env_remove(&name);
        }
    }
    build.arg("build");
    if cfg!(feature = "fail-points") {
        build.args(["--features", "leasehold-tests/fail-points"]);
    }
    let output = build
        .args(["--quiet", "--workspace", "--bin", "leasehold", "--profile", profile, "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .output()
        .expect("running cargo");
    assert!(output.status.success(), "leasehold does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    folder.join("leasehold")
}
