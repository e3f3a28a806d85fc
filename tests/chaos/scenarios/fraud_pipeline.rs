//! **Fault**: the example `fraud-pipeline` runs beside the load. Its watcher, the workers of its pods and their resident processes are
//! killed and frozen past their lease, the reaper is killed, Redis is emptied, and PostgreSQL is restarted without a shutdown, while a
//! producer drops Parquet batches.
//! **Window**: 15 s, one fault every 1 to 2 s.
//! **Heal**: no more faults.
//! **Must hold**: each batch is scored, lies in `completed/`, and has one result, with the right numbers. No batch is in `failed/`.
//! **Converges within**: 5 s for the load; the batches are completed within 90 s.
//! **Not covered**: a full disk, and batches that cannot be read; the tests of `leasehold watch` cover them.

use crate::{
    crew::{Crew, Part},
    dice::Dice,
    plan::{Plan, Shape},
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Context as _, Result, ensure};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tokio::task::{JoinHandle, spawn_blocking};

pub(crate) const PLAN: Plan =
    Plan { shape: Shape { workers: 1, backlog: 200, max_crashes: 50, ..Shape::USUAL }, ..Plan::USUAL };

const WINDOW: Duration = Duration::from_secs(15);
const PODS: usize = 3;
/// How often the producer drops batches, how many each time, and the rows of each batch.
const DROPS: i64 = 8;
const BATCHES: i64 = 4;
const ROWS: i64 = 20_000;
/// Every thousandth transaction is suspicious.
const ROWS_FOR_A_SUSPICION: i64 = 1_000;
const QUEUE: &str = "raw-transactions";

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fraud-pipeline").canonicalize()?;
    let python = python(&example)?;
    let topic = stage.folder().join("topic");
    fs::create_dir(&topic)?;
    let mut crew = Crew::default();
    for part in parts(&example, &python, &topic, stage.folder())? {
        crew.start(part, stage)?;
    }
    stage.fault_begins("the processes of the example `fraud-pipeline` are killed and frozen");
    let producer = produce(example.join("produce.py"), python, topic.clone());
    crew.harm(WINDOW, 1000..2000, stage, dice).await?;
    stage.heals();
    producer.await??;
    let wanted: BTreeSet<String> = (0..DROPS * BATCHES).map(|number| format!("batch-{number:05}.parquet")).collect();
    let begun = Instant::now();
    loop {
        crew.pass(Duration::from_millis(200), stage).await?;
        let failed = batches_in(&topic.join("failed"))?;
        ensure!(failed.is_empty(), "batches have failed: {failed:?}");
        let completed = batches_in(&topic.join("completed"))?;
        if completed == wanted {
            break;
        }
        let left: Vec<&String> = wanted.difference(&completed).collect();
        ensure!(begun.elapsed() < STEP_TIMEOUT, "batches are not completed: {left:?}");
    }
    let left = batches_in(&topic)?;
    ensure!(left.is_empty(), "batches are left in the topic: {left:?}");
    let results = "SELECT count(*), count(DISTINCT payload ->> 'name'),
                          coalesce(sum((result ->> 'rows')::bigint), 0)::bigint,
                          coalesce(sum((result ->> 'suspicious')::bigint), 0)::bigint
                   FROM leasehold.jobs WHERE queue = $1 AND state = 'succeeded'";
    let mut postgres = stage.connect_postgres().await?;
    let found: (i64, i64, i64, i64) = sqlx::query_as(results).bind(QUEUE).fetch_one(&mut postgres).await?;
    let (batches, rows) = (DROPS * BATCHES, DROPS * BATCHES * ROWS);
    let right = (batches, batches, rows, rows / ROWS_FOR_A_SUSPICION);
    ensure!(found == right, "results, batches, rows, suspicions: {found:?} instead of {right:?}");
    Ok(())
}

/// The Python with pyarrow. The environment is kept beside the build, so only the first run needs PyPI.
fn python(example: &Path) -> Result<PathBuf> {
    let mut setup = Command::new("sh");
    setup.arg(example.join("setup.sh")).stderr(Stdio::inherit());
    setup.env("FRAUD_PIPELINE_VENV", std::env::current_exe()?.with_file_name("fraud-pipeline-venv"));
    let output = setup.output()?;
    ensure!(output.status.success(), "this scenario needs Python 3 with venv, and pyarrow from PyPI");
    Ok(String::from_utf8(output.stdout)?.trim().into())
}

/// The watcher and the pods: each pod is a worker and a resident process.
fn parts(example: &Path, python: &Path, topic: &Path, folder: &Path) -> Result<Vec<Part>> {
    let text = |path: &Path| path.to_str().map(str::to_owned).with_context(|| format!("{} as text", path.display()));
    let watch = ["watch", &text(topic)?, "--queue", QUEUE, "--kind", "score", "--pattern", "*.parquet", "--settle-ms", "50"];
    let mut parts = vec![Part::built("leasehold", &watch)?];
    let runs = text(&folder.join("runs"))?;
    for nth in 0..PODS {
        // A short path: the path of a Unix socket has at most 107 bytes. All processes start in this folder.
        let socket = format!("pod-{nth}.sock");
        let resident = text(&example.join("scoring.py"))?;
        parts.push(Part::installed(python.to_owned(), &[&resident, &socket, &runs]));
        let command = format!("score={} -I -S {} {socket}", text(python)?, text(&example.join("score.py"))?);
        let worker = Part::built("leasehold", &["worker", "--queue", &format!("{QUEUE}=1"), "--exec", &command])?;
        parts.push(worker.with("LEASEHOLD_WORKER__BACKOFF_BASE_MS", "100"));
    }
    Ok(parts)
}

/// A producer that drops batches about once a second.
fn produce(program: PathBuf, python: PathBuf, topic: PathBuf) -> JoinHandle<Result<()>> {
    tokio::spawn(async move {
        for nth in 0..DROPS {
            let mut command = Command::new(&python);
            command.arg(&program).arg(&topic).args(["--first", &(nth * BATCHES).to_string()]);
            command.args(["--batches", &BATCHES.to_string(), "--rows", &ROWS.to_string()]);
            let status = spawn_blocking(move || command.status()).await??;
            ensure!(status.success(), "the producer has failed: {status}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        Ok(())
    })
}

/// The names of the batches in a folder, which need not exist.
fn batches_in(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name.ends_with(".parquet") && !name.starts_with('.') {
                names.insert(name);
            }
        }
    }
    Ok(names)
}
