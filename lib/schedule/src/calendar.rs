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
    /// The union of these expressions.
    Cron(Vec<Cron>, Tz),
    /// At least [`EVERY_MIN`], in whole milliseconds.
    Every(TimeDelta),
}

impl Calendar {
    /// Reads a timing.
    ///
    /// # Errors
    /// What is wrong with the timing.
    pub fn of(timing: &Timing) -> Result<Self, InvalidTiming> {
        if let Some((cron, timezone)) = timing.cron() {
            let zone = timezone.parse().map_err(|_| InvalidTiming::Timezone(timezone.to_owned()))?;
            let calendar = Self(Rule::Cron(read(cron)?, zone));
            // Dates repeat after 400 years, and expressions have no year.
            return match calendar.next_after(DateTime::UNIX_EPOCH) {
                Some(_) => Ok(calendar),
                None => Err(InvalidTiming::Never(cron.to_owned())),
            };
        }
        match timing.every().unwrap_or_default() {
            every if (EVERY_MIN..=EVERY_MAX).contains(&every) => {
                let ms = i64::try_from(every.as_millis()).unwrap_or(i64::MAX);
                Ok(Self(Rule::Every(TimeDelta::milliseconds(ms))))
            }
            every => Err(InvalidTiming::Every(every)),
        }
    }

    /// The first time after `time`, for a schedule that begins at `time`. An interval begins there. `None`: there is none
    /// that can be written.
    #[must_use]
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match &self.0 {
            Rule::Cron(crons, zone) => {
                let local = time.with_timezone(zone);
                let next = crons.iter().filter_map(|cron| cron.find_next_occurrence(&local, false).ok()).min()?;
                // A schedule whose time does not advance would fire without end.
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

/// The maximum number of times of the day in an expression that names times. An expression with more times is treated as one
/// that runs all the time.
const FIXED_TIMES_MAX: usize = 48;

fn read(text: &str) -> Result<Vec<Cron>, InvalidTiming> {
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
    let parse = |fields: &str| parser.parse(fields).map_err(|error| problem(error.to_string()));
    let whole = parser.parse(fields).map_err(|error| {
        let is_read = |fields: &str| parser.parse(fields).map(drop).map_err(|error| error.to_string());
        problem(wrong_field(fields, is_read).unwrap_or_else(|| error.to_string()))
    })?;
    match fixed_times(fields) {
        Some(times) => times.iter().map(|time| parse(time)).collect(),
        None => Ok(vec![whole]),
    }
}

/// The fields of an expression, in order, and the allowed values of each field.
const FIELDS: [(&str, &str); 6] = [
    ("second", "0 to 59"),
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day", "1 to 31, L and W"),
    ("month", "1 to 12 and jan to dec"),
    ("weekday", "0 to 7, sun to sat, L and #"),
];

/// Names the first field that cannot be read even if all other fields are `*`.
fn wrong_field(fields: &str, read: impl Fn(&str) -> Result<(), String>) -> Option<String> {
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let names = &FIELDS[FIELDS.len() - fields.len()..];
    fields.iter().zip(names).enumerate().find_map(|(nth, (field, (name, allowed)))| {
        let mut alone = vec!["*"; fields.len()];
        alone[nth] = field;
        let error = read(&alone.join(" ")).err()?;
        // The parser puts the kind of the error before its text.
        let (_, reason) = error.rsplit_once(": ").unwrap_or(("", &error));
        let reason = reason.trim_end_matches('.').replace("CronPattern contains", "it contains");
        let mut letters = reason.chars();
        let first = letters.next().map(|first| first.to_ascii_lowercase());
        let reason: String = first.into_iter().chain(letters).collect();
        Some(format!(
            "the field {name} cannot be {field:?}: {reason}; it takes {allowed}, with *, ranges (1-5), steps (*/10) and lists (1,5)"
        ))
    })
}

/// One expression for each time of the day, if the fields name several times and nothing but times: `0 2,14 * * *`. `croner`
/// treats only an expression with one time as a fixed time, which a change of the clock neither skips nor doubles.
fn fixed_times(fields: &str) -> Option<Vec<String>> {
    let mut fields: Vec<&str> = fields.split_whitespace().collect();
    if fields.len() == 5 {
        fields.insert(0, "0");
    }
    let (times, days) = fields.split_at(3);
    let times =
        times.iter().map(|field| field.split(',').map(single_value).collect()).collect::<Option<Vec<Vec<_>>>>()?;
    if !(2..=FIXED_TIMES_MAX).contains(&times.iter().map(Vec::len).product()) {
        return None;
    }
    let days = days.join(" ");
    let mut expressions = Vec::new();
    for second in &times[0] {
        for minute in &times[1] {
            expressions.extend(times[2].iter().map(|hour| format!("{second} {minute} {hour} {days}")));
        }
    }
    Some(expressions)
}

/// The value of a part of a field that has only one value: `7`, and also `7-7`, which `croner` reads in the same way.
fn single_value(part: &str) -> Option<u32> {
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
    let (from, to) = part.split_once('-').unwrap_or((part, part));
    number(from).filter(|from| number(to) == Some(*from))
}
