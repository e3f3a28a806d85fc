//! The same cases on the keys in memory, which simulations use: each call must have the same effect as the script.
//!
//! The tests do not compare `renew`, which only sets deadlines, and a sweep that does not get all lists: in memory there
//! is no moment between the two calls.

use crate::state::{Case, own_position, tidy};
use leasehold_core::{JobId, Kind};
use leasehold_handoff::{Extended, HeadStats, Pushed, Swept, Taken};
use leasehold_tests::{Mode, NOWHERE, Positioned, QueueKeys, Readings, Score};
use std::collections::VecDeque;

/// Deadlines are in ms from here.
const NOW: i64 = 1_000_000_000;

/// Makes the call of one case and compares everything.
pub(crate) fn check(script: &str, case: &Case) {
    let mut keys = read(&tidy(case.seed));
    let names = |list: &str| case.keys.split_whitespace().filter(|key| key.starts_with(list)).count();
    if script == "renew" || script == "sweep" && names("aside:") < keys.asides.len() {
        return;
    }
    let mut args = case.args.split_whitespace();
    let answer = call(script, &mut keys, &mut args, names("ready") + names("aside:"), names("aside:"));
    assert_eq!(answer, case.returns, "{script} in memory, {}: the answer", case.name);
    assert_eq!(write(&keys), tidy(case.after), "{script} in memory, {}: all keys after the call", case.name);
}

/// `lists`: how many besides `claimed` the call names; `asides`: how many of them are lists aside.
fn call<'a>(
    script: &str,
    keys: &mut QueueKeys,
    args: &mut impl Iterator<Item = &'a str>,
    lists: usize,
    asides: usize,
) -> String {
    let mut number = || args.next().and_then(|text| text.parse::<u32>().ok()).expect("a number");
    match script {
        "ack" => {
            let ids = ids(args);
            (if lists > 0 { keys.forget(&ids) } else { keys.ack(&ids) }).to_string()
        }
        "adopt" => {
            let lease_ms = number();
            keys.adopt(NOW + i64::from(lease_ms), number()).to_string()
        }
        "aside" => {
            let kind = kind(args.next().expect("a kind"));
            let bound = args.next().and_then(|text| text.parse().ok()).expect("a number");
            let (kept, forgotten) = keys.set_aside(&kind, bound, &hints(args));
            format!("[{kept}, {forgotten}]")
        }
        "take" => {
            let (bound, lease_ms, limit) = (number(), number(), number());
            let kinds: Vec<Kind> = args.by_ref().take(asides).map(kind).collect();
            let taken = keys.take(bound, &ids(args), &kinds, limit, NOW + i64::from(lease_ms));
            let Taken { ids, aside, low, paused } = taken;
            let aside: Vec<&str> = aside.iter().map(Kind::as_str).collect();
            format!("[{}, {}, [{}], [{}]]", u8::from(paused), u8::from(low), list(&ids, ", "), aside.join(", "))
        }
        "look" => match keys.look(NOW) {
            None => "[0, 0, 0, 0, 0, 0, 0, 0, 0]".to_owned(),
            Some(head) => {
                let flags = format!("1, {}, {}", u8::from(head.paused), u8::from(head.overflow));
                let members = head.leased + head.waiting_members;
                let HeadStats { ready, claimed, waiting_members, overdue, .. } = head;
                format!("[{flags}, {ready}, {claimed}, {members}, {waiting_members}, {overdue}, {}]", keys.asides.len())
            }
        },
        "expired" => format!("[{}]", list(&keys.expired(NOW, number()), ", ")),
        "extend" => {
            let bound = number();
            let (from, to) = (args.next().expect("a place"), args.next().expect("a place"));
            let reading = args.next().and_then(|text| text.parse().ok());
            let Extended { pushed, held, changed } = keys.extend(bound, reading, (from, to), &hints(args), NOW);
            format!("[{pushed}, {held}, {}]", u8::from(changed))
        }
        "fill" => {
            let (bound, more) = (number(), number() == 1);
            let place = args.next().expect("a place");
            let kept_ms: i64 = args.next().and_then(|text| text.parse().ok()).expect("a time");
            let reading = args.next().and_then(|text| text.parse().ok());
            let paused = keys.paused;
            let to = (place != "-").then_some((place, NOW + kept_ms));
            let filled = keys.fill(bound, reading, &hints(args), more, to, NOW);
            format!("[{}, {}, {}]", filled.pushed, filled.held, u8::from(paused))
        }
        "push" => {
            let bound = number();
            let mode = match args.next() {
                Some("new") => Mode::New,
                Some("place") => Mode::Place,
                _ => Mode::Return,
            };
            let Pushed { pushed, doubles, overflowed, paused } = keys.push(bound, mode, &hints(args));
            format!("[{pushed}, {doubles}, {overflowed}, {}]", u8::from(paused))
        }
        "sweep" => {
            let Swept { orphans, readmitted, dropped } = keys.sweep(number() == 1);
            format!("[{orphans}, {readmitted}, {dropped}]")
        }
        other => panic!("{other} is not known in memory"),
    }
}

/// An id that reads as `name`, and sorts as it does.
fn id(name: &str) -> JobId {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    JobId(uuid::Uuid::from_bytes(bytes))
}

/// `a@7` as in `state`.
fn hints<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Positioned> {
    let hint = |text: &str| match text.split_once('@') {
        Some((name, "-")) => (id(name), None),
        Some((name, "")) => (id(name), Some(own_position(name))),
        Some((name, position)) => (id(name), Some(position.parse().expect("a position"))),
        None => panic!("{text:?} has no position"),
    };
    names.map(hint).collect()
}

