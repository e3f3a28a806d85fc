//! The calendar against a second implementation, which walks over every minute (or second) of a zone and asks whether its
//! local time matches. Zones that change their clocks by an hour, by half an hour, at midnight, and twice for Ramadan.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use leasehold_core::Timing;
use leasehold_schedule::Calendar;
use proptest::prelude::*;

const ZONES: [&str; 5] =
    ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Africa/Casablanca"];

/// The values of one field: `*`, `*/5`, `3`, `1-5`, and lists of these.
struct Field {
    values: Vec<u32>,
    is_star: bool,
    is_list: bool,
}

impl Field {
    fn read(text: &str, min: u32, max: u32) -> Self {
        let number = |text: &str| text.parse::<u32>().expect("a number");
        let (mut values, mut is_list) = (Vec::new(), true);
        for part in text.split(',') {
            let (range, step) = part.split_once('/').map_or((part, 1), |(range, step)| (range, number(step)));
            let (from, to) = match range.split_once('-') {
                _ if range == "*" => (min, max),
                Some((from, to)) => (number(from), number(to)),
                None => (number(range), number(range)),
            };
            values.extend((from..=to).step_by(step as usize));
            // A range of one value is that value.
            is_list &= from == to && step == 1;
        }
        Self { is_star: text == "*", is_list, values }
    }

    fn has(&self, value: u32) -> bool {
        self.values.contains(&value)
    }
}

/// A cron expression, read by the tests.
struct Walker {
    second: Field,
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

impl Walker {
    fn read(text: &str) -> Self {
        let mut fields: Vec<&str> = text.split(' ').collect();
        if fields.len() == 5 {
            fields.insert(0, "0");
        }
        Self {
            second: Field::read(fields[0], 0, 59),
            minute: Field::read(fields[1], 0, 59),
            hour: Field::read(fields[2], 0, 23),
            day: Field::read(fields[3], 1, 31),
            month: Field::read(fields[4], 1, 12),
            weekday: Field::read(fields[5], 0, 6),
        }
    }

    fn matches_day(&self, local: NaiveDateTime) -> bool {
        let day = self.day.has(local.day());
        let weekday = self.weekday.has(local.weekday().num_days_from_sunday());
        // With both fields given, one is enough: the rule of Vixie cron.
        let fits = match (self.day.is_star, self.weekday.is_star) {
            (true, _) => weekday,
            (_, true) => day,
            (false, false) => day || weekday,
        };
        fits && self.month.has(local.month())
    }

    fn matches(&self, local: NaiveDateTime) -> bool {
        self.second.has(local.second())
            && self.minute.has(local.minute())
            && self.hour.has(local.hour())
            && self.matches_day(local)
    }

    /// A schedule at certain times of the day.
    fn is_fixed(&self) -> bool {
        self.second.is_list && self.minute.is_list && self.hour.is_list
    }

    /// All ticks after `from` and up to `to`, which are `step` apart from each other on the way.
    fn walk(&self, zone: Tz, from: DateTime<Utc>, to: DateTime<Utc>, step: TimeDelta) -> Vec<DateTime<Utc>> {
        let (mut ticks, mut time, mut before) = (Vec::new(), from, from.with_timezone(&zone).naive_local());
        // Local times up to this one have been there before: the clock went back from it.
        let mut seen_until = before;
        while time < to {
            time += step;
            let local = time.with_timezone(&zone).naive_local();
            let mut fires = self.matches(local) && !(self.is_fixed() && local <= seen_until);
            let mut skipped = before + step;
            while skipped < local {
                fires |= self.is_fixed() && self.matches(skipped) && self.matches_day(local);
                skipped += step;
            }
            if fires {
                ticks.push(time);
            }
            seen_until = seen_until.max(before);
            before = local;
        }
        ticks
    }
}

fn zone(name: &str) -> Tz {
    name.parse().expect("a zone")
}

fn utc(year: i32, month: u32, day: u32) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(year, month, day, 0, 0, 0).unwrap()
}

fn calendar(cron: &str, timezone: &str) -> Calendar {
    Calendar::of(&Timing::Cron { cron: cron.to_owned(), timezone: timezone.to_owned() })
        .unwrap_or_else(|error| panic!("{error}"))
}

/// All ticks of the calendar after `from` and up to `to`.
fn found(cron: &str, timezone: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let calendar = calendar(cron, timezone);
    std::iter::successors(calendar.next_after(from), |time| calendar.next_after(*time))
        .take_while(|time| *time <= to)
        .collect()
}

/// The days on which a zone changes its offset to UTC.
fn changes(name: &str, year: i32) -> Vec<DateTime<Utc>> {
    let offset = |time: DateTime<Utc>| {
        let local = time.with_timezone(&zone(name)).naive_local();
        local - time.naive_utc()
    };
    let days = (0..365).map(|day| utc(year, 1, 1) + TimeDelta::days(day));
    days.filter(|day| offset(*day) != offset(*day + TimeDelta::days(1))).collect()
}

fn compare(cron: &str, name: &str, from: DateTime<Utc>, to: DateTime<Utc>, step: TimeDelta) {
    let expected = Walker::read(cron).walk(zone(name), from, to, step);
    let got = found(cron, name, from, to);
    let place = expected.iter().zip(&got).position(|(one, other)| one != other);
    let place = place.unwrap_or(expected.len().min(got.len()));
    assert!(
        expected == got,
        "{cron} in {name}: tick {place} should be {:?} and is {:?}",
        expected.get(place).map(|time| time.with_timezone(&zone(name))),
        got.get(place).map(|time| time.with_timezone(&zone(name)))
    );
}

