//! The scorecard: one row for each scenario, as a table and as JSON.

use crate::{
    checker::{self, Busy, Rates},
    evidence::Evidence,
    plan::{Plan, Recovery},
};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, TableStyle};
use leasehold_tests::Step;
use serde::Serialize;

/// The maximum number of findings of each kind to print.
const FINDINGS_SHOWN: usize = 8;

/// One row of the scorecard.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Score {
    pub(crate) scenario: String,
    pub(crate) seed: u64,
    pub(crate) held: bool,
    pub(crate) enqueued_acked: usize,
    pub(crate) finished: usize,
    pub(crate) lost: usize,
    pub(crate) accepted_twice: usize,
    pub(crate) illegal_transitions: usize,
    pub(crate) dead: usize,
    pub(crate) runs_beyond_first: usize,
    pub(crate) stale_writes_refused: u64,
    pub(crate) attempts_burned: i64,
    pub(crate) enqueues_failed: u64,
    pub(crate) rate_before: f64,
    pub(crate) rate_during: f64,
    /// `rate_during / rate_before`
    pub(crate) rate_kept: f64,
    pub(crate) least_rate_allowed: f64,
    pub(crate) slots: usize,
    /// The average before the fault.
    pub(crate) slots_busy_before: f64,
    /// The minimum over tenths of a second, from the first injection on, or from the end of the fault.
    pub(crate) least_slots_busy: f64,
    /// Jobs in the line at the start of the fault.
    pub(crate) queued_at_fault: usize,
    /// Leases that ran out although the handler had started and its worker was neither killed nor frozen.
    pub(crate) leases_lost_by_live_workers: usize,
    pub(crate) recovery_s: Option<f64>,
    pub(crate) recovery_allowed_s: f64,
    /// The longest time in which no job was started, from the start of the fault on.
    pub(crate) longest_pause_s: f64,
    pub(crate) drained_s: Option<f64>,
    pub(crate) redis_agreed_s: Option<f64>,
    /// What did not hold.
    pub(crate) wrong: Vec<String>,
}

impl Score {
    /// Judges a run: first the invariants, then what this scenario promises beyond them.
    pub(crate) fn of(scenario: &str, seed: u64, plan: &Plan, evidence: &Evidence) -> Self {
        let findings = checker::check(evidence);
        let rates = Rates::of(&evidence.log, &evidence.moments, plan.recovery_threshold);
        let busy = Busy::of(&evidence.log, &evidence.moments, plan.recovery_threshold);
        let final_rows = || evidence.rows.iter().filter(|row| row.is_final());
        let starts = evidence.log.iter().filter(|line| line.step == Step::Start).count();
        let run = evidence.rows.iter().filter(|row| row.epoch > 0).count();
        let recovery_s = match plan.recovery {
            Recovery::Rate | Recovery::Busy => checker::recovery_s(plan, &evidence.log, &evidence.moments),
            Recovery::Orphans => checker::orphans_back_s(evidence),
        };
        let mut score = Self {
            scenario: scenario.to_owned(),
            seed,
            enqueued_acked: evidence.ledger.accepted.len(),
            finished: final_rows().count(),
            lost: findings.lost.len(),
            accepted_twice: findings.twice.len(),
            illegal_transitions: findings.illegal.len(),
            dead: final_rows().filter(|row| row.state == "dead").count(),
            runs_beyond_first: starts.saturating_sub(run),
            stale_writes_refused: evidence.tallies.iter().map(|tally| tally.stale_writes_refused).sum(),
            attempts_burned: final_rows().map(|row| i64::from((row.attempt - 1).max(0))).sum(),
            enqueues_failed: evidence.ledger.failed_calls,
            rate_before: rates.before,
            rate_during: rates.during,
            rate_kept: if rates.before > 0.0 { rates.during / rates.before } else { 0.0 },
            least_rate_allowed: plan.rate_min,
            slots: plan.shape.all_slots(),
            slots_busy_before: busy.before,
            least_slots_busy: busy.least,
            queued_at_fault: evidence.queued_at_fault,
            leases_lost_by_live_workers: checker::leases_lost_by_live_workers(evidence),
            recovery_s,
            recovery_allowed_s: plan.recovers_within_s,
            longest_pause_s: rates.longest_pause_s,
            drained_s: evidence.drained_s,
            redis_agreed_s: evidence.agreed_s,
            ..Self::default()
        };
        for (kind, found) in [("lost", findings.lost), ("twice", findings.twice), ("illegal", findings.illegal)] {
            let more = found.len().saturating_sub(FINDINGS_SHOWN);
            score.wrong.extend(found.into_iter().take(FINDINGS_SHOWN).map(|finding| format!("{kind}: {finding}")));
            if more > 0 {
                score.wrong.push(format!("{kind}: and {more} more"));
            }
        }
        score.promises(plan, evidence);
        score.held = score.wrong.is_empty();
        score
    }

