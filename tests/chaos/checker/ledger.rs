//! What the client was told, against the rows: everything accepted has one end, nothing refused is there.

use super::{Findings, Rows};
use crate::evidence::Evidence;

pub(super) fn check(evidence: &Evidence, rows: &Rows<'_>, findings: &mut Findings) {
    let ledger = &evidence.ledger;
    for id in &ledger.accepted {
        match rows.get(id).map(Vec::as_slice) {
            None => findings.lost.push(format!("{id} was accepted, and is nowhere")),
            Some([row]) if !row.is_final() => {
                findings.lost.push(format!("{id} was accepted, and is still {} (epoch {})", row.state, row.epoch));
            }
            _ => {}
        }
    }
    for (id, rows) in rows {
        if rows.len() > 1 {
            let states: Vec<_> = rows.iter().map(|row| row.state.as_str()).collect();
            findings.twice.push(format!("{id} is there {} times: {}", rows.len(), states.join(", ")));
        }
        if rows.iter().any(|row| row.state == "dead") && !ledger.poison.contains(id) {
            findings.illegal.push(format!("{id} is dead, and it is no poison"));
        }
        if ledger.refused.contains(id) {
            findings.illegal.push(format!("{id} is there, and the client was told that it was not accepted"));
        } else if !ledger.accepted.contains(id) && !ledger.unknown.contains(id) {
            findings.illegal.push(format!("{id} is there, and nobody enqueued it"));
        }
    }
}
