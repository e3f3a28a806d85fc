//! Whether finished jobs in history slow down enqueues, claims, and the figures that operators read.

use crate::{
    arguments::{Arguments, History},
    lab::{Lab, RunSpec},
    results::{Results, Run, Spread},
    servers::Servers,
};
use anyhow::{Context as _, Result, ensure};
use leasehold::{Config, Store};
use leasehold_store::JobFilter;
use leasehold_tests::eventually;
use serde_json::json;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::{
    process::Stdio,
    time::{Duration, Instant},
};

pub(crate) const EMPTY: &str = "without";
pub(crate) const FULL: &str = "with";

/// Rows in one statement, so that progress is visible.
const CHUNK: u64 = 250_000;
/// The jobs finished over this many days, the last one an hour ago: `stats` counts the last minute.
const DAYS: u64 = 10;
/// Whether `stats` has recently finished jobs to count. Below `FEW_JOBS`, counting costs nothing.
const RECENTLY_FINISHED: &str =
    "SELECT EXISTS (SELECT FROM leasehold.history WHERE finished_at > now() - interval '1 minute')";
const NONE_RECENT_TIMEOUT: Duration = Duration::from_secs(180);
const FEW_JOBS: u64 = 5_000;
const LOOKS: usize = 200;
const PROGRAMS: usize = 9;
/// The size of a page of `leasehold job list`.
const PAGE: i64 = 50;

const DAYS_OF: &str = "SELECT leasehold.make_partition((now() AT TIME ZONE 'UTC')::date - ahead)
                       FROM generate_series(0, $1::integer) AS ahead";
const FILL: &str = "INSERT INTO leasehold.history (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt,
                        max_attempts, state, priority, crashes, max_crashes, queue, kind, payload)
    SELECT overlay(overlay(gen_random_uuid()::text
                   PLACING lpad(to_hex((extract(epoch FROM at) * 1000)::bigint >> 16), 8, '0') FROM 1 FOR 8)
                   PLACING lpad(to_hex((extract(epoch FROM at) * 1000)::bigint & 65535), 4, '0') || '-7' FROM 10 FOR 6)::uuid,
           at, at, at, at, '00000000-0000-7000-8000-000000000001', 1, 1, 5, 'succeeded', 0, 0, 3, 'bench', 'noop', 'null'
    FROM generate_series($1::bigint, $2::bigint) AS nth,
         LATERAL (SELECT now() - interval '1 hour'
                         - ($3::bigint - nth)::double precision / $3::bigint * $4::integer * interval '1 day' AS at) t";

pub(crate) async fn measure(arguments: &Arguments, size: &History) -> Result<Results> {
    let mut lab = Lab::open("history", arguments).await?;
    lab.servers.fresh().await?;
    make_days(&lab.servers).await?;
    let spec = RunSpec::new("drain", size.n).on_current_database();
    for _ in 0..size.rounds {
        lab.bench("leasehold", EMPTY, &spec).await?;
    }
    let without = lab.servers.copy().await?;
    fill(&lab.servers, size.finished).await?;
    for _ in 0..size.rounds {
        lab.bench("leasehold", FULL, &spec).await?;
    }
    let with = lab.servers.database_url();
    looks(&mut lab, [(EMPTY, &without), (FULL, &with)], size).await?;
    Ok(lab.results)
}

async fn connect(database_url: &str, servers: &Servers) -> Result<Store> {
    let config = Config::new(database_url, &servers.redis_url());
    let settings = config.store_settings("leasehold").context("the settings of the store")?;
    Ok(Store::connect(&settings).await?)
}

/// Creates the partitions of all days at the start, so that only the rows in them are compared. Each partition costs
/// about 30 µs of planning when jobs are listed or counted.
async fn make_days(servers: &Servers) -> Result<()> {
    let store = connect(&servers.database_url(), servers).await?;
    store.migrate().await?;
    store.close().await;
    let make = sqlx::query(DAYS_OF).bind(DAYS as i32 + 1);
    make.execute(&mut servers.connect().await?).await.context("making partitions")?;
    Ok(())
}

