//! Jobs that depend on other jobs: enqueues them, reads their parents and the graph around a job, and tells the children of ended
//! parents that were not told of the end yet.

use crate::{
    connect::Store,
    error::Error,
    job_words,
    locked_out::LockedOut,
    promote::waiting,
    row::{job_id, json, line_at_if_any, uuids, word},
};
use chrono::{DateTime, Utc};
use leasehold_core::{
    FieldError, GRAPH_MAX_JOBS, Graph, GraphEdge, GraphJob, InvalidJob, JobId, Kind, NewJob, Parent, QueueName, State,
};
use leasehold_ports::{Enqueued, Waiting};
use sqlx::{PgConnection, Postgres, Row, postgres::PgArguments, postgres::PgRow, query::Query};
use std::str::FromStr;

const ENQUEUE: &str = include_str!("../sql/enqueue_graph.sql");
pub(crate) const DOING: &str = "enqueueing jobs that depend on others";
const READING: &str = "reading a graph";

/// What happens to the free jobs when other jobs are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Others {
    /// They are enqueued, unless they depend on a job that is held.
    Enqueued,
    /// All jobs are enqueued, or none.
    Wait,
}

impl Store {
    /// Enqueues jobs that may depend on each other and on jobs that exist, all of them or none. Answers have the order of
    /// `jobs`.
    ///
    /// # Errors
    /// [`Error::Invalid`] before anything is sent. [`Error::Locked`] if open transactions of other sessions hold a parent, an id or a
    /// unique key for longer than `lock_timeout`. Or the statement failed: a parent does not exist, or the jobs depend on each
    /// other in a cycle. Nothing was written.
    pub async fn enqueue_graph(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        jobs.iter().try_for_each(NewJob::validate)?;
        if jobs.len() > GRAPH_MAX_JOBS {
            let problem = format!("has {} jobs; at most {GRAPH_MAX_JOBS} are allowed", jobs.len());
            return Err(InvalidJob(vec![FieldError::new("graph", problem)]).into());
        }
        let sent = self.enqueue_together(&self.encrypted(jobs).await?, Others::Wait).await;
        let (answers, held) = match sent {
            Err(error) if self.learns_of_a_queue(&error) => {
                self.enqueue_together(&self.encrypted(jobs).await?, Others::Wait).await?
            }
            sent => sent?,
        };
        if !held.is_empty() {
            return Err(Error::Locked(Box::new(LockedOut { doing: DOING, held, accepted: answers })));
        }
        Ok(answers.into_iter().flatten().collect())
    }

    /// The same inside the caller's transaction.
    pub(crate) async fn enqueue_graph_in<'a>(
        connection: &mut PgConnection,
        jobs: impl Iterator<Item = &'a NewJob>,
    ) -> Result<Vec<Enqueued>, Error> {
        let nodes = nodes(jobs)?;
        let rows = statement(&nodes, None).persistent(false).fetch_all(connection).await;
        enqueued(&rows.map_err(Error::sql(DOING))?)
    }

    /// The parents of a job, in the order of its `depends_on`. `results_max`: how many bytes of results are read.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn parents(&self, id: JobId, results_max: usize) -> Result<Vec<Parent>, Error> {
        let most = i64::try_from(results_max).unwrap_or(i64::MAX);
        let statement = sqlx::query(include_str!("../sql/parents.sql")).bind(id.0).bind(most);
        let rows = statement.try_map(|row| parent(&row)).fetch_all(&self.bounded).await;
        let mut parents = rows.map_err(Error::sql("reading the parents of a job"))?;
        for Parent { id, result, .. } in &mut parents {
            *result = result.take().map(|result| self.readable_result(*id, result));
        }
        Ok(parents)
    }

    /// The jobs that this job depends on, the jobs that depend on it, and so on, up to `limit` jobs.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn graph(&self, id: JobId, limit: i64) -> Result<Graph, Error> {
        let jobs = sqlx::query(include_str!("../sql/graph.sql")).bind(id.0).bind(limit.saturating_add(1));
        let jobs = jobs.try_map(|row| graph_job(&row)).fetch_all(&self.long_statements).await;
        let mut jobs = jobs.map_err(Error::sql(READING))?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let is_cut = jobs.len() > most;
        jobs.truncate(most);
        jobs.sort_by_key(|job| job.id);
        let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
        let edges = sqlx::query(include_str!("../sql/graph_edges.sql")).bind(uuids(&ids));
        let edges = edges.try_map(|row| graph_edge(&row)).fetch_all(&self.long_statements).await;
        Ok(Graph::new(jobs, edges.map_err(Error::sql(READING))?, is_cut))
    }

    /// Tells the remaining children of up to `limit` ended parents, among the parents that were noted until `until`. Returns the
    /// children that are now in the line.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn tell_children(&self, limit: i64, until: DateTime<Utc>) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(include_str!("../sql/ended_parents.sql")).bind(limit).bind(until);
        let rows = statement.try_map(|row| waiting(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("telling the children of ended jobs"))
    }
}

pub(crate) fn nodes<'a>(jobs: impl Iterator<Item = &'a NewJob>) -> Result<String, Error> {
    job_words::json(jobs).map_err(|error| Error::sql(DOING)(sqlx::Error::Encode(error.into())))
}

pub(crate) fn statement<'a>(nodes: &'a str, lock_timeout: Option<&'a str>) -> Query<'a, Postgres, PgArguments> {
    sqlx::query(ENQUEUE).bind(nodes).bind(lock_timeout)
}

pub(crate) fn enqueued(rows: &[PgRow]) -> Result<Vec<Enqueued>, Error> {
    let answer = |row: &PgRow| {
        let mut answer = Enqueued::new(job_id(row, "id")?, word(row, "state")?, line_at_if_any(row)?);
        answer.inserted = row.try_get("inserted")?;
        answer.replaced = row.try_get("replaced")?;
        Ok(answer)
    };
    rows.iter().map(answer).collect::<Result<_, sqlx::Error>>().map_err(Error::sql(DOING))
}

/// A column that is NULL after the row of a job has left history.
fn word_if_any<T>(row: &PgRow, column: &str) -> Result<Option<T>, sqlx::Error>
where
    T: FromStr,
    T::Err: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if row.try_get::<Option<&str>, _>(column)?.is_some() { word(row, column).map(Some) } else { Ok(None) }
}

fn parent(row: &PgRow) -> Result<Parent, sqlx::Error> {
    let mut parent = Parent::new(job_id(row, "id")?, word(row, "on_parent_failure")?, row.try_get("met")?);
    parent.kind = word_if_any::<Kind>(row, "kind")?;
    parent.state = word_if_any::<State>(row, "state")?;
    parent.result = json(row, "result")?;
    parent.is_left_out = row.try_get("is_left_out")?;
    Ok(parent)
}

fn graph_job(row: &PgRow) -> Result<GraphJob, sqlx::Error> {
    let (kind, queue) = (word_if_any::<Kind>(row, "kind")?, word_if_any::<QueueName>(row, "queue")?);
    Ok(GraphJob::new(job_id(row, "id")?, kind, queue, word_if_any::<State>(row, "state")?))
}

fn graph_edge(row: &PgRow) -> Result<GraphEdge, sqlx::Error> {
    let (parent, child) = (job_id(row, "parent")?, job_id(row, "child")?);
    Ok(GraphEdge::new(parent, child, row.try_get("met")?, word(row, "on_parent_failure")?))
}
