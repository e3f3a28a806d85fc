//! The connections of a migration, and how long it waits for locks.
//!
//! A statement that changes a table waits until no other session uses the table, and all later users of the table wait
//! behind it. So a migration makes many short attempts, with pauses in which other sessions continue. One connection
//! does the work. The other connection is the guard: it holds the lock that only one migration can have, and finds out
//! which session the first connection waits for.

use super::steps::{Step, plain, steps};
use crate::{
    bounded::Bounded,
    connect::{Pooler, Store},
    error::{Error, code_of},
    locked_out::Holder,
};
use sqlx::{Connection, PgConnection, Row, migrate::Migration};
use std::{
    fmt,
    future::Future,
    pin::pin,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

const BEGIN: &str = include_str!("../../sql/migration_begin.sql");
const COMMIT: &str = include_str!("../../sql/migration_commit.sql");
const ROLLBACK: &str = include_str!("../../sql/migration_rollback.sql");
const TRY_LOCK: &str = include_str!("../../sql/migration_try_lock.sql");
/// Within a transaction, PostgreSQL keeps its first answer about sessions until a statement clears this answer.
const LOOK_AGAIN: &str = include_str!("../../sql/migration_look_again.sql");
/// The prefix of each statement that runs outside a transaction. The next migration finds the statements of a killed
/// migration by this prefix.
const MARK: &str = "/* leasehold migrate */ ";

/// The lock timeout of one statement: `lock_timeout` in `migration_begin.sql`.
const LOCK_TIMEOUT: Duration = Duration::from_millis(200);
/// The first and the longest pause after a lock that was not free.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// How often the guard checks which session the work waits for: several times within one lock timeout.
const LOOK_EVERY: Duration = Duration::from_millis(70);
/// The timeout of such a check: a pooler may have no other connection free.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);
/// How often the log says what the migration waits for.
const SAY_EVERY: Duration = Duration::from_secs(5);

pub(super) struct Session {
    store: Store,
    /// The working connection. It is made when a schema in use needs it: a pooler may have only one connection for us.
    work: Option<PgConnection>,
    /// The connection that holds the lock. It is in a transaction from the moment when it has the lock.
    guard: PgConnection,
    /// The process id of the working connection. It is not known through a pooler, where the server connection may
    /// change.
    pid: Option<i32>,
    patience: Duration,
    waited: Duration,
    said: Option<Instant>,
    /// The migration that is being applied.
    version: i64,
}

/// The text about a session that blocks the migration.
struct InTheWay(Holder);

impl fmt::Display for InTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.lock.as_str() {
            "virtualxid" | "transactionid" => write!(f, "the end of a transaction of another session ({})", self.0),
            lock => write!(f, "a lock on {lock} that the transaction of another session has ({})", self.0),
        }
    }
}

impl Session {
    pub(super) async fn open(store: &Store, patience: Duration) -> Result<Self, sqlx::Error> {
        let guard = PgConnection::connect_with(&store.transactions.connect_options()).await?;
        let (work, pid, waited) = (None, None, Duration::ZERO);
        Ok(Self { store: store.clone(), work, guard, pid, patience, waited, said: None, version: 0 })
    }

    /// The connection that has the lock, in its transaction, for reads.
    pub(super) fn guard(&mut self) -> &mut PgConnection {
        &mut self.guard
    }

    /// Makes the working connection.
    async fn begin_work(&mut self) -> Result<(), Error> {
        if self.work.is_none() {
            let sql = || Error::sql("migrating the schema");
            let options = self.store.transactions.connect_options();
            let mut work = PgConnection::connect_with(&options).await.map_err(sql())?;
            if self.store.pooler == Pooler::None {
                let row = sqlx::raw_sql(include_str!("../../sql/pid.sql")).fetch_one(&mut work).await;
                self.pid = Some(row.and_then(|row| row.try_get(0)).map_err(sql())?);
            }
            self.work = Some(work);
        }
        Ok(())
    }

    /// Commits the transaction that has the lock.
    pub(super) async fn commit(&mut self) -> Result<(), Error> {
        sqlx::raw_sql(COMMIT).execute(&mut self.guard).await.map(drop).map_err(Error::sql("migrating the schema"))
    }

