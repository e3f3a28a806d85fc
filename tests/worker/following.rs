//! What commands say on file descriptor 3: jobs that follow from their success, and their progress.

use crate::fixture::{Fixture, SOON, handlers, job, json, kind, settings, succeeded};
use leasehold_core::{FOLLOWING_MAX, JobId, NOTES_MAX, NewJob, State};
use leasehold_tests::eventually;
use leasehold_worker::{Exec, Handlers};
use std::{sync::Arc, time::Duration};

/// Reads a job that has only a kind and a payload.
fn read_job(text: &str) -> Result<NewJob, String> {
    let job: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let name = job["kind"].as_str().ok_or("no kind")?;
    let kind = name.parse().map_err(|error| format!("kind {error}"))?;
    Ok(NewJob::new(kind, json(&job["payload"].to_string())))
}

/// A worker that runs these shell commands, by kind. A failed job is dead immediately.
fn shells(commands: &[(&str, &str)]) -> Handlers {
    let mut handlers = Handlers::new();
    for (name, command) in commands {
        let exec = Exec::shell(command, Duration::from_secs(10)).expect("a good command").enqueueing(read_job);
        handlers.insert(kind(name), Arc::new(exec));
    }
    handlers
}

fn once(name: &str) -> NewJob {
    NewJob { max_attempts: 1, ..job(name) }
}

