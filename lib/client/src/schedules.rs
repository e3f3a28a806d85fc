//! Schedules: set them, read them, pause and resume them, run their job now, remove them.

use crate::{Client, Error};
use chrono::{DateTime, Utc};
use leasehold_core::{NewSchedule, ScheduleName, Timing};
use leasehold_schedule::{Calendar, InvalidTiming};
use leasehold_store::{Enqueued, Schedule, ScheduleChange, Store};

/// The next ticks of a schedule, `count` at most: none while it is paused. The first one may be due now.
///
/// # Errors
/// The row has a timing that this program cannot read.
pub fn upcoming(schedule: &Schedule, count: usize) -> Result<Vec<DateTime<Utc>>, InvalidTiming> {
    let calendar = Calendar::of(&schedule.timing())?;
    Ok(schedule.next_at.map_or_else(Vec::new, |next_at| calendar.upcoming(next_at, count)))
}

impl Client {
    pub(crate) fn postgres(&self) -> Result<&Store, Error> {
        Ok(&self.pair().ok_or(Error::NoSchedules)?.store)
    }

    /// Makes a schedule, or immediately changes the schedule of this name. A paused schedule stays paused. With the same
    /// timing, the next tick stays, so a program may set its schedules at each start.
    ///
    /// # Errors
    /// [`Error::Timing`] or [`Error::Invalid`] before anything is written, or PostgreSQL fails.
    pub async fn set_schedule(&self, schedule: &NewSchedule) -> Result<(), Error> {
        schedule.job.validate()?;
        let calendar = Calendar::of(&schedule.timing)?;
        let now = self.postgres()?.uptime().await?.now;
        let next_at = first_tick(&calendar, now, &schedule.timing)?;
        self.postgres()?.change_schedule(&schedule.name, ScheduleChange::Set { schedule, next_at }).await?;
        Ok(())
    }

    /// All schedules, by name.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn schedules(&self) -> Result<Vec<Schedule>, Error> {
        Ok(self.postgres()?.schedules(None).await?)
    }

    /// One schedule; `None` if there is no schedule of this name.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn schedule(&self, name: &ScheduleName) -> Result<Option<Schedule>, Error> {
        Ok(self.postgres()?.schedules(Some(name)).await?.pop())
    }

    /// Pauses a schedule: no tick makes a job until the schedule is resumed. Returns whether that changed anything; `None`
    /// if there is no such schedule.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn pause_schedule(&self, name: &ScheduleName) -> Result<Option<bool>, Error> {
        Ok(self.postgres()?.change_schedule(name, ScheduleChange::Pause).await?)
    }

    /// Resumes a schedule from now on: the ticks of the pause make no job. Returns whether the schedule was paused; `None`
    /// if there is no such schedule.
    ///
    /// # Errors
    /// PostgreSQL fails, or the row has a timing that this program cannot read.
    pub async fn resume_schedule(&self, name: &ScheduleName) -> Result<Option<bool>, Error> {
        // The loop repeats only if somebody has changed the schedule in between.
        loop {
            let Some(schedule) = self.schedule(name).await? else { return Ok(None) };
            if schedule.paused_at.is_none() {
                return Ok(Some(false));
            }
            let timing = schedule.timing();
            let next_at = first_tick(&Calendar::of(&timing)?, schedule.as_of, &timing)?;
            let change = ScheduleChange::Resume { revision: schedule.revision, next_at };
            match self.postgres()?.change_schedule(name, change).await? {
                Some(false) => {}
                answer => return Ok(answer),
            }
        }
    }

    /// Enqueues the job of a schedule now, also if the schedule is paused. Its ticks stay as they are. `None` if there is no
    /// such schedule.
    ///
    /// # Errors
    /// See [`Client::enqueue_many`].
    pub async fn run_schedule(&self, name: &ScheduleName) -> Result<Option<Enqueued>, Error> {
        match self.schedule(name).await? {
            Some(schedule) => Ok(self.enqueue_many(&[schedule.job()]).await?.pop()),
            None => Ok(None),
        }
    }

    /// Removes a schedule. The jobs that it has made stay. Returns whether there was a schedule.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn remove_schedule(&self, name: &ScheduleName) -> Result<bool, Error> {
        Ok(self.postgres()?.change_schedule(name, ScheduleChange::Remove).await?.is_some())
    }
}

fn first_tick(calendar: &Calendar, now: DateTime<Utc>, timing: &Timing) -> Result<DateTime<Utc>, InvalidTiming> {
    calendar.next_after(now).ok_or_else(|| match timing.cron() {
        Some((cron, _)) => InvalidTiming::Never(cron.to_owned()),
        None => InvalidTiming::Every(timing.every().unwrap_or_default()),
    })
}
