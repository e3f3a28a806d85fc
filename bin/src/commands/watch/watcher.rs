//! The watcher: one round looks at the folder, enqueues jobs, asks which jobs have ended, and moves files. Each step can be
//! repeated, and can be interrupted anywhere: the folder and the jobs say what is left to do.

use super::{
    changes::Changes,
    conditions::{Conditions, Part},
    counts::Counts,
    file::Identity,
    folder::{Folder, Moved},
    tracker::{Ready, ToMove, Tracker},
};
use crate::{context::Context, failure::Failure};
use leasehold::{Client, Enqueued, Error, Kind, NewJob, QueueName};
use leasehold_core::BATCH_MAX;
use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    io,
    time::Duration,
};
use tokio::time::Instant;

/// The shortest pause between two rounds, so that a producer that writes all the time costs little.
const ROUND_MIN: Duration = Duration::from_millis(20);
/// The pause between two scans of the folder. It doubles with each scan that finds nothing new, up to `SCAN_MAX`. The scan is
/// the net for lost reports of the kernel.
const SCAN_MIN: Duration = Duration::from_secs(1);
const SCAN_MAX: Duration = Duration::from_secs(10);
/// The pause before live jobs are asked for again. It doubles when all of them were asked for and none has ended.
const LOOK_MIN: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_secs(2);

/// How long a call may take until the user is told that the files wait. A call is repeated for several times as long.
const CALL_IS_SLOW: Duration = Duration::from_secs(3);

/// The parts of a job besides its file.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    pub(crate) queue: QueueName,
    pub(crate) kind: Kind,
    pub(crate) max_attempts: i32,
    pub(crate) timeout: Option<Duration>,
}

/// Watches one folder.
pub(crate) struct Watcher<'a> {
    folder: Folder,
    template: Template,
    settle: Duration,
    client: &'a Client,
    context: &'a Context,
    tracker: Tracker,
    changes: Changes,
    conditions: Conditions,
    next_scan: Instant,
    scan_pause: Duration,
    next_look: Instant,
    look_pause: Duration,
}

impl<'a> Watcher<'a> {
    pub(crate) fn new(
        folder: Folder,
        template: Template,
        settle: Duration,
        client: &'a Client,
        context: &'a Context,
    ) -> Self {
        let now = Instant::now();
        Self {
            folder,
            template,
            settle,
            client,
            context,
            tracker: Tracker::default(),
            changes: Changes::default(),
            conditions: Conditions::default(),
            next_scan: now,
            scan_pause: SCAN_MIN,
            next_look: now,
            look_pause: LOOK_MIN,
        }
    }

    /// The work so far.
    pub(crate) const fn counts(&self) -> Counts {
        self.tracker.counts
    }

    /// Watches until an error that does not end by itself.
    pub(crate) async fn run(&mut self) -> Result<(), Failure> {
        loop {
            tokio::task::block_in_place(|| self.look_at_folder());
            let sent_all = self.enqueue().await?;
            self.ask().await?;
            tokio::task::block_in_place(|| self.move_ended());
            let rested = Instant::now() + ROUND_MIN;
            if sent_all {
                let next = self.next_round();
                tokio::select! {
                    () = self.changes.any() => {}
                    () = tokio::time::sleep_until(next) => {}
                }
            }
            tokio::time::sleep_until(rested).await;
        }
    }

    /// When there is work even if the kernel reports nothing.
    fn next_round(&self) -> Instant {
        let retries = [Part::Folder, Part::Database, Part::Moves].map(|part| self.conditions.next_try(part));
        let look = self.tracker.waits().then_some(self.next_look);
        let others = [self.tracker.next_settled(self.settle), look].into_iter().chain(retries).flatten();
        others.fold(self.next_scan, Instant::min)
    }

    fn look_at_folder(&mut self) {
        let reported = self.changes.take();
        if !self.conditions.may_try(Part::Folder) {
            // The next attempt is a scan, which finds the files that were reported now.
            return;
        }
        let looked = if reported.all || self.next_scan <= Instant::now() {
            self.scan()
        } else {
            self.look_at(reported.names.into_iter().collect())
        };
        let settled = looked.and_then(|()| self.settle());
        match settled {
            Ok(()) => self.conditions.works(Part::Folder),
            Err(error) => {
                let path = self.folder.path().display();
                self.conditions.failed(Part::Folder, || format!("the folder {path} cannot be read: {error}"));
                // A scan finds the files that were reported and could not be read.
                self.next_scan = self.conditions.next_try(Part::Folder).unwrap_or(self.next_scan);
            }
        }
    }

