//! The program under test, built once for each test binary.

use std::{
    path::PathBuf,
    process::Command,
    sync::{Once, OnceLock},
};
use tokio::signal::unix::{SignalKind, signal};

/// The path of the `leasehold` program, built from the current source.
///
/// Cargo tells a test only the paths of programs of its own package, and `leasehold` belongs to another package. It is
/// built as a part of the workspace, with the same features as everything else, so that nothing is built twice.
///
/// # Panics
/// The build failed.
pub fn leasehold_program() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    children_hear_signals();
    PATH.get_or_init(build).clone()
}

/// From now on, child processes start with the usual dispositions of signals, however these tests were started. `nohup` and the
/// background of a script ignore HUP or INT, and child processes would inherit this. A signal that has a handler has its default
/// disposition in a child process that executes a program. The handlers here do nothing: the tests still ignore these signals.
fn children_hear_signals() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let entered = runtime.enter();
        for kind in [SignalKind::hangup(), SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()] {
            if ignored & (1 << (kind.as_raw_value() - 1)) != 0 {
                drop(signal(kind).expect("a handler"));
            }
        }
        drop(entered);
        // A test is itself in a runtime, where none may be dropped.
        runtime.shutdown_background();
    });
}

fn build() -> PathBuf {
    // The program is next to the tests: target/<profile>/deps/<test> → target/<profile>/leasehold.
    let test = std::env::current_exe().expect("the path of this test");
    let folder = test.ancestors().nth(2).expect("the folder of the profile").to_owned();
    let profile = if folder.ends_with("release") { "release" } else { "dev" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    // Remove the variables that cargo sets for the test's own package. Crates like ring are rebuilt when these change,
    // and half of the dependency tree with them. That takes minutes: once for each test binary, and once more for the
    // next build.
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
