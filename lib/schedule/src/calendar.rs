//! The times at which a schedule fires.

use crate::error::InvalidTiming;
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use leasehold_core::{CRON_MAX_BYTES, EVERY_MAX, EVERY_MIN, Timing};

/// The nicknames of cron expressions.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A timing that has been read.
#[derive(Clone, Debug)]
pub struct Calendar(pub(crate) Rule);

#[derive(Clone, Debug)]
pub(crate) enum Rule {
    Cron(Box<Cron>, Tz),
    /// At least [`EVERY_MIN`], in whole milliseconds.
    Every(TimeDelta),
}

impl Calendar {
    /// Reads a timing.
    ///
    /// # Errors
    /// What is wrong with the timing.
    pub fn of(timing: &Timing) -> Result<Self, InvalidTiming> {
        match timing {
            Timing::Cron { cron, timezone } => {
                let zone = timezone.parse().map_err(|_| InvalidTiming::Timezone(timezone.clone()))?;
                let calendar = Self(Rule::Cron(Box::new(read(cron)?), zone));
                // Dates repeat after 400 years, and expressions have no year.
                match calendar.next_after(DateTime::UNIX_EPOCH) {
                    Some(_) => Ok(calendar),
                    None => Err(InvalidTiming::Never(cron.clone())),
                }
            }
            Timing::Every(every) if (EVERY_MIN..=EVERY_MAX).contains(every) => {
                let ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
                Ok(Self(Rule::Every(TimeDelta::milliseconds(ms))))
            }
            Timing::Every(every) => Err(InvalidTiming::Every(*every)),
        }
    }

    /// The first time after `time`, for a schedule that begins at `time`. An interval begins there. `None`: there is none
    /// that can be written.
    #[must_use]
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.0 {
            Rule::Cron(cron, zone) => {
                let next = cron.find_next_occurrence(&time.with_timezone(zone), false).ok()?;
                // The database refuses a time that does not advance, and so do we.
                Some(next.to_utc()).filter(|next| *next > time)
            }
            Rule::Every(every) => time.trunc_subsecs(3).checked_add_signed(*every),
        }
    }

    /// The time `next_at` and those that follow, `count` in all.
    #[must_use]
    pub fn upcoming(&self, next_at: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(Some(next_at), |time| self.next_after(*time)).take(count).collect()
    }
}

fn read(text: &str) -> Result<Cron, InvalidTiming> {
    let problem = |problem: String| InvalidTiming::Cron { cron: text.to_owned(), problem };
    if text.len() > CRON_MAX_BYTES {
        return Err(InvalidTiming::CronTooLong(text.len()));
    }
    let trimmed = text.trim();
    let fields = if trimmed.starts_with('@') {
        let nickname = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(trimmed));
        let names = NICKNAMES.map(|(name, _)| name).join(", ");
        nickname.ok_or_else(|| problem(format!("no such nickname; there are {names}")))?.1
    } else {
        trimmed
    };
    let count = fields.split_whitespace().count();
    if !(5..=6).contains(&count) {
        let expected = "expected are 5 (minute, hour, day, month, weekday), or 6 with the second first";
        return Err(problem(format!("it has {count} fields; {expected}")));
    }
    let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
    parser.parse(fields).map_err(|error| problem(error.to_string()))
}
