//! The Python of the tests, with the package installed from its wheel.

use leasehold_tests::leasehold_program;
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// A file or folder of the repository.
pub(crate) fn of_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Runs a command that must succeed. Returns its standard output.
pub(crate) fn succeeds(command: &mut Command) -> String {
    let ended = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{command:?}: {}\n{out}\n{err}", ended.status);
    out.into_owned()
}

/// Python with the package and with what its tests need. The environment is kept beside the build, so only the first run needs PyPI.
pub(crate) fn python() -> Command {
    static PATH: OnceLock<String> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let mut setup = Command::new("sh");
        setup.arg(of_repository("clients/python/setup.sh"));
        setup.env("LEASEHOLD_PYTHON_VENV", leasehold_program().with_file_name("python-client-venv"));
        succeeds(&mut setup).trim().to_owned()
    });
    let mut python = Command::new(path);
    python.env("LEASEHOLD", leasehold_program()).env("PYTHONDONTWRITEBYTECODE", "1");
    python
}
