//! The audit as a list.

use super::{human, table};
use leasehold_client::AuditRecord;

/// One line for each change.
pub(crate) fn list(changes: &[AuditRecord]) -> String {
    if changes.is_empty() {
        return "no changes".to_owned();
    }
    table(
        ["when", "actor", "action", "target", "detail"],
        changes.iter().map(|change| {
            let detail = change.detail.as_object().is_none_or(|detail| !detail.is_empty());
            [
                human::time(change.at),
                change.actor.clone(),
                change.action.clone(),
                change.target.clone(),
                if detail { change.detail.to_string() } else { String::new() },
            ]
        }),
    )
}
