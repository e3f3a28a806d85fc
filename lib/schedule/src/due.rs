//! Decides the action when a schedule is due.

use crate::calendar::{Calendar, Rule};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::Missed;
use std::collections::VecDeque;

/// The ticks that make one job each, and the next tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// In order; none if all of them were missed and are skipped.
    pub ticks: Vec<DateTime<Utc>>,
    /// The first tick after now.
    pub next_at: DateTime<Utc>,
}

impl Calendar {
    /// The action at `now` for a schedule whose next tick is, or was, at `next_at`. `None`: it has no tick after `now`.
    #[must_use]
    pub fn due(&self, next_at: DateTime<Utc>, now: DateTime<Utc>, missed: Missed) -> Option<Due> {
        if next_at > now {
            return Some(Due { ticks: Vec::new(), next_at });
        }
        let mut ticks = self.last(next_at, now, usize::from(missed.limit().max(1)));
        let after = match &self.0 {
            Rule::Cron(..) => self.next_after(now)?,
            Rule::Every(every) => ticks.last()?.checked_add_signed(*every)?,
        };
        let late_max = TimeDelta::from_std(Missed::LATE_MAX).unwrap_or(TimeDelta::MAX);
        if missed == Missed::Skip && ticks.last().is_none_or(|last| now - last > late_max) {
            ticks.clear();
        }
        Some(Due { ticks, next_at: after })
    }

    /// The last ticks between `first`, which is a tick itself, and `now`: at most `count`.
    fn last(&self, first: DateTime<Utc>, now: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        if let Rule::Every(every) = &self.0 {
            let (passed, every_ms) =
                ((now - first).num_milliseconds() / every.num_milliseconds(), every.num_milliseconds());
            let from = (passed + 1 - i64::try_from(count).unwrap_or(i64::MAX)).max(0);
            return (from..=passed).map(|nth| first + TimeDelta::milliseconds(nth * every_ms)).collect();
        }
        // The search begins only `count` seconds ago, because a schedule that fires every second has 31 million ticks in a
        // year. A schedule has at most one tick a second.
        let mut reach = TimeDelta::seconds(i64::try_from(count).unwrap_or(i64::MAX));
        loop {
            let from = (now - reach).max(first);
            // `next_after` leaves out the time that it begins with.
            let begin = if from == first { Some(first) } else { self.next_after(from) };
            let mut found = VecDeque::with_capacity(count + 1);
            let mut tick = begin.filter(|tick| *tick <= now);
            while let Some(time) = tick {
                found.push_back(time);
                if found.len() > count {
                    found.pop_front();
                }
                tick = self.next_after(time).filter(|tick| *tick <= now);
            }
            if found.len() == count || from == first {
                return found.into();
            }
            reach = reach * 8;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::Timing;
    use std::time::Duration;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect("a time")
    }

    fn cron(text: &str) -> Calendar {
        Calendar::of(&Timing::Cron { cron: text.to_owned(), timezone: "UTC".to_owned() }).expect("a cron expression")
    }

    fn every(seconds: u64) -> Calendar {
        Calendar::of(&Timing::Every(Duration::from_secs(seconds))).expect("an interval")
    }

    fn due(calendar: &Calendar, next_at: &str, now: &str, missed: Missed) -> (Vec<String>, String) {
        let Due { ticks, next_at } = calendar.due(time(next_at), time(now), missed).expect("a next tick");
        let text = |time: &DateTime<Utc>| time.format("%d %H:%M:%S").to_string();
        (ticks.iter().map(text).collect(), text(&next_at))
    }

    #[test]
    fn nothing_is_due_before_its_time() {
        let (ticks, next) = due(&cron("0 * * * *"), "2026-03-02T10:00:00Z", "2026-03-02T09:59:59.999Z", Missed::All(9));
        assert_eq!((ticks.len(), next.as_str()), (0, "02 10:00:00"));
    }

    #[test]
    fn a_tick_on_time_makes_one_job_whatever_is_missed() {
        for missed in [Missed::Skip, Missed::One, Missed::All(5)] {
            for calendar in [cron("0 * * * *"), every(3600)] {
                let (ticks, next) = due(&calendar, "2026-03-02T10:00:00Z", "2026-03-02T10:00:00.25Z", missed);
                assert_eq!((ticks, next.as_str()), (vec!["02 10:00:00".to_owned()], "02 11:00:00"), "{missed}");
            }
        }
    }

    #[test]
    fn missed_ticks_are_skipped_or_make_one_job_or_some() {
        for calendar in [cron("0 * * * *"), every(3600)] {
            let seen = |missed| due(&calendar, "2026-03-02T10:00:00Z", "2026-03-02T14:30:00Z", missed);
            let ticks = |from: u32| (from..=14).map(|hour| format!("02 {hour}:00:00")).collect::<Vec<_>>();
            assert_eq!(seen(Missed::Skip), (vec![], "02 15:00:00".to_owned()));
            assert_eq!(seen(Missed::One), (ticks(14), "02 15:00:00".to_owned()));
            assert_eq!(seen(Missed::All(3)), (ticks(12), "02 15:00:00".to_owned()));
            assert_eq!(seen(Missed::All(5)), (ticks(10), "02 15:00:00".to_owned()));
            assert_eq!(seen(Missed::All(500)), (ticks(10), "02 15:00:00".to_owned()));
        }
    }

    #[test]
    fn the_last_of_many_ticks_is_on_time_though_earlier_ones_are_missed() {
        let (ticks, next) = due(&cron("*/10 * * * * *"), "2026-03-02T10:00:00Z", "2026-03-02T11:00:05Z", Missed::Skip);
        assert_eq!((ticks, next.as_str()), (vec!["02 11:00:00".to_owned()], "02 11:00:10"));
    }

    #[test]
    fn a_skipping_schedule_may_be_a_minute_late() {
        let seen = |now| due(&cron("0 * * * *"), "2026-03-02T10:00:00Z", now, Missed::Skip).0.len();
        assert_eq!((seen("2026-03-02T10:01:00Z"), seen("2026-03-02T10:01:00.001Z")), (1, 0));
    }

    #[test]
    fn a_year_of_seconds_costs_no_year() {
        let now = "2027-03-02T10:00:00.5Z";
        let (ticks, next) = due(&cron("* * * * * *"), "2026-03-02T10:00:00Z", now, Missed::All(500));
        assert_eq!((ticks.len(), ticks[499].as_str(), next.as_str()), (500, "02 10:00:00", "02 10:00:01"));
        let (ticks, _) = due(&cron("0 0 1 1 *"), "2016-01-01T00:00:00Z", now, Missed::All(500));
        assert_eq!(ticks.len(), 12);
        let (ticks, _) = due(&every(1), "2026-03-02T10:00:00Z", now, Missed::All(500));
        assert_eq!(ticks.len(), 500);
    }
}