#[test]
fn a_year_in_five_zones() {
    for name in ZONES {
        assert!(changes(name, 2026).len() >= 2, "{name} changes its clocks both ways: {:?}", changes(name, 2026));
        for cron in [
            "*/30 * * * *",
            "30 2 * * *",
            "15 2 * * *",
            "0 0 * * *",
            "30 0 * * *",
            "0 3 * * *",
            "45 1 * * *",
            "*/7 1-3 * * *",
            "0 0 31 * *",
            "0 9 * * 1-5",
            "0 0 13 * 5",
            "59 23 31 12 *",
            "30 2 29 3 *",
            "5 1,2,3 * * 0",
            "0 2,14 * * *",
            "0,15,30,45 2,3 * * *",
            "0 0,12 * * 1-6",
            "0 */5 * * *",
            "30-30 2 * * *",
            "30-30 1,2-2 * * *",
        ] {
            compare(cron, name, utc(2026, 1, 1), utc(2027, 1, 1), TimeDelta::minutes(1));
        }
    }
}

#[test]
fn every_second_around_each_change_of_the_clocks() {
    for name in ZONES {
        for day in changes(name, 2026) {
            for cron in [
                "*/20 * * * * *",
                "5 30 2 * * *",
                "0 0 0 * * *",
                "59 59 * * * *",
                "* 59 1-3 * * *",
                "0,30 30 1,2 * * *",
            ] {
                compare(cron, name, day - TimeDelta::hours(2), day + TimeDelta::hours(26), TimeDelta::seconds(1));
            }
        }
    }
}

/// The dates by hand, so that both implementations cannot have the same fault.
#[test]
fn the_changes_in_berlin_by_hand() {
    let local = |cron: &str, from: DateTime<Utc>, to: DateTime<Utc>| {
        let ticks = found(cron, "Europe/Berlin", from, to);
        ticks
            .iter()
            .map(|tick| tick.with_timezone(&zone("Europe/Berlin")).format("%d %H:%M %Z").to_string())
            .collect::<Vec<_>>()
    };
    let spring = (utc(2026, 3, 28), utc(2026, 3, 31));
    assert_eq!(local("30 2 * * *", spring.0, spring.1), ["28 02:30 CET", "29 03:00 CEST", "30 02:30 CEST"]);
    assert_eq!(
        local("0,30 2,14 * * *", spring.0 + TimeDelta::hours(20), spring.1 - TimeDelta::hours(10)),
        [
            "29 03:00 CEST",
            "29 14:00 CEST",
            "29 14:30 CEST",
            "30 02:00 CEST",
            "30 02:30 CEST",
            "30 14:00 CEST",
            "30 14:30 CEST"
        ]
    );
    let autumn = (utc(2026, 10, 24), utc(2026, 10, 27));
    assert_eq!(local("30 2 * * *", autumn.0, autumn.1), ["24 02:30 CEST", "25 02:30 CEST", "26 02:30 CET"]);
    let night =
        (Utc.with_ymd_and_hms(2026, 10, 24, 23, 59, 0).unwrap(), Utc.with_ymd_and_hms(2026, 10, 25, 2, 0, 0).unwrap());
    assert_eq!(
        local("*/30 * * * *", night.0, night.1),
        ["25 02:00 CEST", "25 02:30 CEST", "25 02:00 CET", "25 02:30 CET", "25 03:00 CET"]
    );
}

#[test]
fn the_29th_of_february_comes_in_leap_years() {
    let years = |from, to| {
        found("0 12 29 2 *", "UTC", utc(from, 1, 1), utc(to, 1, 1)).iter().map(|time| time.year()).collect::<Vec<_>>()
    };
    assert_eq!(years(2026, 2041), [2028, 2032, 2036, 2040]);
    assert_eq!(years(2095, 2106), [2096, 2104], "2100 is no leap year");
    assert_eq!(years(2396, 2405), [2396, 2400, 2404], "2400 is one");
}

#[test]
fn months_without_a_31st_are_left_out() {
    let months: Vec<u32> =
        found("0 0 31 * *", "UTC", utc(2026, 1, 1), utc(2027, 1, 1)).iter().map(Datelike::month).collect();
    assert_eq!(months, [1, 3, 5, 7, 8, 10, 12]);
}

/// Minutes and hours as people write them.
fn field(max: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        (0..=max).prop_map(|value| value.to_string()),
        (2..=max).prop_map(|step| format!("*/{step}")),
        (0..=max, 0..=max).prop_map(|(one, other)| format!("{}-{}", one.min(other), one.max(other))),
        (0..max, 0..max).prop_map(|(one, other)| format!("{one},{}", other.max(one) + 1)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any expression, around all changes of the clocks in any year from now on.
    #[test]
    fn any_expression_around_a_change(
        minute in field(59), hour in prop_oneof![field(23), (0_u32..=3).prop_map(|hour| hour.to_string())],
        weekday in prop_oneof![Just("*".to_owned()), field(6)], name in 0..ZONES.len(), year in 2026..2040,
    ) {
        let cron = format!("{minute} {hour} * * {weekday}");
        for day in changes(ZONES[name], year) {
            compare(&cron, ZONES[name], day - TimeDelta::days(1), day + TimeDelta::days(2), TimeDelta::minutes(1));
        }
    }
}
