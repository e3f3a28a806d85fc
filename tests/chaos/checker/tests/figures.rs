//! Figures that are computed from a log: rates, busy slots, recovery, leases lost by live workers.

use super::{ALICE, BOB, CAROL, FIRST, SECOND, entry, good, line};
use crate::{
    checker::{Busy, Rates, leases_lost_by_live_workers, orphans_back_s},
    moments::{Kill, Moments},
};
use leasehold_tests::{LogLine, Step};
use uuid::Uuid;

#[test]
fn rates_and_recovery_are_computed_from_the_log() {
    let mut evidence = good();
    // Ten jobs per second, none from 10 s to 20 s, and again ten per second from 22 s on.
    evidence.log = (0..400_i64)
        .map(|tenth| tenth * 100)
        .filter(|at_ms| !(10_000..22_000).contains(at_ms))
        .map(|at_ms| line(Step::End, FIRST, 1, ALICE, at_ms))
        .collect();
    evidence.moments = Moments { steady: 0, fault: 10_000, healed: 20_000, load_stopped: 40_000, ..Moments::default() };
    let rates = Rates::of(&evidence.log, &evidence.moments, 0.7);
    assert_eq!((rates.before, rates.during), (10.0, 0.0));
    let back_s = rates.back_s.expect("the rate recovered");
    assert!((1.7..=2.0).contains(&back_s), "{back_s}");
    evidence.log.retain(|line| line.at_ms < 20_000);
    assert_eq!(Rates::of(&evidence.log, &evidence.moments, 0.7).back_s, None);
}

#[test]
fn recovery_of_orphans_is_measured_from_the_kill_to_the_next_run() {
    let mut evidence = good();
    evidence.moments.kills.push(Kill { pid: 100, at_ms: 2_000, ..Kill::default() });
    assert_eq!(orphans_back_s(&evidence), Some(3.2));
    evidence.moments.kills[0].pid = 200;
    assert_eq!(orphans_back_s(&evidence), None, "Bob held nothing");
}

#[test]
fn a_job_that_is_orphaned_twice_is_counted_from_each_kill() {
    let mut evidence = good();
    // Bob claimed the job after 4 s and was killed before he started it; Carol started it 3 s later.
    evidence.rows[1].epoch = 3;
    evidence.rows[1].trail.0.push(entry("expire", 2, BOB, 8_900));
    evidence.log.retain(|line| line.worker != BOB);
    evidence.log.push(line(Step::Start, FIRST, 2, BOB, 100));
    evidence.log.push(LogLine { pid: 300, ..line(Step::Start, SECOND, 3, CAROL, 9_000) });
    evidence.moments.kills.push(Kill { pid: 100, at_ms: 2_000, ..Kill::default() });
    assert_eq!(orphans_back_s(&evidence), Some(7.0), "if nobody had killed Bob");
    evidence.moments.kills.push(Kill { pid: 200, at_ms: 6_000, ..Kill::default() });
    assert_eq!(orphans_back_s(&evidence), Some(4.0));
}

#[test]
fn a_leftover_hint_counts_as_an_orphan() {
    let mut evidence = good();
    let kill = Kill { pid: 100, at_ms: 2_000, hints: vec![FIRST], hints_gone_ms: Some(7_000) };
    evidence.moments.kills.push(kill);
    assert_eq!(orphans_back_s(&evidence), Some(5.0), "slower than the job that was run again after 3.2 s");
}

#[test]
fn a_lease_lost_by_a_live_worker_is_counted() {
    let mut evidence = good();
    assert_eq!(leases_lost_by_live_workers(&evidence), 1);
    evidence.moments.frozen.push(100);
    assert_eq!(leases_lost_by_live_workers(&evidence), 0, "a frozen worker cannot renew");
    evidence.moments.frozen.clear();
    evidence.log.retain(|line| line.worker != ALICE || line.id != SECOND);
    assert_eq!(leases_lost_by_live_workers(&evidence), 0, "a claim whose answer was lost is not a run");
}

/// Ten slots. Each slot runs jobs of 100 ms without a break; in the range `idle` no job starts.
fn slots(idle: std::ops::Range<i64>) -> Vec<LogLine> {
    let starts = (0..10).flat_map(|slot| (0..100).map(move |nth| (slot, nth * 100 + slot * 10)));
    let mut log = Vec::new();
    for (slot, at_ms) in starts.filter(|(_, at_ms)| !idle.contains(at_ms)) {
        let id = Uuid::from_u128(u128::try_from(at_ms * 10 + slot).expect("a positive time"));
        log.push(line(Step::Start, id, 1, ALICE, at_ms));
        log.push(line(Step::End, id, 1, ALICE, at_ms + 100));
    }
    log
}

#[test]
fn busy_slots_are_computed_from_the_log_and_the_slowest_injection_counts() {
    let moments = Moments {
        steady: 1_000,
        fault: 3_000,
        injections: vec![3_000, 5_000],
        healed: 5_000,
        load_stopped: 9_000,
        ..Moments::default()
    };
    let busy = Busy::of(&slots(0..0), &moments, 0.9);
    assert_eq!((busy.before, busy.back_s), (10.0, Some(0.0)));
    assert!(busy.least > 9.9, "{}", busy.least);
    let busy = Busy::of(&slots(5_000..6_000), &moments, 0.9);
    assert!((0.9..=1.1).contains(&busy.back_s.expect("the busy slots recovered")), "{:?}", busy.back_s);
    assert_eq!(busy.least, 0.0);
    assert_eq!(Busy::of(&slots(5_000..20_000), &moments, 0.9).back_s, None, "no recovery after the second injection");
}
