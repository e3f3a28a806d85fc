//! Schedules, for Rust programs.

use crate::{Client, Enqueued, Error, NewSchedule, Schedule, ScheduleName};

impl Client {
    /// Makes a schedule, or changes the one of this name at once. Reapers enqueue its job at each tick. A paused schedule
    /// stays paused. With the same timing, the next tick stays, so a program may set its schedules at each start.
    ///
    /// ```no_run
    /// # use leasehold::{Client, Job, JobError, Missed, NewSchedule, Run, Timing};
    /// # use serde::{Deserialize, Serialize};
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Report { days: u32 }
    /// # impl Job for Report {
    /// #     const KIND: &'static str = "report";
    /// #     type Output = ();
    /// #     async fn run(self, _: &Run) -> Result<(), JobError> { Ok(()) }
    /// # }
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let timing = Timing::Cron { cron: "30 2 * * *".into(), timezone: "Europe/Berlin".into() };
    /// let job = client.enqueue(Report { days: 1 }).unique_key("nightly-report").build()?;
    /// let nightly = NewSchedule::new("nightly-report".parse()?, timing, job).missed(Missed::Skip);
    /// client.set_schedule(&nightly).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Timing`] or [`Error::Invalid`] before anything is written, or PostgreSQL fails.
    pub async fn set_schedule(&self, schedule: &NewSchedule) -> Result<(), Error> {
        self.untyped().set_schedule(schedule).await
    }

    /// All schedules, by name.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        self.untyped().schedules().await
    }

    /// One schedule; `None` if there is none of this name.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn schedule(&self, name: &ScheduleName) -> Result<Option<Schedule>, Error> {
        self.untyped().schedule(name).await
    }

    /// Pauses a schedule: no tick makes a job until the schedule is resumed. Returns whether that changed anything; `None`
    /// if there is no such schedule.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn pause_schedule(&self, name: &ScheduleName) -> Result<Option<bool>, Error> {
        self.untyped().pause_schedule(name).await
    }

    /// Resumes a schedule from now on: the ticks of the pause make no job. Returns whether the schedule was paused; `None`
    /// if there is no such schedule.
    ///
    /// # Errors
    /// PostgreSQL fails, or this version cannot read the timing of the schedule.
    pub async fn resume_schedule(&self, name: &ScheduleName) -> Result<Option<bool>, Error> {
        self.untyped().resume_schedule(name).await
    }

    /// Enqueues the job of a schedule now, also if the schedule is paused. Its ticks stay as they are. `None` if there is no
    /// such schedule.
    ///
    /// # Errors
    /// As [`Client::enqueue_many`].
    pub async fn run_schedule(&self, name: &ScheduleName) -> Result<Option<Enqueued>, Error> {
        self.untyped().run_schedule(name).await
    }

    /// Removes a schedule. The jobs that it has made stay. Returns whether there was one.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn remove_schedule(&self, name: &ScheduleName) -> Result<bool, Error> {
        self.untyped().remove_schedule(name).await
    }
}