    /// A scenario that did not run to its end. Nothing is known to hold.
    pub(crate) fn aborted(scenario: &str, seed: u64, why: String) -> Self {
        Self { scenario: scenario.to_owned(), seed, wrong: vec![why], ..Self::default() }
    }

    fn promises(&mut self, plan: &Plan, evidence: &Evidence) {
        let wrong = &mut self.wrong;
        match self.recovery_s {
            None if plan.recovery == Recovery::Orphans => {
                wrong.push("the killed workers held nothing: this run proves nothing".to_owned())
            }
            None if plan.recovery == Recovery::Busy => {
                wrong.push("the number of busy slots never recovered".to_owned())
            }
            None => wrong.push("the rate of jobs never recovered".to_owned()),
            Some(took) if took > plan.recovers_within_s => {
                wrong.push(format!("recovered after {took:.1} s; the promise is {} s", plan.recovers_within_s));
            }
            Some(_) => {}
        }
        if self.rate_kept < plan.rate_min {
            wrong.push(format!(
                "kept {:.0} % of its rate; the promise is {:.0} %",
                self.rate_kept * 100.0,
                plan.rate_min * 100.0
            ));
        }
        if evidence.drained_s.is_none() {
            wrong.push("the line did not drain".to_owned());
        }
        if self.dead != plan.dead {
            wrong.push(format!("{} jobs are dead; the plan expects {}", self.dead, plan.dead));
        }
        if self.stale_writes_refused < plan.refused_min {
            wrong.push("no late result was refused: this run proves nothing".to_owned());
        }
        if self.attempts_burned > plan.burned_max {
            wrong.push(format!("{} attempts were burned; the maximum is {}", self.attempts_burned, plan.burned_max));
        }
        if self.leases_lost_by_live_workers > plan.live_leases_lost_max {
            wrong.push(format!(
                "{} leases of live workers with running handlers ran out; the maximum is {}",
                self.leases_lost_by_live_workers, plan.live_leases_lost_max
            ));
        }
        if !evidence.ledger.unknown.is_empty() {
            wrong.push(format!("the outcome of {} enqueued jobs is still unknown", evidence.ledger.unknown.len()));
        }
    }

    /// The command that repeats the run. Only one scenario has a duration of choice.
    pub(crate) fn replay(&self, minutes: f64) -> String {
        let window = if self.scenario == "everything" { format!(" MINUTES={minutes}") } else { String::new() };
        format!("make chaos SCENARIO={} SEED={}{window}", self.scenario, self.seed)
    }
}

