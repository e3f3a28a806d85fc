//! Payloads and results of queues that take encrypted payloads. They are encrypted on the way to PostgreSQL and decrypted on the
//! way back, so all code above the store sees them in plain text. For the reason, see
//! docs/adr/0042-payloads-are-encrypted-at-the-edge.md.
//!
//! A job of another queue costs one comparison here. A process without keys encrypts nothing, and reads no more than before.

use crate::{
    connect::Store,
    error::Error,
    http_claims::HttpRun,
    settle_statement::{EncryptedEnds, OnRefusal, Unstorable},
};
use leasehold_core::{
    Backoff, ClaimedJob, Encryption, FieldError, FinishedRun, InvalidJob, JobId, JobRecord, Kind, NewJob, OnConflict,
    PLAIN_MAX_BYTES, RESERVED, ScheduleName, Settle, Success, WorkerId,
};
use leasehold_encryption::{BoundTo, CannotDecrypt, Encrypted, Keys, Owner};
use serde_json::value::{RawValue, to_raw_value};
use std::{
    borrow::Cow,
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// How long a process relies on its last read of the queues. If the queues have changed in the meantime, PostgreSQL refuses a
/// payload that should be encrypted, and the process reads again.
const KNOWN_FOR: Duration = Duration::from_secs(5);

/// The state of encryption in a process: its keys, and the queues that take encrypted payloads.
#[derive(Debug, Default)]
pub(crate) struct Crypt {
    keys: Keys,
    queues: Mutex<Option<Known>>,
    /// The reasons for which a payload could not be decrypted and that are in the log.
    warned: Mutex<BTreeSet<String>>,
}

/// The queues that take encrypted payloads.
#[derive(Clone, Debug)]
struct Known {
    at: Instant,
    queues: Arc<HashSet<String>>,
}

impl Store {
    /// The same store, with keys: it encrypts and decrypts. Clones of the store that were made before have no keys.
    #[must_use]
    pub fn with_keys(mut self, keys: Keys) -> Self {
        self.crypt = Arc::new(Crypt { keys, ..Crypt::default() });
        self
    }

    /// The keys of this process.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.crypt.keys
    }

    /// The queues that take encrypted payloads, as they were within the last seconds.
    async fn encrypted_queues(&self) -> Result<Arc<HashSet<String>>, Error> {
        let known = self.crypt.queues.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known.filter(|known| known.at.elapsed() < KNOWN_FOR) {
            return Ok(known.queues);
        }
        let at = Instant::now();
        let statement = sqlx::query_scalar(include_str!("../sql/encrypted_queues.sql"));
        let names: Vec<String> = statement
            .fetch_all(&self.bounded)
            .await
            .map_err(Error::sql("reading which queues take encrypted payloads"))?;
        let queues: Arc<HashSet<String>> = Arc::new(names.into_iter().collect());
        let mut known = self.crypt.queues.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(Known { at, queues: Arc::clone(&queues) });
        Ok(queues)
    }

    /// Whether a failed call may succeed after its payloads are encrypted again: a queue takes encrypted payloads, and this
    /// process did not know this yet.
    pub(crate) fn learns_of_a_queue(&self, error: &Error) -> bool {
        let learns = !self.crypt.keys.is_empty() && error.wants_encryption();
        if learns {
            *self.crypt.queues.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        learns
    }

    /// These jobs as they are sent to PostgreSQL. Payloads that are encrypted already stay as they are.
    pub(crate) async fn encrypted<'a>(&self, jobs: &'a [NewJob]) -> Result<Cow<'a, [NewJob]>, Error> {
        if jobs.is_empty() || self.crypt.keys.is_empty() {
            return Ok(Cow::Borrowed(jobs));
        }
        let queues = self.encrypted_queues().await?;
        if queues.is_empty() || jobs.iter().all(|job| !queues.contains(job.queue.as_str())) {
            return Ok(Cow::Borrowed(jobs));
        }
        let encrypted = jobs.iter().map(|job| match queues.contains(job.queue.as_str()) {
            true => self.encrypted_job(job, Owner::Job(job.id)),
            false => Ok(job.clone()),
        });
        encrypted.collect::<Result<Vec<_>, _>>().map(Cow::Owned)
    }

    fn encrypted_job(&self, job: &NewJob, owner: Owner) -> Result<NewJob, Error> {
        let payload = job.payload.get();
        if Encrypted::is(payload) {
            return Ok(job.clone());
        }
        if let Some(wrong) = cannot_be_encrypted(job, &owner) {
            return Err(Error::Invalid(InvalidJob(vec![wrong])));
        }
        let encrypted = self.crypt.keys.encrypt(&BoundTo::Payload(owner, &job.kind), payload);
        let payload =
            encrypted.and_then(|text| RawValue::from_string(text).ok()).ok_or_else(|| too_long("payload", payload))?;
        Ok(job.clone().with(|job| job.payload = payload))
    }

    /// The job of a schedule as it is sent to PostgreSQL. The ids of the jobs of its ticks are not known, so its payload is bound to the
    /// schedule.
    pub(crate) async fn encrypted_for(&self, name: &ScheduleName, job: &NewJob) -> Result<NewJob, Error> {
        if self.crypt.keys.is_empty() || !self.encrypted_queues().await?.contains(job.queue.as_str()) {
            return Ok(job.clone());
        }
        self.encrypted_job(job, Owner::Schedule(name.clone()))
    }

    /// Encrypts the payloads of these jobs whose queues take encrypted payloads.
    ///
    /// # Errors
    /// A job cannot be encrypted, or the queues cannot be read.
    pub async fn encrypt_jobs(&self, jobs: &[NewJob]) -> Result<Vec<NewJob>, Error> {
        self.encrypted(jobs).await.map(Cow::into_owned)
    }

    /// Encrypts the result of a job whose payload was encrypted.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the result is too long, or this process has no keys.
    pub async fn encrypt_result(&self, id: JobId, result: &RawValue) -> Result<Box<RawValue>, Error> {
        let json = result.get();
        if json.len() > PLAIN_MAX_BYTES {
            return Err(too_long("result", json));
        }
        let encrypted = self.crypt.keys.encrypt(&BoundTo::Result(id), json);
        encrypted.and_then(|text| RawValue::from_string(text).ok()).ok_or_else(|| invalid("result", NO_KEYS.to_owned()))
    }

    /// Ends of runs as they are sent to PostgreSQL: with encrypted follow-on jobs; and with encrypted results for the HTTP
    /// server, the caller that keeps refused ends. Workers have encrypted the results of their runs.
    pub(crate) async fn encrypted_ends<'a>(
        &self,
        runs: &'a [FinishedRun],
        on_refusal: OnRefusal,
    ) -> Result<EncryptedEnds<'a>, Error> {
        let mut ends = EncryptedEnds { runs: Cow::Borrowed(runs), refused: Vec::new() };
        if self.crypt.keys.is_empty() {
            return Ok(ends);
        }
        let has_result = |run: &&FinishedRun| result_of(&run.settle).is_some_and(|json| !Encrypted::is(json.get()));
        let mut with_result: HashSet<JobId> = HashSet::new();
        if on_refusal == OnRefusal::Keep {
            with_result =
                self.encrypted_among(runs.iter().filter(has_result).map(|run| run.fence.id.0).collect()).await?;
        }
        for (nth, run) in runs.iter().enumerate() {
            let encrypts_result = with_result.contains(&run.fence.id) && has_result(&run);
            if !encrypts_result && !matches!(run.settle, Settle::CompleteThen(_)) {
                continue;
            }
            match self.encrypted_end(run, encrypts_result).await {
                Ok(settle) => ends.runs.to_mut()[nth].settle = settle,
                Err(Error::Invalid(wrong)) if on_refusal == OnRefusal::Keep => {
                    ends.refused.push(Unstorable { fence: run.fence, reason: wrong.to_string() });
                }
                // Another run would try the same.
                Err(Error::Invalid(wrong)) => {
                    let error = format!("a follow-on job cannot be stored: {wrong}");
                    ends.runs.to_mut()[nth].settle = Settle::Bury { error };
                }
                Err(error) => return Err(error),
            }
        }
        Ok(ends)
    }

    async fn encrypted_end(&self, run: &FinishedRun, encrypts_result: bool) -> Result<Settle, Error> {
        let result = match result_of(&run.settle) {
            Some(result) if encrypts_result => Some(self.encrypt_result(run.fence.id, result).await?),
            result => result.map(ToOwned::to_owned),
        };
        Ok(match &run.settle {
            Settle::CompleteThen(success) => {
                let then = self.encrypt_jobs(&success.then).await?;
                Settle::CompleteThen(Box::new(Success { result, then }))
            }
            _ => Settle::Complete(result),
        })
    }

    /// The live jobs among these whose payloads are encrypted.
    async fn encrypted_among(&self, ids: Vec<Uuid>) -> Result<HashSet<JobId>, Error> {
        if ids.is_empty() {
            return Ok(HashSet::new());
        }
        let statement = sqlx::query_scalar(include_str!("../sql/encrypted_among.sql")).bind(ids);
        let ids: Vec<Uuid> =
            statement.fetch_all(&self.bounded).await.map_err(Error::sql("reading which payloads are encrypted"))?;
        Ok(ids.into_iter().map(JobId).collect())
    }

    /// The runs of an HTTP worker with decrypted payloads. Runs that cannot be decrypted are given back.
    pub(crate) async fn decrypted_runs(&self, worker: WorkerId, runs: Vec<HttpRun>) -> Vec<HttpRun> {
        let (mut readable, mut back) = (Vec::with_capacity(runs.len()), Vec::new());
        for mut run in runs {
            if Encrypted::is(run.job.payload.get()) {
                self.decrypt_claimed(&mut run.job).await;
            }
            let tries = run.job.tries(Backoff::default(), Duration::ZERO);
            match run.job.unreadable().and_then(|outcome| outcome.settle(&tries, 0.5)) {
                Some(settle) => back.push(FinishedRun { fence: run.job.fence, settle }),
                None => readable.push(run),
            }
        }
        if !back.is_empty()
            && let Err(error) = self.settle(worker, &back).await
        {
            // Their leases run out.
            tracing::warn!(%error, "jobs whose payloads cannot be decrypted were not given back");
        }
        readable
    }

    /// Decrypts the payloads of claimed jobs.
    pub(crate) async fn decrypted(&self, mut jobs: Vec<ClaimedJob>) -> Vec<ClaimedJob> {
        for job in &mut jobs {
            if Encrypted::is(job.payload.get()) {
                self.decrypt_claimed(job).await;
            }
        }
        jobs
    }

    async fn decrypt_claimed(&self, job: &mut ClaimedJob) {
        match self.decrypt_payload(job.fence.id, &job.kind, job.payload.get()).await {
            Ok(payload) => {
                job.payload = payload;
                job.encryption = Encryption::Decrypted;
            }
            Err(error) => {
                let reason = format!("the payload {error}");
                let mut warned = self.crypt.warned.lock().unwrap_or_else(PoisonError::into_inner);
                if error.is_lack() && warned.insert(reason.clone()) {
                    tracing::warn!(job = %job.fence.id, queue = %job.queue, "a job is given back: {reason} (encryption.keys)");
                }
                job.encryption = Encryption::Unreadable { reason, is_lack: error.is_lack() };
            }
        }
    }

    /// Decrypts the payload of a job. A dead letter has the payload of the job that died. The job of a tick has the payload of
    /// its schedule.
    async fn decrypt_payload(&self, id: JobId, kind: &Kind, json: &str) -> Result<Box<RawValue>, CannotDecrypt> {
        let owner = match Encrypted::owner_of(json) {
            Some(Owner::Job(died)) if died != id && self.is_dead_letter(id, died).await => Owner::Job(died),
            Some(schedule @ Owner::Schedule(_)) => schedule,
            _ => Owner::Job(id),
        };
        let text = self.crypt.keys.decrypt(&BoundTo::Payload(owner, kind), json)?;
        RawValue::from_string(text).map_err(|_| CannotDecrypt::Form)
    }

    /// Whether a job is the dead letter of the other job.
    async fn is_dead_letter(&self, id: JobId, died: JobId) -> bool {
        let statement = sqlx::query_scalar(include_str!("../sql/is_dead_letter.sql")).bind(id.0).bind(died.0);
        statement.fetch_one(&self.bounded).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "whether a job is a dead letter cannot be read, so its payload is not decrypted");
            false
        })
    }

    /// A record of a job as a reader sees it. A value that cannot be decrypted is replaced by the reason.
    pub(crate) async fn readable(&self, mut job: JobRecord) -> JobRecord {
        if Encrypted::is(job.payload.get()) {
            let read = match job.kind.parse::<Kind>() {
                Ok(kind) => self.decrypt_payload(job.id, &kind, job.payload.get()).await,
                Err(_) => Err(CannotDecrypt::Form),
            };
            job.payload = read.unwrap_or_else(|error| unreadable("payload", &error));
        }
        job.result = job.result.map(|result| self.readable_result(job.id, result));
        job
    }

    /// The result of a job as a reader sees it.
    pub(crate) fn readable_result(&self, id: JobId, result: Box<RawValue>) -> Box<RawValue> {
        if !Encrypted::is(result.get()) {
            return result;
        }
        let text = self.crypt.keys.decrypt(&BoundTo::Result(id), result.get());
        let read = text.and_then(|text| RawValue::from_string(text).map_err(|_| CannotDecrypt::Form));
        read.unwrap_or_else(|error| unreadable("result", &error))
    }

    /// The payload of a schedule as a reader sees it.
    pub(crate) fn readable_payload_of(
        &self,
        name: &ScheduleName,
        kind: &Kind,
        payload: Box<RawValue>,
    ) -> Box<RawValue> {
        if !Encrypted::is(payload.get()) {
            return payload;
        }
        let text = self.crypt.keys.decrypt(&BoundTo::Payload(Owner::Schedule(name.clone()), kind), payload.get());
        let read = text.and_then(|text| RawValue::from_string(text).map_err(|_| CannotDecrypt::Form));
        read.unwrap_or_else(|error| unreadable("payload", &error))
    }
}

