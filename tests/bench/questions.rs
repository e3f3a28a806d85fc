//! Tests of the program of `make bench`, with sizes too small to measure speed: every question produces a table, and
//! every table gets its place in the document.

use leasehold_tests::{leasehold_program, private_folder};
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

/// Runs the program, which accepts a busy machine.
fn bench(out: &Path, question: &str) -> Output {
    // The program is in the same folder as the program that it runs.
    let program = leasehold_program().with_file_name("bench");
    let mut command = Command::new(program);
    command.args(["--quiet-within", "0", "--out"]).arg(out).args(question.split(' '));
    command.output().expect("running bench")
}

fn answered(out: &Path, question: &str) -> String {
    let output = bench(out, question);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{question}: {errors}");
    String::from_utf8(output.stdout).expect("text")
}

/// The cells of the row that begins with this text.
fn row<'a>(table: &'a str, begins: &str) -> Vec<&'a str> {
    let line = table.lines().find(|line| line.starts_with(&format!("| {begins}")));
    let line = line.unwrap_or_else(|| panic!("no row {begins} in {table}"));
    line.trim_matches('|').split('|').map(str::trim).collect()
}

fn document() -> (TempDir, std::path::PathBuf) {
    let folder = private_folder();
    let path = folder.path().join("performance.md");
    let text = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/performance.md");
    fs::copy(text, &path).expect("a copy of the document");
    (folder, path)
}

#[test]
fn the_usual_figures_are_compared_with_the_floor_and_written_into_the_document() {
    let (folder, document) = document();
    let out = folder.path().join("out");
    let table = answered(&out, "short --n 600 --latency-n 10 --rounds 2");
    for mode in ["drain", "flow", "fleet"] {
        let cells = row(&table, mode);
        assert!(cells[1].contains('[') && cells[3].ends_with('%') && cells[6] != "–", "{cells:?}");
    }
    assert!(row(&table, "p50 ")[3].ends_with('×') && row(&table, "p50 until")[1].contains('['), "{table}");

    let before = fs::read_to_string(&document).expect("the document");
    let images = folder.path().join("images");
    let write = format!("write {} --plots {}", document.display(), images.display());
    answered(&out, &write);
    let after = fs::read_to_string(&document).expect("the document");
    assert!(after.contains(&table.lines().last().expect("a row").to_owned()), "{after}");
    assert!(after.contains("](images/latency.svg)") && images.join("latency.svg").exists(), "{after}");
    // The text before the mark and after it is unchanged.
    assert_eq!(before.split("<!-- bench:short").next(), after.split("<!-- bench:short").next());
    assert_eq!(before.split("<!-- /bench:short").nth(1), after.split("<!-- /bench:short").nth(1));
    answered(&out, &write);
    assert_eq!(fs::read_to_string(&document).expect("the document"), after, "a second time changes nothing");
}

#[test]
fn each_question_produces_a_table() {
    let (folder, document) = document();
    let out = folder.path();
    let table = answered(out, "growth --n 400 --procs 1,2 --rounds 1");
    assert!(row(&table, "2 ")[1..].iter().all(|cell| *cell != "–"), "{table}");
    let table = answered(out, "claimers --n 400 --claimers 1,3 --rounds 1");
    assert!(row(&table, "3 ")[1..].iter().all(|cell| *cell != "–"), "{table}");
    let table = answered(out, "limits --n 300 --plain 300 --claimers 8 --rounds 1");
    assert!(row(&table, "one key")[1] != "–" && row(&table, "plain jobs beside one")[2] != "–", "{table}");
    let table = answered(out, "backlog --n 3000");
    assert!(row(&table, "3,000")[1..5].iter().all(|cell| *cell != "–"), "{table}");
    let table = answered(out, "history --finished 5000 --n 200 --rounds 1");
    for figure in ["enqueued/s", "drained/s", "stats", "a page"] {
        assert!(row(&table, figure)[3].ends_with('%'), "{table}");
    }
    let table = answered(out, "pinned --seconds 1");
    assert!(row(&table, "all the time")[3].ends_with('%') && row(&table, "tenth 10").len() == 4, "{table}");
    let table = answered(out, "exec --n 40 --rounds 1");
    assert!(row(&table, "`leasehold each`")[2].ends_with('%'), "{table}");

    let table = answered(out, "idle --procs 2 --seconds 1");
    assert!(row(&table, "2 ")[1..].iter().all(|cell| *cell != "–"), "{table}");

    let table =
        answered(out, "http --n 1600 --batch 50 --latency-n 10 --rounds 1 --waiting 20 --enqueuing 5 --seconds 2");
    for figure in ["enqueue ", "claim and settle", "claim of a job", "enqueue until a waiting", "the same in Rust"] {
        assert!(row(&table, figure)[1..].iter().all(|cell| *cell != "–"), "{table}");
    }
    assert_eq!((row(&table, "errors")[1], row(&table, "jobs that were lost")[1]), ("0", "0"), "{table}");
    assert!(row(&table, "jobs ")[1] != "0" && row(&table, "memory of the server at most")[1] != "–", "{table}");

    answered(out, &format!("write {} --plots {}", document.display(), out.join("images").display()));
    let text = fs::read_to_string(&document).expect("the document");
    for (name, row) in [
        ("growth", "| 2 "),
        ("claimers", "| 3 "),
        ("limits", "| one key"),
        ("backlog", "| 3,000"),
        ("history", "| stats"),
        ("pinned", "| tenth 10"),
        ("exec", "| `xargs`"),
        ("http", "| errors"),
    ] {
        let section = text.split(&format!("<!-- bench:{name} -->")).nth(1).expect("the start mark");
        let section = section.split(&format!("<!-- /bench:{name} -->")).next().expect("the end mark");
        assert!(section.contains(row), "{name}: {section}");
    }
    assert!(
        out.join("images/throughput-by-processes.svg").exists()
            && out.join("images/postgres-cost-by-claimers.svg").exists()
    );
}

#[test]
fn peers_are_measured_by_the_given_program() {
    let (folder, document) = document();
    let out = folder.path();
    let missing = bench(out, "peers");
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains("PEERS=path/to/program"));

    let script = out.join("measure");
    let text = r#"#!/bin/sh
[ "$1 $2 $3 $4 $5 $7" = "--repeat 1 --n 10 --json --cmd" ] || exit 1
echo '{"drain":{"leasehold":[{"drain_per_s":10}],"other":[{"drain_per_s":30}]}}' > "$6"
echo "| a table | of $8 |"
"#;
    fs::write(&script, text).expect("a program");
    Command::new("chmod").arg("+x").arg(&script).status().expect("chmod");
    let told = answered(out, &format!("peers --script {} --n 10 --rounds 1", script.display()));
    assert!(told.contains("of leasehold='") && told.contains("leasehold' bench |"), "{told}");
    answered(out, &format!("write {}", document.display()));
    let text = fs::read_to_string(&document).expect("the document");
    assert!(text.contains("ahead of Leasehold: other (3.00 ×)") && text.contains("| a table |"), "{text}");
}
