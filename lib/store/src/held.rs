//! Finds the jobs of a call that open transactions of other sessions hold: by their ids, unique keys, batches, or parents.

use crate::{
    connect::Store,
    error::Error,
    job_words,
    row::{job_id, uuids},
};
use leasehold_core::{JobId, NewJob, run_order};
use sqlx::{PgConnection, Row};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

/// Enqueues jobs of any kind, also jobs with fields that few jobs have.
pub(crate) const ENQUEUE_JOBS: &str = include_str!("../sql/enqueue_jobs.sql");

const DOING: &str = "looking which jobs are held";

/// The maximum duration of the search.
const WITHIN: Duration = Duration::from_secs(30);

/// The reason why a job is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HeldUp {
    /// The thing that an open transaction holds.
    pub(crate) what: String,
    /// The held parent of a job that is not held itself.
    parent: Option<JobId>,
}

impl HeldUp {
    pub(crate) const fn itself(what: String) -> Self {
        Self { what, parent: None }
    }

    pub(crate) const fn is_itself(&self) -> bool {
        self.parent.is_none()
    }

    pub(crate) fn describe(&self) -> String {
        match self.parent {
            None => self.what.clone(),
            Some(parent) => format!("{}, which the parent {parent} needs,", self.what),
        }
    }

    /// A place in the order in which the statements lock things.
    pub(crate) fn rank(&self) -> (usize, &str) {
        let first = ["job ", "id ", "batch "].iter().position(|kind| self.what.starts_with(kind));
        (first.unwrap_or(usize::MAX), &self.what)
    }
}

/// The parts of a new job that another session can hold.
pub(crate) fn what_of(job: &NewJob) -> String {
    match (&job.unique_key, &job.batch) {
        (Some(key), _) => format!("unique key {key:?}"),
        // No other session knows an id that was made just now.
        (None, Some(batch)) if !job.id_may_exist => format!("batch {batch:?}"),
        _ => format!("id {}", job.id),
    }
}

impl Store {
    /// The held jobs among the jobs at `which`, and the jobs there that depend on held jobs. Enqueues the jobs in a transaction
    /// that is rolled back.
    ///
    /// # Errors
    /// The search failed.
    pub(crate) async fn held_up(&self, jobs: &[NewJob], which: &[usize]) -> Result<BTreeMap<usize, HeldUp>, Error> {
        let these: Vec<NewJob> = which.iter().map(|&nth| jobs[nth].clone()).collect();
        let store = self.clone();
        // A transaction that is left half-way could be committed by the next user of the connection.
        let search = async move {
            let mut transaction = store.transaction(DOING).await?;
            let found = search(&mut transaction, &these).await;
            transaction.rollback().await.map_err(Error::sql(DOING))?;
            found
        };
        let found = self.to_its_end(DOING, WITHIN, search).await?;
        Ok(found.into_iter().map(|(place, held)| (which[place], held)).collect())
    }
}

async fn search(connection: &mut PgConnection, jobs: &[NewJob]) -> Result<BTreeMap<usize, HeldUp>, Error> {
    let places: HashMap<JobId, usize> = jobs.iter().enumerate().map(|(place, job)| (job.id, place)).collect();
    let mut held: BTreeMap<usize, HeldUp> = BTreeMap::new();
    // The ids of the parents: an existing job may be the answer to a job of the call.
    let mut stands_for: HashMap<JobId, JobId> = HashMap::new();
    let alone: Vec<NewJob> = jobs.iter().map(|job| job.clone().with(|job| job.depends_on.clear())).collect();
    let json = job_words::json(alone.iter()).map_err(|error| Error::sql(DOING)(sqlx::Error::Encode(error.into())))?;
    let statement = sqlx::query(ENQUEUE_JOBS).bind(json).bind(true).bind(None::<&str>).persistent(false);
    for row in statement.fetch_all(&mut *connection).await.map_err(Error::sql(DOING))? {
        let read = || Ok((row.try_get("nth")?, row.try_get("held")?, job_id(&row, "id")?));
        let (nth, is_held, id): (i64, bool, JobId) = read().map_err(Error::sql(DOING))?;
        let Some(place) = usize::try_from(nth - 1).ok().filter(|place| *place < jobs.len()) else { continue };
        if is_held {
            held.insert(place, HeldUp::itself(what_of(&jobs[place])));
        } else {
            stands_for.insert(jobs[place].id, id);
        }
    }
    let parents: BTreeSet<JobId> = jobs.iter().flat_map(|job| &job.depends_on).copied().collect();
    let real = |id: &JobId| stands_for.get(id).copied().unwrap_or(*id);
    let ids: BTreeSet<JobId> =
        parents.iter().filter(|id| places.get(id).is_none_or(|place| !held.contains_key(place))).map(real).collect();
    let ids: Vec<JobId> = ids.into_iter().collect();
    let statement = sqlx::query(include_str!("../sql/held_parents.sql")).bind(uuids(&ids)).persistent(false);
    let rows = statement.try_map(|row| job_id(&row, "id")).fetch_all(connection).await.map_err(Error::sql(DOING));
    let held_parents: BTreeSet<JobId> = match rows {
        Ok(rows) => rows.into_iter().collect(),
        // The rights in the database are the rights of an earlier version: `leasehold migrate roles` was not run again.
        Err(error) if error.is_denied() => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    // A cycle is refused by PostgreSQL.
    for place in run_order(jobs).unwrap_or_default() {
        if held.contains_key(&place) {
            continue;
        }
        for parent in &jobs[place].depends_on {
            let above = places.get(parent).and_then(|above| held.get(above));
            let up = match above {
                Some(above) => HeldUp { what: above.what.clone(), parent: Some(*parent) },
                None if held_parents.contains(&real(parent)) => HeldUp::itself(format!("job {}", real(parent))),
                None => continue,
            };
            held.insert(place, up);
            break;
        }
    }
    Ok(held)
}
