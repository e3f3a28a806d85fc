//! Sessions of users beside the store, and transactions that they leave open.

use crate::fixture::Fixture;
use sqlx::{AssertSqlSafe, PgConnection};

/// Another session.
pub(crate) struct Session(PgConnection);

impl Session {
    pub(crate) async fn of(fixture: &Fixture) -> Self {
        Self(fixture.connection().await)
    }

    pub(crate) async fn pid(&mut self) -> i32 {
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut self.0).await.expect("a pid")
    }

    /// What the server answers: an error as its text.
    pub(crate) async fn asks(&mut self, script: &str) -> Result<(), String> {
        let done = sqlx::raw_sql(AssertSqlSafe(script.to_owned())).execute(&mut self.0).await;
        done.map(drop).map_err(|error| error.to_string())
    }

    pub(crate) async fn says(&mut self, script: &str) {
        sqlx::raw_sql(AssertSqlSafe(script.to_owned())).execute(&mut self.0).await.expect(script);
    }
}

/// A session whose transaction is open, and has said this.
pub(crate) async fn open(fixture: &Fixture, script: &str) -> Session {
    let mut session = Session::of(fixture).await;
    session.says(&format!("BEGIN; {script}")).await;
    session
}
