//! What no schedule can have, each with an error that names the fault; and what users of other tools write.

use chrono::{DateTime, Utc};
use leasehold_core::Timing;
use leasehold_schedule::Calendar;
use std::time::Duration;

fn cron(cron: &str, timezone: &str) -> Result<Calendar, String> {
    let timing = Timing::Cron { cron: cron.to_owned(), timezone: timezone.to_owned() };
    Calendar::of(&timing).map_err(|error| error.to_string())
}

#[test]
fn a_fault_is_named() {
    for (text, zone, named) in [
        ("", "UTC", "it has 0 fields"),
        ("* * * *", "UTC", "it has 4 fields; expected are 5"),
        ("* * * * * * 2027", "UTC", "it has 7 fields"),
        (
            "60 * * * *",
            "UTC",
            "cron \"60 * * * *\": the field minute cannot be \"60\": number out of bounds; it takes 0 to 59",
        ),
        ("* 24 * * *", "UTC", "the field hour cannot be \"24\""),
        ("0 61 * * * *", "UTC", "the field minute cannot be \"61\""),
        ("77 * * * * *", "UTC", "the field second cannot be \"77\""),
        ("* * 0 * *", "UTC", "the field day cannot be \"0\""),
        ("* * * 13 *", "UTC", "the field month cannot be \"13\""),
        ("* * * * 8", "UTC", "the field weekday cannot be \"8\""),
        ("0 0 * * foo", "UTC", "the field weekday cannot be \"foo\": it contains illegal character"),
        ("a b c d e", "UTC", "the field minute cannot be \"a\""),
        ("*/0 * * * *", "UTC", "the field minute cannot be \"*/0\": step cannot be zero"),
        ("@reboot", "UTC", "no such nickname; there are @yearly"),
        ("@every 5m", "UTC", "no such nickname"),
        ("0 0 30 2 *", "UTC", "never fires"),
        ("0 0 31 4,6,9,11 *", "Europe/Berlin", "never fires"),
        ("* * * * *", "Mars/Olympus", "timezone \"Mars/Olympus\" is not in the time zone database"),
        ("* * * * *", "", "timezone \"\""),
    ] {
        let error = cron(text, zone).map(drop).expect_err(text);
        assert!(error.contains(named), "{text}: {error}");
    }
    let long = format!("{} * * * *", vec!["1"; 200].join(","));
    assert!(cron(&long, "UTC").is_err_and(|error| error.contains("bytes long; at most 200")));
    for bad in [Duration::ZERO, Duration::from_millis(999), Duration::from_secs(11 * 365 * 86_400), Duration::MAX] {
        let error = Calendar::of(&Timing::Every(bad)).map(drop).expect_err("no interval").to_string();
        assert!(error.starts_with("every is ") && error.contains("it must be from 1 s to 3650 days"), "{error}");
    }
}

#[test]
fn nicknames_and_names_are_read() {
    let from: DateTime<Utc> = "2026-03-04T10:20:30Z".parse().expect("a time");
    for (text, next) in [
        ("@hourly", "2026-03-04T11:00:00Z"),
        ("@daily", "2026-03-05T00:00:00Z"),
        ("@midnight", "2026-03-05T00:00:00Z"),
        ("@weekly", "2026-03-08T00:00:00Z"),
        ("@Monthly", "2026-04-01T00:00:00Z"),
        ("@yearly", "2027-01-01T00:00:00Z"),
        ("@annually", "2027-01-01T00:00:00Z"),
        (" 0  9 * *\tMON-FRI ", "2026-03-05T09:00:00Z"),
        ("0 0 * jul sun", "2026-07-05T00:00:00Z"),
        ("0 0 * * 7", "2026-03-08T00:00:00Z"),
        ("0 0 L * *", "2026-03-31T00:00:00Z"),
        ("15 20 10 * * *", "2026-03-05T10:20:15Z"),
        ("*/10 * * * * *", "2026-03-04T10:20:40Z"),
    ] {
        let found = cron(text, "UTC").expect(text).next_after(from);
        assert_eq!(found, Some(next.parse().expect("a time")), "{text}");
    }
    let every = Calendar::of(&Timing::Every(Duration::from_millis(90_500))).expect("an interval");
    assert_eq!(every.next_after(from), Some("2026-03-04T10:22:00.5Z".parse().expect("a time")));
    assert_eq!(every.upcoming(from, 3).len(), 3);
}
