//! Both stores, the tables of the example, and processes that SIGKILL ends.

use crate::documents;
use leasehold::{Client, Config};
use leasehold_core::FailPoint;
use leasehold_tests::{Mortal, Stores, eventually, private_folder};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The timeout of each wait.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) pool: PgPool,
    stores: Stores,
    folder: TempDir,
}

impl Scene {
    pub(crate) async fn start() -> Self {
        let stores = Stores::start().await;
        let pool = PgPool::connect(&stores.database.url).await.expect("a pool");
        documents::make_tables(&pool).await.expect("tables");
        let client = Client::connect(&Config::new(&stores.database.url, &stores.redis.url)).await.expect("a client");
        Self { client, pool, stores, folder: private_folder() }
    }

    pub(crate) fn process(&self, role: &[&str], dies_at: Option<FailPoint>) -> Mortal {
        Mortal::start(env!("CARGO_BIN_EXE_mortal"), role, &self.stores, self.folder.path(), dies_at)
    }

    pub(crate) fn reaper(&self) -> Mortal {
        self.process(&["reaper"], None)
    }

    /// A worker whose model answers immediately.
    pub(crate) fn worker(&self) -> Mortal {
        self.process(&["extraction", "1"], None)
    }

    pub(crate) async fn submit(&self, key: &str) -> i64 {
        documents::submit(&self.client, &self.pool, key, "total=119 vat=19").await.expect("submitted")
    }

    pub(crate) async fn document(&self, key: &str) -> (i64, String, Option<String>) {
        let row = sqlx::query_as("SELECT id, state, summary FROM extraction.document WHERE key = $1").bind(key);
        row.fetch_one(&self.pool).await.expect("the document")
    }

    /// The messages that the webhook got about this document.
    pub(crate) async fn told(&self, document: i64) -> Vec<String> {
        let rows = sqlx::query_scalar("SELECT event FROM extraction.webhook WHERE document = $1").bind(document);
        rows.fetch_all(&self.pool).await.expect("rows")
    }

    /// The jobs of this kind, in any state: how many there are, and the runs of all of them.
    pub(crate) async fn jobs(&self, kind: &str) -> (i64, i64) {
        let row =
            sqlx::query_as("SELECT count(*), coalesce(sum(epoch), 0)::bigint FROM leasehold.jobs WHERE kind = $1");
        row.bind(kind).fetch_one(&self.pool).await.expect("a count")
    }

    /// Waits until a job of this kind is in this state.
    pub(crate) async fn until(&self, kind: &str, state: &str) {
        eventually(&format!("a job of kind {kind} is {state}"), SOON, || async {
            let row =
                sqlx::query_scalar::<_, String>("SELECT state::text FROM leasehold.jobs WHERE kind = $1").bind(kind);
            let states = row.fetch_all(&self.pool).await.expect("states");
            if states.iter().any(|is| is == state) { Ok(()) } else { Err(states) }
        })
        .await;
    }

    /// Waits until the document has passed both stages and the webhook has got one message. Prints the time.
    pub(crate) async fn revived(&self, orphan: &str, key: &str, since: Instant) {
        let (document, told) = eventually("the webhook was told", SOON, || async {
            let (id, state, _) = self.document(key).await;
            let told = self.told(id).await;
            if told.is_empty() { Err(state) } else { Ok((id, told)) }
        })
        .await;
        println!("{orphan}: revived after {} ms", since.elapsed().as_millis());
        assert_eq!(told, ["done"]);
        let (_, state, summary) = self.document(key).await;
        assert_eq!((state.as_str(), summary.as_deref()), ("done", Some("2 fields: total=119, vat=19")), "{document}");
        for kind in ["extraction/extract", "extraction/summarize", "extraction/notify"] {
            assert_eq!(self.jobs(kind).await.0, 1, "one job of kind {kind}");
        }
    }
}
