//! **Fault**: the example `extraction` runs beside the load. Its workers are killed and frozen past their lease, the reaper is killed,
//! Redis is emptied, and PostgreSQL is restarted without a shutdown. Clients submit each document three times at once, and cancel
//! every fourth one.
//! **Window**: 12 s, one fault every 300 to 900 ms.
//! **Heal**: no more faults.
//! **Must hold**: a submit makes one document with one job of the first stage, and no stage has two jobs. Each document is done or
//! cancelled, and its webhook was told this once.
//! **Converges within**: 5 s for the load; the documents are finished within 90 s.
//! **Not covered**: a model that fails; `tests/extraction` covers it.

use crate::{
    crew::{Crew, Part},
    dice::Dice,
    documents,
    insist::insist,
    plan::{Plan, Shape},
    stage::{STEP_TIMEOUT, Stage},
};
use anyhow::{Context as _, Error, Result, ensure};
use leasehold::Client;
use sqlx::PgPool;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) const PLAN: Plan =
    Plan { shape: Shape { workers: 1, backlog: 200, max_crashes: 50, ..Shape::USUAL }, ..Plan::USUAL };

const WINDOW: Duration = Duration::from_secs(12);
const WORKERS: usize = 3;
/// Clients that submit documents, and the pause of a client after each document.
const CLIENTS: usize = 3;
const PAUSE: Duration = Duration::from_millis(150);
/// How many documents must have been submitted. With fewer, the run proves nothing.
const DOCUMENTS_MIN: usize = 60;

/// The documents that are not finished yet.
const UNFINISHED: &str = "SELECT count(*) FROM extraction.document d
    WHERE d.state NOT IN ('done', 'cancelled') OR NOT EXISTS (SELECT FROM extraction.webhook w WHERE w.document = d.id)";

/// The finished documents that something is wrong with.
const WRONG: &str = "
    SELECT format('%s is %s with summary %s; told: %s; jobs: %s, %s, %s',
                  d.key, d.state, d.summary, w.events, j.extract, j.summarize, j.notify)
    FROM extraction.document d
    LEFT JOIN (SELECT w.document, array_agg(w.event) AS events FROM extraction.webhook w GROUP BY 1) w ON w.document = d.id
    LEFT JOIN (SELECT (j.payload ->> 'document')::bigint AS document,
                      count(*) FILTER (WHERE j.kind = 'extraction/extract') AS extract,
                      count(*) FILTER (WHERE j.kind = 'extraction/summarize') AS summarize,
                      count(*) FILTER (WHERE j.kind = 'extraction/notify') AS notify
               FROM leasehold.jobs j WHERE j.kind LIKE 'extraction/%' GROUP BY 1) j ON j.document = d.id
    WHERE (w.events = ARRAY[d.state] AND j.extract = 1 AND j.notify = 1
           AND CASE d.state WHEN 'done' THEN j.summarize = 1 AND d.summary = '2 fields: total=' || d.key || ', vat=19'
                            ELSE j.summarize <= 1 AND d.summary IS NULL END) IS NOT TRUE";

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let pool = PgPool::connect(&stage.stores.database.url).await?;
    documents::make_tables(&pool).await?;
    let mut crew = Crew::default();
    for _ in 0..WORKERS {
        crew.start(Part::built("mortal", &["extraction", "30"])?, stage)?;
    }
    let (stop, mut clients) = (CancellationToken::new(), JoinSet::new());
    for nth in 0..CLIENTS {
        clients.spawn(submit(nth, stage.load.client().clone(), pool.clone(), stop.clone()));
    }
    stage.fault_begins("the processes of the example `extraction` are killed and frozen");
    crew.harm(WINDOW, 300..900, stage, dice).await?;
    stage.heals();
    stop.cancel();
    let (mut submitted, mut cancelled) = (0, BTreeSet::new());
    while let Some(client) = clients.join_next().await {
        let (of_client, won) = client??;
        submitted += of_client;
        cancelled.extend(won);
    }
    let begun = Instant::now();
    loop {
        crew.pass(Duration::from_millis(200), stage).await?;
        let left: i64 = sqlx::query_scalar(UNFINISHED).fetch_one(&pool).await?;
        if left == 0 {
            break;
        }
        ensure!(begun.elapsed() < STEP_TIMEOUT, "{left} documents are not finished");
    }
    let wrong: Vec<String> = sqlx::query_scalar(WRONG).fetch_all(&pool).await?;
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    let counts = "SELECT count(*), count(*) FILTER (WHERE state = 'cancelled'),
                         count(*) FILTER (WHERE state = 'cancelled' AND id = ANY ($1)) FROM extraction.document";
    let won: Vec<i64> = cancelled.into_iter().collect();
    let (all, are_cancelled, are_won): (i64, i64, i64) = sqlx::query_as(counts).bind(&won).fetch_one(&pool).await?;
    ensure!(usize::try_from(all) == Ok(submitted), "{submitted} documents were submitted, and {all} exist");
    ensure!(usize::try_from(are_won) == Ok(won.len()), "{} cancels have won, {are_won} documents know it", won.len());
    let is_enough = submitted >= DOCUMENTS_MIN && are_cancelled > 0 && are_cancelled < all;
    ensure!(is_enough, "{submitted} documents, {are_cancelled} of them cancelled: this run proves nothing");
    Ok(())
}

/// Submits documents until the test stops it. Returns the number of documents, and the documents whose cancel has won.
async fn submit(nth: usize, client: Client, pool: PgPool, stop: CancellationToken) -> Result<(usize, BTreeSet<i64>)> {
    let (mut submitted, mut cancelled) = (0_usize, BTreeSet::new());
    while !stop.is_cancelled() {
        let key = format!("{nth}-{submitted}");
        let body = format!("total={key} vat=19");
        let once = || {
            insist("submitting a document", || async {
                documents::submit(&client, &pool, &key, &body).await.map_err(Error::from_boxed)
            })
        };
        let ids = tokio::join!(once(), once(), once());
        let ids = BTreeSet::from([ids.0?, ids.1?, ids.2?]);
        ensure!(ids.len() == 1, "the submits of {key} made {} documents", ids.len());
        let document = ids.first().copied().context("a document")?;
        if submitted.is_multiple_of(4) {
            // Each client cancels after another time, so that cancels meet each stage.
            tokio::time::sleep(PAUSE * u32::try_from(nth)? / 4).await;
            let cancel = || async { documents::cancel(&client, &pool, document).await.map_err(Error::from_boxed) };
            // The answer to a cancel can be lost with the server. So a cancel that was made again may lose against itself.
            if insist("cancelling a document", cancel).await? {
                cancelled.insert(document);
            }
        }
        submitted += 1;
        tokio::time::sleep(PAUSE).await;
    }
    Ok((submitted, cancelled))
}
