//! The checks and findings of doctor.

use super::{human, table};
use leasehold_reaper::{Drift, Drifted, Examination};
use serde::Serialize;
use std::collections::BTreeMap;

/// The maximum number of findings of one check that are printed one by one; the rest is counted.
const NAMED_MAX: usize = 5;

/// The findings of doctor, and the repairs before them if `--repair` was given.
#[derive(Serialize)]
pub(crate) struct Told<'a> {
    #[serde(flatten)]
    pub(crate) examined: &'a Examination,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repairs: Option<BTreeMap<Drift, Drifted>>,
}

pub(crate) fn as_text(told: &Told<'_>) -> String {
    let examined = told.examined;
    let mut out = String::new();
    if let Some(repairs) = &told.repairs {
        for (kind, of) in repairs {
            let (repaired, found) = (human::grouped(of.repaired), human::grouped(of.found));
            out.push_str(&format!("repaired: {kind}, {repaired} of {found}\n"));
        }
        out.push_str(if repairs.is_empty() { "nothing to repair\n\n" } else { "\n" });
    }
    out.push_str(&table(
        ["check", "store", "checked>", "found>"],
        examined.checks.iter().map(|(check, store, looked_at)| {
            let found = examined.findings.iter().filter(|finding| finding.check == *check).count();
            [
                check.clone(),
                (*store).to_owned(),
                human::grouped(*looked_at),
                if found == 0 { "ok".to_owned() } else { human::grouped(found as u64) },
            ]
        }),
    ));
    if examined.findings.is_empty() {
        out.push_str("\nnothing is wrong\n");
    }
    for alike in examined.findings.chunk_by(|left, right| left.check == right.check) {
        let Some(first) = alike.first() else { continue };
        out.push_str(&format!("\n{} ({}):\n", first.check, first.store));
        for finding in alike.iter().take(NAMED_MAX) {
            out.push_str(&format!("  - {}: {}\n", finding.kind, finding.detail));
        }
        if alike.len() > NAMED_MAX {
            let more = human::grouped((alike.len() - NAMED_MAX) as u64);
            out.push_str(&format!("  - and {more} more, which --json shows\n"));
        }
        if !first.advice.is_empty() {
            out.push_str(&format!("  What to do: {}\n", first.advice));
        }
    }
    for note in &examined.notes {
        out.push_str(&format!("\nnote: {note}\n"));
    }
    out
}
