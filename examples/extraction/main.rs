//! Documents go through two stages, and then a webhook gets a message: see README.md in this folder.
//!
//! Start `leasehold dev` in the same folder, or run `leasehold migrate` with LEASEHOLD_DATABASE_URL and LEASEHOLD_REDIS_URL
//! set. Then: `cargo run -p leasehold --example extraction`

mod documents;
mod stages;

use leasehold::{Client, Config, Reaper, Worker};
use sqlx::PgPool;
use std::{collections::BTreeSet, error::Error, time::Duration};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let config = stages::with_lease(Config::load()?);
    let url = std::env::var("LEASEHOLD_DATABASE_URL").map_err(|_| "set LEASEHOLD_DATABASE_URL")?;
    let pool = PgPool::connect(&url).await?;
    documents::make_tables(&pool).await?;
    let client = Client::connect(&config).await?;
    let stop = CancellationToken::new();
    let reaper = tokio::spawn(Reaper::builder(&config).run(stop.clone()));
    let model = stages::Model { takes: Duration::from_millis(50), ..stages::Model::default() };
    let worker = stages::serve(Worker::builder(&config), pool.clone(), model);
    let worker = tokio::spawn(worker.run_until(stop.clone().cancelled_owned()));

    // The same submit fifty times at the same time, as from clients that got no answer.
    let key = format!("invoice-{}", leasehold::JobId::new());
    let mut submits = JoinSet::new();
    for _ in 0..50 {
        let (client, pool, key) = (client.clone(), pool.clone(), key.clone());
        submits.spawn(async move { documents::submit(&client, &pool, &key, "total=119 vat=19 of the invoice").await });
    }
    let ids: Result<BTreeSet<i64>, _> = submits.join_all().await.into_iter().collect();
    println!("50 submits made {} document", ids?.len());

    let other = documents::submit(&client, &pool, &format!("{key}-other"), "total=7").await?;
    println!("the cancel of another document has won: {}", documents::cancel(&client, &pool, other).await?);
    loop {
        let told: Vec<(String, String, Option<String>)> = sqlx::query_as(
            "SELECT d.key, w.event, d.summary FROM extraction.webhook w JOIN extraction.document d ON d.id = w.document
             WHERE d.key LIKE $1 || '%' ORDER BY d.id",
        )
        .bind(&key)
        .fetch_all(&pool)
        .await?;
        if told.len() == 2 {
            told.iter().for_each(|(key, event, summary)| println!("webhook: {key} {event} {summary:?}"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    stop.cancel();
    worker.await??;
    reaper.await??;
    Ok(())
}