    /// Reads all of the folder.
    fn scan(&mut self) -> io::Result<()> {
        let is_reported = self.listen()?;
        let found = self.folder.scan()?;
        let now = Instant::now();
        let mut is_new = false;
        for (name, version) in &found {
            is_new |= self.tracker.note(name, Some(*version), now, |_| false);
        }
        let names: HashSet<&OsStr> = found.iter().map(|(name, _)| name.as_os_str()).collect();
        for name in self.tracker.missing_in(&names) {
            is_new |= self.tracker.note(&name, None, now, |version| self.folder.is_shelved(&name, version));
        }
        // Without reports, a scan is the only way in which a file is noticed.
        let longest = if is_reported { SCAN_MAX } else { SCAN_MIN };
        self.scan_pause = if is_new { SCAN_MIN } else { (self.scan_pause * 2).min(longest) };
        self.next_scan = now + self.scan_pause;
        Ok(())
    }

    /// Listens to the kernel, also after the folder was removed and made again. Returns whether the kernel reports.
    fn listen(&mut self) -> io::Result<bool> {
        let identity = self.folder.identity()?;
        if self.changes.is_of(identity) {
            return Ok(true);
        }
        let listening = self.changes.listen(self.folder.path(), identity);
        match &listening {
            Ok(()) => self.conditions.works(Part::Reports),
            Err(error) => self.conditions.failed(Part::Reports, || {
                format!("the kernel does not report changes of the folder, so it is read every second: {error}")
            }),
        }
        Ok(listening.is_ok())
    }

    /// Looks at these files.
    fn look_at(&mut self, names: Vec<OsString>) -> io::Result<()> {
        for name in names {
            let version = self.folder.look(&name)?;
            if self.tracker.note(&name, version, Instant::now(), |version| self.folder.is_shelved(&name, version)) {
                self.scan_pause = SCAN_MIN;
            }
        }
        Ok(())
    }

    /// Looks once more at the files that seem to be complete.
    fn settle(&mut self) -> io::Result<()> {
        for name in self.tracker.settling_before(Instant::now(), self.settle) {
            let version = self.folder.look(&name)?;
            let now = Instant::now();
            if !self.tracker.note(&name, version, now, |version| self.folder.is_shelved(&name, version)) {
                self.tracker.settled(&name);
            }
        }
        Ok(())
    }

    /// Enqueues the jobs of one batch of files. Returns whether no file is left that can be enqueued now.
    async fn enqueue(&mut self) -> Result<bool, Failure> {
        if !self.conditions.may_try(Part::Database) {
            return Ok(true);
        }
        let ready = self.tracker.ready(BATCH_MAX);
        if ready.is_empty() {
            return Ok(true);
        }
        let mut jobs = Vec::with_capacity(ready.len());
        let mut identities = Vec::with_capacity(ready.len());
        for Ready { name, version, other } in &ready {
            let identity = tokio::task::block_in_place(|| self.folder.identify(name, *version));
            identities.push(identity);
            let payload = version
                .payload(self.folder.path(), name, identity)
                .map_err(|error| Failure::new(format!("cannot write the payload of {}: {error}", name.display())))?;
            let mut job = NewJob::new(self.template.kind.clone(), payload);
            job.id = version.job_id(self.folder.path(), name, *other);
            job.id_may_exist = true;
            job.queue = self.template.queue.clone();
            job.max_attempts = self.template.max_attempts;
            job.timeout = self.template.timeout;
            jobs.push(job);
        }
        match told_if_slow(&mut self.conditions, self.client.enqueue_many(&jobs)).await {
            Ok(answers) => {
                let mut has_others = false;
                for ((file, identity), answer) in ready.iter().zip(identities).zip(answers) {
                    match self.other_than_that_of(file, identity, &answer).await {
                        Ok(Some(identity)) => {
                            self.tracker.is_other(&file.name, identity);
                            has_others = true;
                        }
                        Ok(None) => {
                            self.tracker.enqueued(&file.name, identity, answer.id, answer.inserted, answer.state);
                        }
                        // The file stays without a job, and is sent again.
                        Err(error) => return self.database_failed(&error).map(|()| true),
                    }
                }
                self.database_works();
                Ok(ready.len() < BATCH_MAX && !has_others)
            }
            Err(error) => self.database_failed(&error).map(|()| true),
        }
    }

