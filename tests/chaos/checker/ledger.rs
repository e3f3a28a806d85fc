//! The client's answers compared with the rows: every accepted job has one end, and no refused job exists.

use super::{Findings, Rows};
use crate::evidence::Evidence;

pub(super) fn check(evidence: &Evidence, rows: &Rows<'_>, findings: &mut Findings) {
    let ledger = &evidence.ledger;
    for id in &ledger.accepted {
        match rows.get(id).map(Vec::as_slice) {
            None => findings.lost.push(format!("{id} was accepted but does not exist")),
            Some([row]) if !row.is_final() => {
                findings.lost.push(format!("{id} was accepted but is still {} (epoch {})", row.state, row.epoch));
            }
            _ => {}
        }
    }
    for (id, rows) in rows {
        if rows.len() > 1 {
            let states: Vec<_> = rows.iter().map(|row| row.state.as_str()).collect();
            findings.twice.push(format!("{id} exists {} times: {}", rows.len(), states.join(", ")));
        }
        if rows.iter().any(|row| row.state == "dead") && !ledger.poison.contains(id) {
            findings.illegal.push(format!("{id} is dead but kills no worker"));
        }
        if ledger.refused.contains(id) {
            findings.illegal.push(format!("{id} exists, but the client was told that it was not accepted"));
        } else if !ledger.accepted.contains(id) && !ledger.unknown.contains(id) {
            findings.illegal.push(format!("{id} exists, but nobody enqueued it"));
        }
    }
}