fn ids<'a>(names: impl Iterator<Item = &'a str>) -> Vec<JobId> {
    names.map(id).collect()
}

fn name(id: &JobId) -> String {
    id.0.as_bytes().iter().filter(|byte| **byte != 0).map(|byte| char::from(*byte)).collect()
}

fn list<'a>(ids: impl IntoIterator<Item = &'a JobId>, separator: &str) -> String {
    ids.into_iter().map(name).collect::<Vec<_>>().join(separator)
}

fn kind(name: &str) -> Kind {
    name.parse().expect("a kind")
}

/// `name=+60s`, or `name=waits`, or `name=waits@7`.
fn scored(item: &str) -> (&str, Score) {
    let (name, score) = item.split_once('=').expect("a score");
    let score = match (score.strip_prefix("waits"), score.trim_end_matches('s').parse::<i64>()) {
        (None, seconds) => Score::Leased(NOW + seconds.expect("a time") * 1000),
        (Some(""), _) => Score::Waits(own_position(name)),
        (Some("@?"), _) => Score::Waits(NOWHERE),
        (Some(position), _) => Score::Waits(position.trim_start_matches('@').parse().expect("a position")),
    };
    (name, score)
}

fn read(text: &str) -> QueueKeys {
    let mut keys = QueueKeys::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (key, contents) = line.rsplit_once(": ").expect("contents");
        let items = || contents.split_whitespace();
        match key {
            "ready" => keys.ready = items().map(id).collect(),
            "claimed" => keys.claimed = items().map(id).collect(),
            "asides" => keys.asides = items().map(kind).collect(),
            "flags" => {
                keys.paused = contents.contains("paused");
                let reach = items().find_map(|item| item.strip_prefix("overflow="));
                keys.overflow = reach
                    .map(|reach| reach.strip_prefix('@').map_or(NOWHERE, |reach| reach.parse().expect("a position")));
            }
            "leases" => keys.leases = items().map(scored).map(|(name, score)| (id(name), score)).collect(),
            "bell" => keys.bell = true,
            "readings" => {
                for (number, refused) in items().filter_map(|item| item.split_once('=')) {
                    let readings = &mut keys.readings;
                    match (number.strip_prefix("kept:"), refused.strip_prefix('@')) {
                        (Some(number), _) => {
                            let kept = refused.split_terminator(',').map(id).collect();
                            readings.kept.insert(number.parse().expect("a number"), kept);
                        }
                        (None, None) if number == "placed" => readings.placed = refused.parse().expect("a number"),
                        (None, None) => readings.n = refused.parse().expect("a number"),
                        (None, Some(at)) => {
                            readings.refused.insert(number.parse().expect("a number"), at.parse().expect("a position"));
                        }
                    }
                }
            }
            "filled" => {
                let (place, Score::Leased(until)) = scored(contents) else { panic!("{contents:?} has no time") };
                keys.filled = Some((place.to_owned(), until));
            }
            _ => drop(keys.aside.insert(kind(key.trim_start_matches("aside:")), items().map(id).collect())),
        }
    }
    keys
}

fn write(keys: &QueueKeys) -> String {
    let mut lines = Vec::new();
    let mut line = |key: &str, contents: String| {
        if !contents.is_empty() {
            lines.push(format!("{key}: {contents}"));
        }
    };
    let of = |list_of: &VecDeque<JobId>| list(list_of, " ");
    for (kind, ids) in &keys.aside {
        line(&format!("aside:{kind}"), of(ids));
    }
    line("asides", keys.asides.iter().map(Kind::as_str).collect::<Vec<_>>().join(" "));
    line("bell", if keys.bell { "1".to_owned() } else { String::new() });
    line("claimed", of(&keys.claimed));
    if let Some((place, until)) = &keys.filled {
        line("filled", format!("{place}={:+}s", (until - NOW) / 1000));
    }
    let overflow = keys.overflow.map(|reach| match reach {
        NOWHERE => "overflow=1".to_owned(),
        reach => format!("overflow=@{reach}"),
    });
    let paused = keys.paused.then(|| "paused=1".to_owned());
    line("flags", overflow.into_iter().chain(paused).collect::<Vec<_>>().join(" "));
    let lease = |(id, score): (&JobId, &Score)| match score {
        Score::Waits(NOWHERE) => format!("{}=waits@?", name(id)),
        Score::Waits(at) if *at == own_position(&name(id)) => format!("{}=waits", name(id)),
        Score::Waits(at) => format!("{}=waits@{at}", name(id)),
        Score::Leased(until) => format!("{}={:+}s", name(id), (until - NOW) / 1000),
    };
    line("leases", keys.leases.iter().map(lease).collect::<Vec<_>>().join(" "));
    line("ready", of(&keys.ready));
    let Readings { n, refused, kept, placed } = &keys.readings;
    if *n > 0 {
        let refused = refused.iter().map(|(number, at)| format!("{number}=@{at}"));
        let kept = kept.iter().map(|(number, ids)| format!("kept:{number}={},", list(ids, ",")));
        let placed = (*placed > 0).then(|| format!("placed={placed}"));
        let all = refused.chain(kept).chain([format!("n={n}")]).chain(placed);
        line("readings", all.collect::<Vec<_>>().join(" "));
    }
    lines.sort();
    lines.join("\n")
}
