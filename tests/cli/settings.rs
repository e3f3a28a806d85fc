//! Settings: their sources, and the errors for wrong settings.

use crate::fixture::{Scene, program_in, run};
use leasehold_tests::private_folder;
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_named_in_one_line() {
    let folder = private_folder();
    let call = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = program_in(folder.path());
        command.args(args).envs(variables.iter().copied());
        run(command, b"")
    };
    call(&[("LEASEHOLD_WORKER__LEASE_MS", "soon")], &["stats"]).refused(
        2,
        "worker.lease_ms is \"soon\"; it must be a whole number of milliseconds from 500 to 86400000 (set by \
         LEASEHOLD_WORKER__LEASE_MS)",
    );
    call(&[("LEASEHOLD_WORKR__LEASE_MS", "1")], &["stats"]).refused(
        2,
        "LEASEHOLD_WORKR__LEASE_MS is no setting (in the environment); is LEASEHOLD_WORKER__LEASE_MS meant?",
    );
    call(&[], &["stats", "--set", "head.max=0"]).refused(2, "head.max is \"0\"; it must be a whole number of hints");
    call(&[], &["stats", "--set", "head.max"]).refused(2, "must be KEY=VALUE");
    call(&[], &["stats", "--config", "none.toml"]).refused(2, "cannot read the settings in none.toml");
    call(&[], &["stats", "--set", "log.filter=a=b=c"]).refused(2, "log.filter");
    std::fs::write(folder.path().join("leasehold.toml"), "[worker]\nlease = 1\n").expect("written");
    call(&[], &["stats"]).refused(2, "worker.lease is no setting (in ./leasehold.toml)");
    // Completions must work even if settings are wrong.
    assert!(call(&[], &["completions", "bash"]).succeeded().contains("leasehold"));
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_that_a_command_inherits_from_a_worker_are_not_settings() {
    let scene = Scene::start().await;
    let mut command = scene.command(&["enqueue", "--kind", "k"]);
    for name in ["JOB_ID", "EPOCH", "ATTEMPT", "KIND", "QUEUE"] {
        command.env(format!("LEASEHOLD_{name}"), "x");
    }
    run(command, b"").succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_servers_of_a_data_folder_are_used_unless_urls_are_given() {
    let scene = Scene::start().await;
    std::fs::create_dir(scene.folder().join(".leasehold")).expect("made");
    let urls =
        format!("[database]\nurl = {:?}\n[redis]\nurl = {:?}\n", scene.stores.database.url, scene.stores.redis.url);
    std::fs::write(scene.folder().join(".leasehold/leasehold.toml"), urls).expect("written");
    let mut command = program_in(scene.folder());
    command.args(["enqueue", "--kind", "k"]);
    run(command, b"").succeeded();
    let mut command = program_in(scene.folder());
    command.args(["stats", "--database-url", "postgres://127.0.0.1:1/x"]);
    run(command, b"").refused(1, "no PostgreSQL answers at 127.0.0.1:1");
}

/// The reference is written by hand. This test ensures that it contains every setting with the right default.
#[test]
fn the_reference_page_names_every_setting_with_its_default() {
    let page = include_str!("../../docs/reference.md");
    for setting in leasehold::SETTINGS {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", setting.key)));
        let row = row.unwrap_or_else(|| panic!("docs/reference.md has no row for {}", setting.key));
        let default = setting.default.map_or("none".to_owned(), |default| format!("`{default}`"));
        assert!(row.contains(&format!("| {default} |")), "{row} should say {default}");
        assert!(row.contains(&setting.variable()), "{row} should name {}", setting.variable());
    }
}

#[test]
fn all_settings_are_listed() {
    let folder = private_folder();
    let mut command = program_in(folder.path());
    command.args(["config", "--json"]);
    let listed: Vec<Value> = serde_json::from_str(&run(command, b"").succeeded()).expect("JSON");
    assert_eq!(listed.len(), leasehold::SETTINGS.len());
}