    /// The identity of a file whose job belongs to another file: the job had ended before this file came.
    async fn other_than_that_of(
        &self,
        file: &Ready,
        identity: Option<Identity>,
        answer: &Enqueued,
    ) -> Result<Option<Identity>, Error> {
        let (Some(identity), None) = (identity, file.other) else { return Ok(None) };
        if answer.inserted || !answer.state.is_final() {
            return Ok(None);
        }
        let Some(job) = self.client.job(answer.id).await? else { return Ok(None) };
        let Some(finished_at) = job.finished_at else { return Ok(None) };
        let came_after = identity.came_after(&job.payload, finished_at)
            && !tokio::task::block_in_place(|| self.folder.is_half_moved(&file.name, identity.number));
        Ok(came_after.then_some(identity))
    }

    /// Asks for the ends of one page of live jobs.
    async fn ask(&mut self) -> Result<(), Failure> {
        if !self.tracker.waits() || self.next_look > Instant::now() || !self.conditions.may_try(Part::Database) {
            return Ok(());
        }
        let (page, is_last) = self.tracker.page(BATCH_MAX);
        match told_if_slow(&mut self.conditions, self.client.store().finished(&page)).await {
            Ok(finished) => {
                if !finished.is_empty() {
                    self.look_pause = LOOK_MIN;
                } else if is_last {
                    self.look_pause = (self.look_pause * 2).min(LOOK_MAX);
                }
                for job in finished {
                    self.tracker.ended(job.id, job.state);
                }
                self.database_works();
            }
            Err(error) => self.database_failed(&Error::from(error))?,
        }
        self.next_look = Instant::now() + self.look_pause;
        Ok(())
    }

    fn database_works(&mut self) {
        self.conditions.works(Part::Database);
    }

    /// Files wait while PostgreSQL is unavailable. Other errors do not end by themselves.
    fn database_failed(&mut self, error: &Error) -> Result<(), Failure> {
        let may_end = match error {
            Error::Store(source) | Error::OutcomeUnknown { source, .. } => source.is_transient(),
            Error::Locked(_) => true,
            _ => false,
        };
        if !may_end {
            return Err(self.context.failure(error));
        }
        let context = self.context;
        self.conditions.failed(Part::Database, || format!("the files wait: {}", context.failure(error)));
        Ok(())
    }

    /// Moves the files of finished jobs.
    fn move_ended(&mut self) {
        if !self.conditions.may_try(Part::Moves) {
            return;
        }
        for ToMove { name, version, number, shelf } in self.tracker.to_move() {
            match self.folder.shelve(&name, version, number, shelf) {
                Ok(Moved::Done) => {
                    self.conditions.works(Part::Moves);
                    self.tracker.moved(&name, shelf);
                }
                Ok(Moved::Gone) => {
                    let now = Instant::now();
                    self.tracker.note(&name, None, now, |version| self.folder.is_shelved(&name, version));
                }
                Ok(Moved::Replaced) => {
                    if let Ok(now) = self.folder.look(&name) {
                        match now {
                            Some(now) if now == version => self.tracker.replaced(&name, now, Instant::now()),
                            now => {
                                self.tracker.note(&name, now, Instant::now(), |_| false);
                            }
                        }
                    }
                }
                Err(error) => {
                    let path = self.folder.path().join(shelf.name());
                    self.conditions.failed(Part::Moves, || {
                        format!("finished files cannot be moved to {}: {error}", path.display())
                    });
                    return;
                }
            }
        }
    }
}

/// Waits for a call of PostgreSQL. If the call is slow, tells the user and continues to wait.
async fn told_if_slow<T>(conditions: &mut Conditions, call: impl Future<Output = T>) -> T {
    let mut call = std::pin::pin!(call);
    if let Ok(answer) = tokio::time::timeout(CALL_IS_SLOW, &mut call).await {
        return answer;
    }
    let seconds = CALL_IS_SLOW.as_secs();
    conditions.failed(Part::Database, || format!("the files wait: PostgreSQL has not answered for {seconds} s"));
    call.await
}
