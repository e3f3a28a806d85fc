//! What doctor looked at and found.

use super::{human, table};
use leasehold_reaper::Examination;

/// Findings of one check that are told one by one; the rest is counted.
const NAMED_MAX: usize = 5;

pub(crate) fn as_text(examined: &Examination) -> String {
    let mut out = table(
        ["check", "store", "looked at>", "found>"],
        examined.checks.iter().map(|(check, store, looked_at)| {
            let found = examined.findings.iter().filter(|finding| finding.check == *check).count();
            [
                check.clone(),
                (*store).to_owned(),
                human::grouped(*looked_at),
                if found == 0 { "ok".to_owned() } else { human::grouped(found as u64) },
            ]
        }),
    );
    if examined.findings.is_empty() {
        out.push_str("\nnothing is wrong\n");
    }
    for alike in examined.findings.chunk_by(|left, right| left.check == right.check) {
        let Some(first) = alike.first() else { continue };
        out.push_str(&format!("\n{} ({}):\n", first.check, first.store));
        for finding in alike.iter().take(NAMED_MAX) {
            out.push_str(&format!("  - {}\n", finding.detail));
        }
        if alike.len() > NAMED_MAX {
            let more = human::grouped((alike.len() - NAMED_MAX) as u64);
            out.push_str(&format!("  - and {more} more, which --json shows\n"));
        }
        if !first.advice.is_empty() {
            out.push_str(&format!("  What to do: {}\n", first.advice));
        }
    }
    out
}
