//! The commands in the README work exactly as written.

use crate::{
    fixture::{Scene, run},
    process::Background,
};
use leasehold_tests::{eventually, leasehold_program};
use std::{fs, process::Command, time::Duration};

const README: &str = include_str!("../../README.md");

/// The fenced code blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README.split(&fence).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// The code block that contains this text.
fn block(language: &str, with: &str) -> &'static str {
    blocks(language).into_iter().find(|block| block.contains(with)).unwrap_or_else(|| panic!("no block with {with}"))
}

/// A shell that finds the program, in the folder and on the stores of the scene.
fn shell(scene: &Scene, script: &str) -> Command {
    let program = leasehold_program();
    let folder = program.parent().expect("the folder of the program");
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", script]).current_dir(scene.folder()).env_clear();
    shell.env("PATH", format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default()));
    shell.env("LEASEHOLD_DATABASE_URL", &scene.stores.database.url).env("LEASEHOLD_REDIS_URL", &scene.stores.redis.url);
    shell
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_five_minutes() {
    let scene = Scene::start().await;
    let _worker = Background::start(&scene, &["worker", "--queue", "default", "--commands"], &[]);
    let _reaper = Background::start(&scene, &["reaper"], &[]);
    let ran = run(shell(&scene, block("sh", "leasehold each")), b"");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.stdout.starts_with("got ") && ran.stdout.contains("succeeded") && ran.stdout.contains("nothing is wrong")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_ones_own() {
    let scene = Scene::start().await;
    fs::write(scene.folder().join("send-mail"), "#!/bin/sh\ncat > sent\n").expect("written");
    let script = block("sh", "leasehold migrate");
    // Uses the servers of the test; the rest is unchanged.
    let script: String =
        script.lines().filter(|line| !line.starts_with("export ")).map(|line| format!("{line}\n")).collect();
    assert!(script.contains("leasehold worker") && script.contains("leasehold enqueue"), "{script}");
    let whole = format!(
        "chmod +x send-mail\n{script}while ! test -s sent; do sleep 0.05; done\nkill $(jobs -p)\nwait\ncat sent"
    );
    let ran = run(shell(&scene, &whole), b"");
    assert!(ran.code == 0 && ran.stdout.ends_with(r#"{"to": "ann@example.org"}"#), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_and_the_troubleshooting_table() {
    let scene = Scene::start().await;
    let mut postgres = scene.sql().await;
    sqlx::raw_sql(block("sql", "leasehold.enqueue")).execute(&mut postgres).await.expect("the SQL of the README");
    let mail = scene.json(&["job", "list", "--kind", "mail"]);
    let id = mail[0]["id"].as_str().expect("the job").to_owned();
    assert_eq!(mail[0]["max_attempts"], 10);

    let table = README.split("## When something looks wrong").nth(1).expect("the table");
    let cell = |question: &str| {
        let row = table.lines().find(|line| line.contains(question)).unwrap_or_else(|| panic!("no row {question}"));
        row.split('`').nth(1).expect("a command").replace("\\|", "|").replace("ID", &id)
    };
    assert!(run(shell(&scene, &cell("Why does this job not run?")), b"").succeeded().contains("no live worker"));
    assert_eq!(run(shell(&scene, &cell("What died")), b"").succeeded(), "no jobs");
    let _worker = Background::start(&scene, &["worker", "--queue", "mail", "--exec", "mail=exit 65"], &[]);
    let _reaper = Background::start(&scene, &["reaper"], &[]);
    eventually("the job is dead", Duration::from_secs(30), || async {
        let job = scene.json(&["job", "show", &id]);
        if job["state"] == "dead" { Ok(()) } else { Err(job) }
    })
    .await;
    assert!(run(shell(&scene, &cell("Stop a queue")), b"").succeeded().contains("mail is paused"));
    let again = run(shell(&scene, &cell("Run the dead ones again")), b"").succeeded();
    assert_eq!(again, format!("{id}  back in the line"));
}

#[test]
fn the_readme_is_short() {
    assert!(README.lines().count() <= 200);
}
