//! The arrows between the crates: ARCHITECTURE.md shows them as the `Cargo.toml`s have them.

use crate::{read, root};
use std::{collections::BTreeMap, fs};

/// Each crate of `lib/` and `bin`, with the crates of this workspace that it depends on.
fn arrows() -> BTreeMap<String, Vec<String>> {
    let mut folders: Vec<String> = fs::read_dir(root().join("lib"))
        .expect("lib")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    folders.push("bin".to_owned());
    let dependencies = |folder: &String| {
        let path = if folder == "bin" { "bin/Cargo.toml".to_owned() } else { format!("lib/{folder}/Cargo.toml") };
        let manifest = read(&path);
        let section = manifest.split("[dependencies]\n").nth(1).unwrap_or_default();
        let lines = section.lines().take_while(|line| !line.starts_with('['));
        let mut named: Vec<String> = lines
            .filter_map(|line| line.split([' ', '.', '=']).next())
            .filter_map(|name| match name {
                "leasehold" => Some(name),
                name => name.strip_prefix("leasehold-"),
            })
            .map(str::to_owned)
            .collect();
        named.sort();
        named
    };
    folders.iter().map(|folder| (folder.clone(), dependencies(folder))).collect()
}

/// How far a crate is above the ground: one more than the highest crate that it depends on.
fn height(name: &str, arrows: &BTreeMap<String, Vec<String>>, above: &mut Vec<String>) -> usize {
    assert!(!above.iter().any(|other| other == name), "a circle of crates: {above:?}");
    above.push(name.to_owned());
    let below = arrows.get(name).unwrap_or_else(|| panic!("{name} is no crate of lib/"));
    let height = below.iter().map(|other| height(other, arrows, above) + 1).max().unwrap_or(0);
    above.pop();
    height
}

#[test]
fn the_architecture_shows_the_crates_as_they_depend_on_each_other() {
    let arrows = arrows();
    let mut crates: Vec<(usize, &String)> =
        arrows.keys().map(|name| (height(name, &arrows, &mut Vec::new()), name)).collect();
    crates.sort();
    let mut code = String::new();
    for (_, name) in crates {
        let below = arrows[name].join(", ");
        code += format!("{name:<10} → {below}").trim_end_matches([' ', '→']);
        code.push('\n');
    }
    let text = read("ARCHITECTURE.md");
    let block = text.split("<!-- crates -->\n```text\n").nth(1).expect("the marked block");
    let block = block.split("```").next().expect("its end");
    assert_eq!(block, code, "put this between the marks:\n{code}");
}
