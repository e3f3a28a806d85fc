//! The reports of the reaper's steps.

use super::{human, table};
use leasehold_reaper::StepReport;

pub(crate) fn as_text(reports: &[StepReport]) -> String {
    table(
        ["step", "found>", "changed>", "took>", "error"],
        reports.iter().map(|report| {
            [
                report.step.to_owned(),
                human::grouped(report.found),
                human::grouped(report.changed),
                human::duration(report.took_ms / 1000.0),
                report.error.clone().unwrap_or_default(),
            ]
        }),
    )
}