    pub(super) async fn close(self) {
        // Closes the connections, which rolls back everything that is not committed.
        if let Some(work) = self.work {
            let _ = work.close().await;
        }
        let _ = self.guard.close().await;
    }

    /// Waits until no other migration runs. This session has the lock until it is closed.
    pub(super) async fn lock(&mut self) -> Result<(), Error> {
        let sql = Error::sql("waiting for another migration");
        loop {
            sqlx::raw_sql(BEGIN).execute(&mut self.guard).await.map_err(&sql)?;
            let row = sqlx::raw_sql(TRY_LOCK).fetch_one(&mut self.guard).await.map_err(&sql)?;
            if row.try_get(0).map_err(&sql)? {
                return Ok(());
            }
            sqlx::raw_sql(ROLLBACK).execute(&mut self.guard).await.map_err(&sql)?;
            self.pause(PAUSE.0, Duration::ZERO, &"the end of another migration").await?;
        }
    }

    /// Releases the lock of migrations and pauses, because another session holds a lock on the table of migrations or
    /// on the schema. The caller begins again.
    pub(super) async fn wait_for_table(&mut self) -> Result<(), Error> {
        let sql = Error::sql("waiting for a lock on the table of migrations");
        sqlx::raw_sql(ROLLBACK).execute(&mut self.guard).await.map_err(&sql)?;
        let row =
            sqlx::raw_sql(include_str!("../../sql/migration_table_lock.sql")).fetch_optional(&mut self.guard).await;
        match row.ok().flatten().as_ref().and_then(Holder::of).map(InTheWay) {
            Some(holder) => self.pause(PAUSE.0, LOCK_TIMEOUT, &holder).await,
            None => self.pause(PAUSE.0, LOCK_TIMEOUT, &"the transaction of another session that uses the schema").await,
        }
    }

    /// Makes the whole schema, in the transaction that has the lock. No other session uses this schema.
    pub(super) async fn make(
        &mut self,
        scripts: &[&str],
        migrations: &[&Migration],
        functions: Option<&str>,
    ) -> Result<(), Error> {
        let texts: Vec<(String, &Migration)> =
            migrations.iter().map(|migration| (plain(migration.sql.as_str()), *migration)).collect();
        let mut made = carry_out(&mut self.guard, scripts, &texts).await;
        if let (Ok(()), Some(functions)) = (&made, functions) {
            made = carry_out(&mut self.guard, &[functions], &[]).await;
        }
        made.map_err(Error::sql("migrating the schema"))
    }

    /// Runs a script in one transaction, on a schema in use.
    pub(super) async fn script(&mut self, script: &str) -> Result<(), Error> {
        self.begin_work().await?;
        self.transaction(&[script], &[]).await
    }

    /// Applies one migration to a schema in use.
    pub(super) async fn apply(&mut self, migration: &Migration) -> Result<(), Error> {
        self.version = migration.version;
        self.begin_work().await?;
        let Some(steps) = steps(migration.sql.as_str()) else {
            return self.transaction(&[], &[(migration.sql.as_str().to_owned(), migration)]).await;
        };
        self.end_leftovers().await?;
        // deadlock_detected: at the same time, a statement of a killed migration began. Every step can be run twice.
        while let Err(error) = self.steps(&steps).await {
            if error.code().as_deref() != Some("40P01") {
                return Err(error);
            }
            self.pause(PAUSE.0, Duration::ZERO, &"the end of an earlier migration").await?;
            self.end_leftovers().await?;
        }
        self.transaction(&[], &[(String::new(), migration)]).await
    }

    /// Ends the statements that a killed migration left at the server. Behind a pooler, the server does not notice that
    /// the client has died, and continues to build an index. The next migration would wait for the index. This session
    /// has the lock that only one migration can have, so every other statement with the mark is a leftover.
    async fn end_leftovers(&mut self) -> Result<(), Error> {
        let doing = Error::sql("ending the statements of a killed migration");
        loop {
            sqlx::raw_sql(LOOK_AGAIN).execute(&mut self.guard).await.map_err(&doing)?;
            let query = sqlx::query_scalar(include_str!("../../sql/migration_end_leftovers.sql")).bind(MARK);
            let ended: i64 = query.persistent(false).fetch_one(&mut self.guard).await.map_err(&doing)?;
            if ended == 0 {
                return Ok(());
            }
            self.pause(LOOK_EVERY, Duration::ZERO, &"the end of an earlier migration").await?;
        }
    }