/// The table of all scores.
pub(crate) fn table(scores: &[Score]) -> String {
    const HEADINGS: [&str; 17] = [
        "scenario", "held", "queued", "acked", "finished", "lost", "twice", "illegal", "dead", "again", "stale",
        "burned", "rate/s", "kept", "recovery", "allowed", "pause",
    ];
    let mut table = Table::new();
    table.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(HEADINGS);
    for score in scores {
        let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} s"));
        table.add_row(
            [
                score.scenario.clone(),
                if score.held { "yes" } else { "NO" }.to_owned(),
                score.queued_at_fault.to_string(),
                score.enqueued_acked.to_string(),
                score.finished.to_string(),
                score.lost.to_string(),
                score.accepted_twice.to_string(),
                score.illegal_transitions.to_string(),
                score.dead.to_string(),
                score.runs_beyond_first.to_string(),
                score.stale_writes_refused.to_string(),
                score.attempts_burned.to_string(),
                format!("{:.0}", score.rate_before),
                format!("{:.0} %", score.rate_kept * 100.0),
                seconds(score.recovery_s),
                seconds(Some(score.recovery_allowed_s)),
                format!("{:.1} s", score.longest_pause_s),
            ]
            .map(Cell::new),
        );
    }
    for (nth, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if nth > 1 {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Ledger;
    use uuid::Uuid;

    /// Breaks an empty good run with `break_it` and expects this message only.
    #[track_caller]
    fn must_say(what: &str, plan: Plan, break_it: impl FnOnce(&mut Score, &mut Evidence)) {
        let mut evidence = Evidence { drained_s: Some(1.0), ..Evidence::default() };
        let mut score = Score { rate_kept: 1.0, recovery_s: Some(0.0), ..Score::default() };
        score.promises(&plan, &evidence);
        assert_eq!(score.wrong, Vec::<String>::new());
        break_it(&mut score, &mut evidence);
        score.promises(&plan, &evidence);
        assert_eq!(score.wrong.len(), 1, "{:?}", score.wrong);
        assert!(score.wrong[0].contains(what), "{:?}", score.wrong);
    }

    #[test]
    fn each_broken_promise_is_reported() {
        let usual = Plan::USUAL;
        must_say("recovered after 6.0 s", usual, |score, _| score.recovery_s = Some(6.0));
        must_say("the rate of jobs never recovered", usual, |score, _| score.recovery_s = None);
        let plan = Plan { recovery: Recovery::Busy, ..usual };
        must_say("busy slots never recovered", plan, |score, _| score.recovery_s = None);
        let plan = Plan { recovery: Recovery::Orphans, ..usual };
        must_say("held nothing", plan, |score, _| score.recovery_s = None);
        must_say("kept 20 %", Plan { rate_min: 0.3, ..usual }, |score, _| score.rate_kept = 0.2);
        must_say("did not drain", usual, |_, evidence| evidence.drained_s = None);
        must_say("1 jobs are dead", usual, |score, _| score.dead = 1);
        must_say("1 attempts were burned", Plan { burned_max: 0, ..usual }, |score, _| score.attempts_burned = 1);
        must_say("1 leases of live workers", Plan { live_leases_lost_max: 0, ..usual }, |score, _| {
            score.leases_lost_by_live_workers = 1
        });
        must_say("the outcome of 1 enqueued jobs", usual, |_, evidence| {
            evidence.ledger = Ledger { unknown: [Uuid::nil()].into(), ..Ledger::default() };
        });
    }

    #[test]
    fn a_missing_refusal_of_a_late_result_is_reported() {
        let plan = Plan { refused_min: 1, ..Plan::USUAL };
        let evidence = Evidence { drained_s: Some(1.0), ..Evidence::default() };
        let mut score = Score { rate_kept: 1.0, recovery_s: Some(0.0), ..Score::default() };
        score.promises(&plan, &evidence);
        assert_eq!(score.wrong, ["no late result was refused: this run proves nothing"]);
    }

    #[test]
    fn a_relaxed_plan_relaxes_figures_and_not_invariants() {
        let plan = Plan { rate_min: 0.3, burned_max: 0, live_leases_lost_max: 0, refused_min: 1, ..Plan::USUAL };
        let relaxed = plan.relaxed();
        assert!(relaxed.recovers_within_s > plan.recovers_within_s && relaxed.rate_min < plan.rate_min);
        assert_eq!((relaxed.dead, relaxed.burned_max, relaxed.live_leases_lost_max, relaxed.refused_min), (0, 0, 0, 1));
    }
}
