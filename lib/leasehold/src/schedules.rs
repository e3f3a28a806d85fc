//! Schedules, for Rust programs.

use crate::{Client, Enqueued, Error, NewSchedule, Schedule, ScheduleName};

impl Client {
    /// Makes a schedule, or immediately changes the schedule of this name. Reapers enqueue its job at each tick. A paused
    /// schedule stays paused. With the same timing, the next tick stays, so a program may set its schedules at each start.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let at_half_past_two = Timing::Cron { cron: "30 2 * * *".into(), timezone: "Europe/Berlin".into() };
    /// let job = client.enqueue(Resize { path: "all.png".into(), width: 160 }).unique_key("nightly").build()?;
    /// let nightly = NewSchedule::new("nightly".parse()?, at_half_past_two, job).missed(Missed::Skip);
    /// client.set_schedule(&nightly).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Timing`] or [`Error::Invalid`] before anything is written, or PostgreSQL fails.
    pub async fn set_schedule(&self, schedule: &NewSchedule) -> Result<(), Error> {
        self.untyped().set_schedule(schedule).await
    }

    /// All schedules, by name.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for schedule in client.schedules().await? {
    ///     println!("{}: next at {:?}", schedule.name, schedule.next_at);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        self.untyped().schedules().await
    }

    /// One schedule; `None` if there is no schedule of this name.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let nightly = client.schedule(&"nightly".parse()?).await?.ok_or("there is no such schedule")?;
    /// println!("{} jobs of kind {}", nightly.missed, nightly.kind);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn schedule(&self, name: &ScheduleName) -> Result<Option<Schedule>, Error> {
        self.untyped().schedule(name).await
    }

    /// Pauses a schedule: no tick makes a job until the schedule is resumed. Returns whether that changed anything; `None`
    /// if there is no such schedule.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let nightly = "nightly".parse()?;
    /// client.pause_schedule(&nightly).await?;
    /// client.resume_schedule(&nightly).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn pause_schedule(&self, name: &ScheduleName) -> Result<Option<bool>, Error> {
        self.untyped().pause_schedule(name).await
    }

    /// Resumes a schedule from now on, see [`Client::pause_schedule`]: the ticks of the pause make no job. Returns whether the schedule was paused; `None`
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
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// if let Some(answer) = client.run_schedule(&"nightly".parse()?).await? {
    ///     client.wait_finished(answer.id, Duration::from_secs(60)).await?;
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::enqueue_many`].
    pub async fn run_schedule(&self, name: &ScheduleName) -> Result<Option<Enqueued>, Error> {
        self.untyped().run_schedule(name).await
    }

    /// Removes a schedule. The jobs that it has made stay. Returns whether there was one.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.remove_schedule(&"nightly".parse()?).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn remove_schedule(&self, name: &ScheduleName) -> Result<bool, Error> {
        self.untyped().remove_schedule(name).await
    }
}