    async fn steps(&mut self, steps: &[Step]) -> Result<(), Error> {
        for step in steps {
            let Some(index) = &step.partitions_without else {
                self.step(step).await?;
                continue;
            };
            for partition in self.partitions_without(index).await? {
                self.step(&step.of_partition(&partition)).await?;
            }
        }
        Ok(())
    }

    async fn step(&mut self, step: &Step) -> Result<(), Error> {
        if let Some(index) = &step.if_invalid
            && !self.is_invalid(index).await?
        {
            return Ok(());
        }
        if step.is_concurrent() {
            self.concurrently(&step.sql).await
        } else {
            self.transaction(&[&step.sql], &[]).await
        }
    }

    async fn partitions_without(&mut self, index: &str) -> Result<Vec<String>, Error> {
        let query =
            sqlx::query_scalar(include_str!("../../sql/migration_partitions.sql")).bind(index).persistent(false);
        query.fetch_all(&mut self.guard).await.map_err(Error::sql("reading the partitions of history"))
    }

    async fn is_invalid(&mut self, index: &str) -> Result<bool, Error> {
        let query =
            sqlx::query_scalar(include_str!("../../sql/migration_index_invalid.sql")).bind(index).persistent(false);
        query.fetch_one(&mut self.guard).await.map_err(Error::sql("reading whether an index is finished"))
    }

    /// Runs scripts and records migrations as applied, in one transaction. Repeats this until all locks are free.
    async fn transaction(&mut self, scripts: &[&str], migrations: &[(String, &Migration)]) -> Result<(), Error> {
        let mut pause = PAUSE.0;
        loop {
            let begun = Instant::now();
            let Some(work) = &mut self.work else { return Err(no_connection()) };
            let (answer, blocker) = watched(run(work, scripts, migrations), &self.store.bounded, self.pid).await;
            let Err(error) = answer else { return Ok(()) };
            // If the connection is closed, its transaction has ended too.
            let _ = sqlx::raw_sql(ROLLBACK).execute(work).await;
            // lock_not_available, deadlock_detected, serialization_failure
            if !matches!(code_of(&error).as_deref(), Some("55P03" | "40P01" | "40001")) {
                return Err(Error::sql("migrating the schema")(error));
            }
            match blocker {
                Some(blocker) => self.pause(pause, begun.elapsed(), &blocker).await?,
                None => self.pause(pause, begun.elapsed(), &"a lock of another session").await?,
            }
            pause = PAUSE.1.min(pause * 3 / 2);
        }
    }

    /// Runs a statement that cannot run in a transaction. The statement blocks no other session, so it may wait without
    /// a timeout.
    ///
    /// The questions about the server go through other connections than the guard's: the statement waits for the end of
    /// every transaction that was reading when it built the index, and the transaction of the guard ends only after the
    /// statement.
    async fn concurrently(&mut self, sql: &str) -> Result<(), Error> {
        let doing = Error::sql("migrating the schema");
        let Some(connection) = &mut self.work else { return Err(no_connection()) };
        if self.pid.is_some() {
            let limits = include_str!("../../sql/migration_concurrent_begin.sql");
            sqlx::raw_sql(limits).execute(&mut *connection).await.map_err(&doing)?;
        }
        let (version, patience) = (self.version, self.patience);
        let mut work = pin!(sqlx::raw_sql(sqlx::AssertSqlSafe(format!("{MARK}{sql}"))).execute(connection));
        loop {
            let begun = Instant::now();
            match timeout(LOOK_EVERY * 4, work.as_mut()).await {
                Ok(answer) => return answer.map(drop).map_err(doing),
                Err(_) => {
                    let pid = match self.pid {
                        None => builder(&self.store.bounded).await,
                        known => known,
                    };
                    let Some(blocker) = blocker(&self.store.bounded, pid).await else { continue };
                    self.waited += begun.elapsed();
                    say(&mut self.said, version, &blocker);
                    if self.waited > patience {
                        let cancel =
                            sqlx::query(include_str!("../../sql/migration_cancel.sql")).bind(pid).persistent(false);
                        cancel.execute(&self.store.bounded).await.map_err(&doing)?;
                        let _ = work.await;
                        return Err(Error::MigrationHeldUp { version, waited: self.waited, by: blocker.to_string() });
                    }
                }
            }
        }
    }

