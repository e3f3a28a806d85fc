//! Documents are held to the code and to each other, where words can rot.

mod crates;

use leasehold_core::Transitions;
use std::{
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository").to_owned()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn the_architecture_shows_the_state_machine_as_it_is() {
    let text = read("ARCHITECTURE.md");
    let block = text.split("<!-- transitions -->\n```text\n").nth(1).expect("the marked block");
    let block = block.split("```").next().expect("its end");
    let code = Transitions::all().to_string();
    assert_eq!(block, code, "put this between the marks:\n{code}");
}

#[test]
fn every_decision_is_in_the_index() {
    let index = read("docs/adr/README.md");
    let mut decisions: Vec<String> = fs::read_dir(root().join("docs/adr"))
        .expect("docs/adr")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .filter(|name| name != "README.md")
        .collect();
    decisions.sort();
    for (number, name) in (1..).zip(&decisions) {
        assert!(name.starts_with(&format!("{number:04}-")), "{name} is not number {number}");
        assert!(index.contains(&format!("({name})")), "{name} is not in the index");
    }
}

#[test]
fn links_and_files_that_documents_name_are_there() {
    for name in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/README.md",
        "docs/adr/README.md",
        "docs/performance.md",
        "docs/reference.md",
        "lua/README.md",
        "tests/README.md",
    ] {
        let text = read(name);
        let folder = root().join(name).parent().expect("a folder").to_owned();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let local = !link.starts_with("http") && !link.starts_with('#');
            let file = link.split('#').next().unwrap_or_default();
            assert!(!local || folder.join(file).exists(), "{name} links to {link}");
        }
        let quoted = text.split('`').skip(1).step_by(2);
        for path in quoted.filter(|word| ["lib/", "lua/", "tests/"].iter().any(|folder| word.starts_with(folder))) {
            assert!(root().join(path).exists(), "{name} names {path}");
        }
    }
}
