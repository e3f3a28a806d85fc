//! The package `clients/python`: its own tests, and its types.

use crate::tools::{of_repository, python, succeeds};

#[test]
fn the_package_passes_its_tests() {
    let said = succeeds(python().args(["-m", "pytest"]).current_dir(of_repository("clients/python")));
    assert!(said.contains("passed") && !said.contains("skipped"), "{said}");
}

#[test]
fn the_types_are_strict() {
    let folder = of_repository("clients/python");
    succeeds(python().args(["-m", "mypy", "--cache-dir", "/dev/null"]).current_dir(&folder));
    let path = succeeds(python().args(["-c", "import sys; print(sys.executable)"]));
    succeeds(python().args(["-m", "basedpyright", "--pythonpath", path.trim(), "src"]).current_dir(&folder));
}