    /// Pauses so that other sessions can continue. Fails if the time for waits is used up.
    async fn pause(&mut self, pause: Duration, waited: Duration, by: &impl fmt::Display) -> Result<(), Error> {
        self.waited += waited;
        if self.waited >= self.patience {
            return Err(Error::MigrationHeldUp { version: self.version, waited: self.waited, by: by.to_string() });
        }
        say(&mut self.said, self.version, by);
        sleep(pause).await;
        self.waited += pause;
        Ok(())
    }
}

/// One attempt.
async fn run(
    work: &mut PgConnection,
    scripts: &[&str],
    migrations: &[(String, &Migration)],
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(BEGIN).execute(&mut *work).await?;
    carry_out(work, scripts, migrations).await?;
    sqlx::raw_sql(COMMIT).execute(work).await.map(drop)
}

/// Runs scripts and records migrations as applied, in a transaction that has begun.
async fn carry_out(
    work: &mut PgConnection,
    scripts: &[&str],
    migrations: &[(String, &Migration)],
) -> Result<(), sqlx::Error> {
    for script in scripts {
        sqlx::raw_sql(sqlx::AssertSqlSafe((*script).to_owned())).execute(&mut *work).await?;
    }
    for (script, migration) in migrations {
        let begun = Instant::now();
        sqlx::raw_sql(sqlx::AssertSqlSafe(script.clone())).execute(&mut *work).await?;
        let note = sqlx::query(include_str!("../../sql/migration_note.sql"))
            .bind(migration.version)
            .bind(migration.description.as_ref())
            .bind(migration.checksum.as_ref())
            .bind(i64::try_from(begun.elapsed().as_nanos()).unwrap_or(i64::MAX));
        note.persistent(false).execute(&mut *work).await?;
    }
    Ok(())
}

/// The error if the working connection was not made.
fn no_connection() -> Error {
    Error::sql("migrating the schema")(sqlx::Error::PoolClosed)
}

/// The session that makes an index for this migration, through a pooler.
async fn builder(server: &Bounded) -> Option<i32> {
    let query = sqlx::query_scalar(include_str!("../../sql/migration_builder.sql")).bind(MARK).persistent(false);
    timeout(LOOK_TIMEOUT, query.fetch_optional(server)).await.ok()?.ok()?
}

/// The result of some work, and the sessions that the work waited for.
async fn watched<T>(work: impl Future<Output = T>, server: &Bounded, pid: Option<i32>) -> (T, Option<InTheWay>) {
    let mut work = pin!(work);
    let mut seen = None;
    loop {
        match timeout(LOOK_EVERY, work.as_mut()).await {
            Ok(answer) => return (answer, seen),
            Err(_) => seen = blocker(server, pid).await.or(seen),
        }
    }
}

/// The session that another session waits for. It is only for messages, so an error is ignored.
async fn blocker(server: &Bounded, pid: Option<i32>) -> Option<InTheWay> {
    let query = sqlx::query(include_str!("../../sql/waits_for.sql")).bind(pid?).persistent(false);
    let row = timeout(LOOK_TIMEOUT, query.fetch_optional(server)).await.ok()?.ok()??;
    Holder::of(&row).map(InTheWay)
}

fn say(said: &mut Option<Instant>, version: i64, by: &impl fmt::Display) {
    if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
        *said = Some(Instant::now());
        // Before the first migration there is no version.
        let migration = (version > 0).then_some(version);
        tracing::warn!(migration, "the migration waits for {by}");
    }
}
