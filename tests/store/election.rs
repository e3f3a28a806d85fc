//! The election of one process: of several that ask, one is elected, until it steps back or its connection ends.

use crate::subject::connect;
use leasehold_ports::Election;
use leasehold_store::ElectionByPostgres;
use leasehold_tests::{Database, eventually};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);
/// Transactions that an election holds open between two questions.
const OPEN: &str = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted
                    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// The election as one process has it.
async fn election(database: &Database) -> ElectionByPostgres {
    connect(database, 2).await.election()
}

async fn stands(election: &ElectionByPostgres) -> bool {
    election.stand().await.expect("an answer")
}

#[tokio::test]
async fn one_of_several_is_elected_and_stays_elected() {
    let database = Database::start().await;
    let [first, second] = [election(&database).await, election(&database).await];
    assert!(stands(&first).await);
    for _ in 0..5 {
        assert_eq!((stands(&second).await, stands(&first).await), (false, true));
    }
    first.resign().await;
    until_elected(&second).await;
    assert!(!stands(&first).await);
    drop(second);
    until_elected(&first).await;
}

/// The server notices a moment later that a connection is closed.
async fn until_elected(election: &ElectionByPostgres) {
    eventually("the other one is elected", TIMEOUT, async || stands(election).await.then_some(()).ok_or("not elected"))
        .await;
}

#[tokio::test]
async fn whoever_loses_the_connection_is_not_elected_any_more() {
    let database = Database::start().await;
    let mut admin = database.connect().await;
    let [first, second] = [election(&database).await, election(&database).await];
    assert!(stands(&first).await);
    let pid: i32 = sqlx::query_scalar(OPEN).fetch_one(&mut admin).await.expect("the session of the first");
    sqlx::query("SELECT pg_terminate_backend($1)").bind(pid).execute(&mut admin).await.expect("its end");
    until_elected(&second).await;
    assert!(!stands(&first).await, "it asks on a new connection");
}

#[tokio::test]
async fn the_transaction_is_as_old_as_the_last_question_and_keeps_no_dead_rows() {
    let database = Database::start().await;
    let mut admin = database.connect().await;
    let election = election(&database).await;
    assert!(stands(&election).await);
    let look = format!(
        "SELECT xact_start::text, state, backend_xmin::text, backend_xid::text FROM pg_stat_activity WHERE pid IN ({OPEN})"
    );
    type Session = (String, String, Option<String>, Option<String>);
    let mut session = async || -> Session {
        sqlx::query_as(sqlx::AssertSqlSafe(look.clone())).fetch_one(&mut admin).await.expect("one session")
    };
    let (first, state, xmin, xid) = session().await;
    assert_eq!((state.as_str(), xmin, xid), ("idle in transaction", None, None));
    assert!(stands(&election).await);
    assert!(session().await.0 > first, "a question begins a new transaction");
}