/// The result of a success.
fn result_of(settle: &Settle) -> Option<&RawValue> {
    match settle {
        Settle::Complete(result) => result.as_deref(),
        Settle::CompleteThen(success) => success.result.as_deref(),
        _ => None,
    }
}

const NO_KEYS: &str = "must be encrypted, and this process has no keys (encryption.keys)";

/// The replacement for a value that cannot be decrypted. It has the reserved form, so no client can send it back as a payload.
fn unreadable(what: &str, error: &CannotDecrypt) -> Box<RawValue> {
    let reason = format!("the {what} {error}");
    let text = serde_json::to_string(&reason).unwrap_or_default();
    RawValue::from_string(format!("{RESERVED}{text}}}")).unwrap_or_else(|_| to_raw_value(&reason).unwrap_or_default())
}

fn invalid(field: &'static str, problem: String) -> Error {
    Error::Invalid(InvalidJob(vec![FieldError::new(field, problem)]))
}

fn too_long(field: &'static str, json: &str) -> Error {
    invalid(
        field,
        format!(
            "is {} bytes long; at most {PLAIN_MAX_BYTES} are allowed, because it is encrypted, and the encrypted text, which is a third \
             longer, may have 1 MiB",
            json.len()
        ),
    )
}

/// The problem of a job whose payload should be encrypted.
fn cannot_be_encrypted(job: &NewJob, owner: &Owner) -> Option<FieldError> {
    let wrong = |field, problem: String| Some(FieldError::new(field, problem));
    let queue = &job.queue;
    if job.payload.get().len() > PLAIN_MAX_BYTES {
        let Error::Invalid(InvalidJob(mut wrong)) = too_long("payload", job.payload.get()) else { return None };
        return wrong.pop();
    }
    let unique = job.unique.as_ref()?;
    if unique.makes_key() {
        return wrong(
            "unique",
            format!("cannot make a key of the payload: queue {queue} takes encrypted payloads; give a unique_key"),
        );
    }
    if unique.on_conflict != OnConflict::Skip && matches!(owner, Owner::Job(_)) {
        return wrong(
            "unique.on_conflict",
            format!(
                "must be skip: queue {queue} takes encrypted payloads, and a payload belongs to the id of its own job"
            ),
        );
    }
    None
}