async fn fill(servers: &Servers, finished: u64) -> Result<()> {
    let mut connection = servers.connect().await?;
    let begun = Instant::now();
    for first in (1..=finished).step_by(CHUNK as usize) {
        let last = finished.min(first + CHUNK - 1);
        let insert = sqlx::query(FILL).bind(first as i64).bind(last as i64).bind(finished as i64).bind(DAYS as i32);
        insert.execute(&mut connection).await.context("filling history")?;
        eprintln!("{last} of {finished} finished jobs in history, {:.0} s", begun.elapsed().as_secs_f64());
    }
    check(&mut connection, finished).await?;
    vacuum(&mut connection).await
}

/// Vacuums, because autovacuum would otherwise do so in the middle of a measurement.
async fn vacuum(connection: &mut PgConnection) -> Result<()> {
    connection.execute("VACUUM (ANALYZE) leasehold.job, leasehold.history").await.context("vacuuming")?;
    connection.execute("CHECKPOINT").await?;
    Ok(())
}

/// Checks that the jobs are in the partitions of their days, as if they had finished on those days.
async fn check(connection: &mut PgConnection, finished: u64) -> Result<()> {
    let elsewhere: i64 =
        sqlx::query_scalar("SELECT count(*) FROM leasehold.history_default").fetch_one(&mut *connection).await?;
    ensure!(elsewhere == 0, "{elsewhere} of {finished} finished jobs are in no partition of a day");
    Ok(())
}

/// How long the figures for operators take, on both databases alternately.
async fn looks(lab: &mut Lab, databases: [(&str, &str); 2], size: &History) -> Result<()> {
    if size.n >= FEW_JOBS {
        eprintln!("waiting until no job has finished in the last minute");
        let mut postgres = lab.servers.connect().await?;
        eventually("no job has finished in the last minute", NONE_RECENT_TIMEOUT, async || match sqlx::query_scalar::<
            _,
            bool,
        >(
            RECENTLY_FINISHED
        )
        .fetch_one(&mut postgres)
        .await
        {
            Ok(false) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    let mut looked = Vec::new();
    for (setting, url) in databases {
        // The drains before left dead rows. Without this vacuum, their number would change the result.
        vacuum(&mut PgConnection::connect(url).await?).await?;
        looked.push((setting, url, connect(url, &lab.servers).await?, [Vec::new(), Vec::new(), Vec::new()]));
    }
    let page = JobFilter { limit: PAGE, ..JobFilter::default() };
    for _ in 0..LOOKS {
        for (_, _, store, [stats, list, _]) in &mut looked {
            let begun = Instant::now();
            store.stats().await?;
            let counted = Instant::now();
            let jobs = store.jobs(&page).await?;
            stats.push((counted - begun).as_secs_f64() * 1e3);
            list.push(counted.elapsed().as_secs_f64() * 1e3);
            ensure!(jobs.len() as i64 == PAGE.min(size.n as i64), "a page has {} jobs", jobs.len());
        }
    }
    // The program itself, with its start.
    for _ in 0..PROGRAMS {
        for (_, url, _, [_, _, program]) in &mut looked {
            let mut command = lab.leasehold();
            command.env("LEASEHOLD_DATABASE_URL", url).args(["job", "list"]).stdout(Stdio::null());
            program.push(lab.time(&mut command).await? * 1e3);
        }
    }
    for (setting, _, store, times) in looked {
        store.close().await;
        let [stats, list, program] = times.map(|times| Spread::of(times).map(|spread| spread.median));
        let line = json!({ "stats_ms": stats, "list_ms": list, "job_list_program_ms": program });
        lab.results.runs.push(Run::of("looks", setting, line, 0.0, false));
    }
    Ok(())
}
