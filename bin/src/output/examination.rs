//! What doctor looked at and found.

use super::{human, table};
use leasehold_reaper::Examination;

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
    for finding in &examined.findings {
        out.push_str(&format!("\n{} ({}): {}\n", finding.check, finding.store, finding.detail));
        if !finding.advice.is_empty() {
            out.push_str(&format!("    {}\n", finding.advice));
        }
    }
    out
}
