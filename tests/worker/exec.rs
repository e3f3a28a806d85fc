//! The contract of commands: input, environment, output, exit codes, signals, and that no process of a command stays
//! behind.

use crate::fixture::{Fixture, SOON, json, kind, settings};
use leasehold_core::{JobId, JobRecord, Kind, NewJob, RESULT_MAX_BYTES, State};
use leasehold_handoff::Notice;
use leasehold_tests::eventually;
use leasehold_worker::{Exec, Handlers, Settings};
use nix::{sys::signal::kill, unistd::Pid};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

const GRACE: Duration = Duration::from_secs(10);

/// A worker that runs these shell commands, by kind.
fn shells(commands: &[(&str, &str)], grace: Duration) -> Handlers {
    let mut handlers = Handlers::new();
    for (name, command) in commands {
        let exec = Exec::shell(command, grace).unwrap_or_else(|error| panic!("{error}"));
        handlers.insert(kind(name), Arc::new(exec));
    }
    handlers
}

fn once(name: &str) -> NewJob {
    NewJob { max_attempts: 1, ..NewJob::new(kind(name), json(r#"{"n": 1}"#)) }
}

/// The expected end of a command: the final state, and the result or the end of the error text.
struct Case(&'static str, &'static str, State, Expected);

enum Expected {
    Result(&'static str),
    NoResult,
    Error(&'static str),
    ErrorPart(&'static str),
}

const CASES: &[Case] = {
    use Expected::{Error, ErrorPart, NoResult, Result};
    use State::{Dead, Succeeded};
    &[
        Case("payload", "cat", Succeeded, Result(r#"{"n": 1}"#)),
        Case("text", "echo two words", Succeeded, Result(r#""two words\n""#)),
        Case("number", "echo 42", Succeeded, Result("42")),
        Case("silent", "cat > /dev/null", Succeeded, NoResult),
        Case("nul", r"printf 'a\000b'", Succeeded, Result(r#""a\u0000b""#)),
        Case("latin1", r"printf 'caf\351'", Succeeded, Result("\"caf\u{FFFD}\"")),
        Case("ignores-stdin", "exec 0<&-; echo 1", Succeeded, Result("1")),
        Case("fails", "echo out; echo why >&2; exit 3", Dead, Error("why")),
        Case("fails-silently", "exit 3", Dead, Error("the command ended with exit code 3")),
        Case("never", "echo no such thing >&2; exit 65", Dead, Error("no such thing")),
        Case(
            "signal",
            "echo last words >&2; kill -SEGV $$",
            Dead,
            Error("last words\nthe command was killed by signal 11 (SIGSEGV)"),
        ),
        Case(
            "stderr-end",
            "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1",
            Dead,
            ErrorPart("line 2999"),
        ),
        Case("50-mb", "head -c 50000000 /dev/zero", Dead, ErrorPart("more than 1048576 bytes to standard output")),
        Case("escapes", "head -c 500000 /dev/zero", Dead, ErrorPart("3000002 bytes long as JSON; at most 1048576")),
    ]
};

#[tokio::test(flavor = "multi_thread")]
async fn each_command_has_its_outcome() {
    let fixture = Fixture::start().await;
    let commands: Vec<(&str, &str)> = CASES.iter().map(|Case(name, command, ..)| (*name, *command)).collect();
    let worker = fixture.worker(settings(4), shells(&commands, GRACE)).await;
    let jobs: Vec<NewJob> = CASES.iter().map(|Case(name, ..)| once(name)).collect();
    let ids = fixture.enqueue(&jobs).await;
    for (id, Case(name, _, state, expected)) in ids.into_iter().zip(CASES) {
        let job = ended(&fixture, id).await;
        assert_eq!(job.state, *state, "{name}: {:?}", job.last_error);
        let (result, error) = (job.result.as_deref().map(|json| json.get()), job.last_error.as_deref());
        match expected {
            Expected::Result(wanted) => assert_eq!(result, Some(*wanted), "{name}"),
            Expected::NoResult => assert_eq!(result, None, "{name}"),
            Expected::Error(wanted) => assert_eq!(error, Some(*wanted), "{name}"),
            Expected::ErrorPart(part) => assert!(error.is_some_and(|error| error.contains(part)), "{name}: {error:?}"),
        }
    }
    worker.stop().await;
}

async fn ended(fixture: &Fixture, id: JobId) -> JobRecord {
    eventually("the job has ended", SOON, || async {
        let job = fixture.job(id).await;
        if job.state.is_final() { Ok(job) } else { Err(job.state) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_knows_its_job() {
    let fixture = Fixture::start().await;
    let env = r#"printf '["%s",%s,%s,"%s","%s"]' $LEASEHOLD_JOB_ID $LEASEHOLD_EPOCH $LEASEHOLD_ATTEMPT $LEASEHOLD_KIND $LEASEHOLD_QUEUE"#;
    let mut handlers = Handlers::new();
    handlers.insert_any(Arc::new(Exec::shell(env, GRACE).expect("a good command")));
    let _worker = fixture.worker(settings(1), handlers).await;
    let id = fixture.enqueue_one(once("any:kind")).await;
    let job = fixture.until(id, State::Succeeded).await;
    assert_eq!(job.result.expect("a result").get(), format!(r#"["{id}",1,1,"any:kind","default"]"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_code_75_is_tried_again_and_spends_no_attempt() {
    let fixture = Fixture::start().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    let command = r#"[ $LEASEHOLD_EPOCH -gt 1 ] || { echo busy >&2; exit 75; }; echo $LEASEHOLD_ATTEMPT"#;
    let worker = fixture.worker(settings(1), shells(&[("k", command)], GRACE)).await;
    let id = fixture.enqueue_one(once("k")).await;
    let job = fixture.until(id, State::Succeeded).await;
    assert_eq!((job.result.expect("a result").get(), job.epoch), ("1", 2));
    assert_eq!(worker.stop().await.snoozed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_payload_that_the_command_does_not_read_is_no_failure() {
    let fixture = Fixture::start().await;
    let _worker =
        fixture.worker(settings(2), shells(&[("k", "true"), ("slow", "sleep 0.2; exec 0<&-; sleep 0.1")], GRACE)).await;
    let payload = json(&format!("\"{}\"", "x".repeat(RESULT_MAX_BYTES - 2)));
    let large = |name| NewJob { payload: payload.clone(), ..once(name) };
    for id in fixture.enqueue(&[large("k"), large("slow")]).await {
        fixture.until(id, State::Succeeded).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_over_when_its_command_has_ended_whatever_processes_it_left_behind() {
    let fixture = Fixture::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (child, runaway) = (folder.path().join("child"), folder.path().join("runaway"));
    // The first process stays in the group and is killed. The second leaves the group and keeps the pipes open.
    let stays = format!("sleep 600 & echo $! > {}; echo 1", child.display());
    let leaves = format!("setsid sh -c 'echo $$ > {}; exec sleep 600' & echo 2", runaway.display());
    let _worker = fixture.worker(settings(2), shells(&[("stays", &stays), ("leaves", &leaves)], GRACE)).await;
    let start = Instant::now();
    let ids = fixture.enqueue(&[once("stays"), once("leaves")]).await;
    for (id, result) in ids.into_iter().zip(["1", "2"]) {
        assert_eq!(fixture.until(id, State::Succeeded).await.result.expect("a result").get(), result);
    }
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "it waited for what the command left behind: {:?}",
        start.elapsed()
    );
    until_gone(&child).await;
    if let Some(pid) = read_pid(&runaway) {
        let _ = kill(pid, nix::sys::signal::Signal::SIGKILL);
    }
}

fn read_pid(file: &Path) -> Option<Pid> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok().map(Pid::from_raw)
}

async fn until_gone(file: &Path) {
    eventually("the process is gone", SOON, || async {
        let pid = read_pid(file).ok_or("no process id was written")?;
        // A zombie whose parent does not wait for it counts as gone.
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if state.is_empty() || state.contains(") Z ") { Ok(()) } else { Err("it lives") }
    })
    .await;
}

/// A command that will be stopped: a child and a grandchild, which both write their ids to files.
fn long(folder: &Path, trap: &str) -> String {
    let (child, grandchild) = (folder.join("child"), folder.join("grandchild"));
    format!(
        "{trap}; echo $$ > {}; sh -c '{trap}; echo $$ > {}; while :; do sleep 0.1; done' & while :; do sleep 0.1; done",
        child.display(),
        grandchild.display()
    )
}

async fn until_started(folder: &Path) {
    eventually("the command has started", SOON, || async {
        let pids = (read_pid(&folder.join("child")), read_pid(&folder.join("grandchild")));
        if pids.0.is_some() && pids.1.is_some() { Ok(()) } else { Err(pids) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_the_whole_group() {
    for (trap, grace) in [
        // Ends at the TERM, long before its grace is over.
        ("true", Duration::from_secs(600)),
        // Ignores the TERM, and is killed.
        ("trap '' TERM", Duration::from_millis(300)),
    ] {
        let fixture = Fixture::start().await;
        let folder = tempfile::tempdir().expect("a folder");
        let worker = fixture.worker(settings(1), shells(&[("k", &long(folder.path(), trap))], grace)).await;
        let id = fixture.enqueue_one(once("k")).await;
        until_started(folder.path()).await;
        let (owner, epoch) = fixture.store.cancel(&[id]).await.expect("cancelling")[0].running.expect("it is running");
        fixture.handoff.notify(&[Notice::Cancel { id, epoch, worker: owner }]).await.expect("telling");
        fixture.until(id, State::Cancelled).await;
        until_gone(&folder.path().join("child")).await;
        until_gone(&folder.path().join("grandchild")).await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_and_a_stop_end_commands_too() {
    let fixture = Fixture::start().await;
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    let commands = [long(folders[0].path(), "echo started >&2"), long(folders[1].path(), "true")];
    let handlers = shells(&[("timed", &commands[0]), ("stopped", &commands[1])], GRACE);
    let settings = Settings { grace: Duration::from_millis(100), ..settings(2) };
    let worker = fixture.worker(settings, handlers).await;
    let timed = NewJob { timeout: Some(Duration::from_secs(5)), ..once("timed") };
    let ids = fixture.enqueue(&[timed, once("stopped")]).await;
    let error = fixture.until(ids[0], State::Dead).await.last_error.expect("an error text");
    assert!(error.starts_with("timed out after 5s: started"), "{error}");
    until_started(folders[1].path()).await;
    assert_eq!(worker.stop().await.released, 1);
    let stopped = fixture.job(ids[1]).await;
    assert_eq!((stopped.state, stopped.attempt), (State::Queued, 0));
    for folder in &folders {
        until_gone(&folder.path().join("child")).await;
        until_gone(&folder.path().join("grandchild")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_can_bring_its_command() {
    let fixture = Fixture::start().await;
    let command: Kind = kind("command");
    let mut handlers = Handlers::new();
    handlers.insert(command.clone(), Arc::new(Exec::from_payload(GRACE)));
    let _worker = fixture.worker(settings(2), handlers).await;
    let with = |payload: &str| NewJob { max_attempts: 3, ..NewJob::new(command.clone(), json(payload)) };
    let ids = fixture
        .enqueue(&[
            with(r#"{"argv": ["printf", "%s", "a b; $HOME"]}"#),
            with(r#"{"argv": ["no-such-program-at-all"]}"#),
            with(r#"{"argv": []}"#),
            with(r#"{"args": "x"}"#),
            with(r#"{"argv": ["printf", "a\u0000b"]}"#),
            with(r#"{"argv": ["/etc"]}"#),
        ])
        .await;
    assert_eq!(fixture.until(ids[0], State::Succeeded).await.result.expect("a result").get(), r#""a b; $HOME""#);
    for (id, part) in ids[1..].iter().zip([
        "there is no program no-such-program-at-all",
        "names no program",
        "the payload is not a command",
        "could not be started",
        "could not be started",
    ]) {
        let job = fixture.until(*id, State::Dead).await;
        let error = job.last_error.expect("an error text");
        assert!(error.contains(part), "{error}");
        assert_eq!(job.attempt, 1, "it is not tried again: {error}");
    }
}