async fn count(fixture: &Fixture, name: &'static str) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM leasehold.jobs WHERE kind = $1").bind(name);
    count.fetch_one(fixture.store.pool()).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_succeeds_enqueues_jobs_and_one_that_fails_does_not() {
    let fixture = Fixture::start().await;
    let follow = r#"echo '{"enqueue": {"kind": "next", "payload": {"a": 1}}}' >&3"#;
    let commands = [
        ("twice", format!("{follow}; {follow}; echo 7")),
        ("fails", format!("{follow}; echo no >&2; exit 1")),
        ("later", format!("{follow}; exit 75")),
        ("never", format!("{follow}; exit 65")),
        ("next", "cat".to_owned()),
    ];
    let commands: Vec<(&str, &str)> = commands.iter().map(|(name, command)| (*name, command.as_str())).collect();
    // No reaper runs: the worker tells Redis about the jobs.
    let worker = fixture.worker(settings(4), shells(&commands)).await;
    let id = fixture.enqueue_one(once("twice")).await;
    assert_eq!(
        fixture.until(id, State::Succeeded).await.result.map(|json| json.get().to_owned()).as_deref(),
        Some("7")
    );
    for name in ["fails", "never"] {
        let id = fixture.enqueue_one(once(name)).await;
        fixture.until(id, State::Dead).await;
    }
    let id = fixture.enqueue_one(once("later")).await;
    fixture.until(id, State::Scheduled).await;
    eventually("both jobs have run", SOON, || async {
        let ended: Vec<String> = sqlx::query_scalar(
            "SELECT result::text FROM leasehold.history WHERE kind = 'next' AND state = 'succeeded'",
        )
        .fetch_all(fixture.store.pool())
        .await
        .expect("results");
        if ended == [r#"{"a":1}"#, r#"{"a":1}"#] { Ok(()) } else { Err(ended) }
    })
    .await;
    assert_eq!(count(&fixture, "next").await, 2, "a run that does not succeed makes no job");
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_cannot_be_used_ends_the_job_and_says_why() {
    let fixture = Fixture::start().await;
    let too_many = format!(
        r#"i=0; while [ $i -le {FOLLOWING_MAX} ]; do echo '{{"enqueue": {{"kind": "next"}}}}'; i=$((i+1)); done >&3"#
    );
    let cases = [
        ("text", "echo; echo hello >&3", "line 1 on file descriptor 3: neither "),
        ("word", r#"echo '{"progress": 0.1}' >&3; echo '{"progres": 1}' >&3"#, "line 2 on file descriptor 3: "),
        ("number", r#"echo '{"progress": "half"}' >&3"#, ": progress must be a number"),
        ("array", r#"echo '[1]' >&3"#, "expected a JSON object"),
        ("kind", r#"echo '{"enqueue": {"kind": "no name"}}' >&3"#, "line 1 on file descriptor 3: kind "),
        ("bytes", r"printf '\377\n' >&3", "line 1 on file descriptor 3: the line is not UTF-8"),
        ("long", "head -c 3000000 /dev/zero >&3; echo >&3", "the line is longer than "),
        ("many", &too_many, "at most 1000 are allowed"),
    ];
    let commands: Vec<(&str, &str)> = cases.iter().map(|(name, command, _)| (*name, *command)).collect();
    let worker = fixture.worker(settings(2), shells(&commands)).await;
    for (name, _, wanted) in cases {
        let id = fixture.enqueue_one(job(name)).await;
        let ended = fixture.until(id, State::Dead).await;
        let error = ended.last_error.unwrap_or_default();
        assert!(error.contains(wanted), "{name}: {error}");
        assert_eq!(ended.attempt, 1, "{name} is not tried again");
    }
    assert_eq!(count(&fixture, "next").await, 0);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_progress_of_a_command_is_seen_while_it_runs_and_afterwards() {
    let fixture = Fixture::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let gate = folder.path().join("gate");
    let command = format!(
        r#"echo '{{"progress": 0.25, "note": "a quarter"}}' >&3; until [ -e {gate} ]; do sleep 0.01; done; i=0
           while [ $i -lt 40 ]; do echo "{{\"note\": \"note $i\"}}" >&3; i=$((i+1)); done
           for part in 1 2 -1; do echo "{{\"progress\": $part, \"note\": \"part $part\"}}" >&3; done"#,
        gate = gate.display()
    );
    let worker = fixture.worker(settings(1), shells(&[("k", &command), ("plain", "true")])).await;
    let id = fixture.enqueue_one(once("k")).await;
    let early = eventually("the first report is written", SOON, || async {
        fixture.job(id).await.progress.ok_or("nothing yet")
    })
    .await;
    assert_eq!((early.done, early.epoch, early.notes.len()), (Some(0.25), 1, 1));
    assert_eq!(early.notes[0].note, "a quarter");
    std::fs::write(&gate, "").expect("the gate");
    let ended = fixture.until(id, State::Succeeded).await.progress.expect("its last report");
    assert_eq!((ended.done, ended.notes.len()), (Some(1.0), NOTES_MAX));
    let last = ended.notes.last().map(|note| (note.nth, note.note.as_str()));
    assert_eq!(last, Some((42, "part 1")));
    let plain = fixture.enqueue_one(once("plain")).await;
    assert!(fixture.until(plain, State::Succeeded).await.progress.is_none());
    worker.stop().await;
}

/// A run reports ten thousand times. Few of the reports are written.
#[tokio::test(flavor = "multi_thread")]
async fn reports_are_written_together_and_rarely() {
    let fixture = Fixture::start().await;
    let ids: Vec<JobId> = fixture.enqueue(&crate::fixture::jobs("k", 8)).await;
    let talks = handlers("k", |run| async move {
        for nth in 0..10_000_u32 {
            run.progress(f64::from(nth) / 10_000.0, format!("step {nth}")).expect("a part");
            tokio::task::yield_now().await;
        }
        succeeded()
    });
    let begun = std::time::Instant::now();
    let worker = fixture.worker(settings(8), talks).await;
    for id in &ids {
        let progress = fixture.until(*id, State::Succeeded).await.progress.expect("its last report");
        assert_eq!(progress.notes.last().map(|note| note.nth), Some(10_000));
    }
    worker.stop().await;
    // A statement writes the reports of all runs. One more for the end of each run.
    let most = 8 * (2 * begun.elapsed().as_secs() as i64 + 2) + 8;
    let updates = eventually("the statistics know the updates", SOON, || async {
        let updates: i64 = sqlx::query_scalar(
            "SELECT n_tup_upd FROM pg_stat_user_tables WHERE schemaname = 'leasehold' AND relname = 'job'",
        )
        .fetch_one(fixture.store.pool())
        .await
        .expect("statistics");
        // The claims and at least one report of each run.
        if updates >= 16 { Ok(updates) } else { Err(updates) }
    })
    .await;
    assert!(updates - 8 <= most, "{updates} updates; at most {most} reports were expected");
}
