//! violations: the invariants that can be checked with rows and the catalog alone. Each check is a file in
//! `sql/violations/`. A check returns `id` (or NULL) and `detail`, at most a hundred rows.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, time, uuids},
};
use leasehold_core::JobId;
use leasehold_ports::{RowLocker, Violation};
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

const DOING: &str = "checking the rows";

macro_rules! checks {
    ($($name:ident),* $(,)?) => {
        /// The names of the checks that [`Store::violations`] makes.
        pub const CHECKS: &[&str] = &[$(stringify!($name)),*];
        const STATEMENTS: &[&str] = &[$(include_str!(concat!(env!("OUT_DIR"), "/sql/violations/", stringify!($name), ".sql"))),*];
    };
}

checks! {
    live_and_finished,
    finished_twice,
    unique_key_twice,
    lease_long_expired,
    scheduled_long_due,
    schedule_long_due,
    schedule_makes_no_job,
    overdue_and_waiting,
    queued_before_its_time,
    state_and_lease_disagree,
    attempts_beyond_limit,
    finished_without_a_run,
    blocked_without_cause,
    edges_miscounted,
    limit_exceeded,
    run_without_slot,
    limit_change_waits,
    position_off_the_step,
    parked_and_not_moved,
    batch_long_ended,
    default_partition_used,
    partition_missing,
    constraint_missing,
    index_missing,
    encryption_unguarded,
    counts_differ,
}

impl Store {
    /// The sessions that have locked the rows of these jobs for a while, each with the job.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn lockers(&self, ids: &[JobId]) -> Result<Vec<(JobId, RowLocker)>, Error> {
        let statement = sqlx::query(crate::statement::statement!("lockers")).bind(uuids(ids));
        let locker = |row: PgRow| {
            let (pid, application) = (row.try_get("pid")?, row.try_get("application")?);
            Ok((job_id(&row, "id")?, RowLocker { pid, application, since: time(&row, "since")? }))
        };
        let rows = statement.try_map(locker).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("looking who has locked some jobs"))
    }

    /// Runs all [`CHECKS`]. Some read all live jobs, some read the jobs that finished in the last day. So the call is
    /// for an operator, and not for a loop.
    ///
    /// # Errors
    /// That a statement failed.
    pub async fn violations(&self) -> Result<Vec<Violation>, Error> {
        let mut found = Vec::new();
        for (check, statement) in CHECKS.iter().zip(STATEMENTS) {
            let rows = sqlx::query_as(*statement).fetch_all(&self.long_statements).await;
            let rows: Vec<(Option<Uuid>, String)> = rows.map_err(Error::sql(DOING))?;
            let violation = |(id, detail): (Option<Uuid>, String)| Violation {
                check: (*check).to_owned(),
                id: id.map(JobId),
                detail,
            };
            found.extend(rows.into_iter().map(violation));
        }
        Ok(found)
    }
}
