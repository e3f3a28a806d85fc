//! Unique keys: each job with a key was inserted after the job before it with the same key had ended.

use super::Findings;
use crate::evidence::Row;
use std::collections::BTreeMap;

/// A tolerance. Both times are start times of statements. A statement takes a moment, or longer on a server that is
/// stopping or starting. In a real violation, two runs overlap for the whole time that a job waits in the line.
const STATEMENT_MS: i64 = 1_000;

pub(super) fn check(rows: &[Row], findings: &mut Findings) {
    let mut by_key: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        if let Some(key) = &row.unique_key {
            by_key.entry(key).or_default().push(row);
        }
    }
    for (key, mut rows) in by_key {
        rows.sort_by_key(|row| row.created_at);
        for pair in rows.windows(2) {
            let ended_ms = pair[0].finished_at.map_or(i64::MAX, |at| at.timestamp_millis());
            if pair[1].created_at.timestamp_millis() < ended_ms.saturating_sub(STATEMENT_MS) {
                findings.illegal.push(format!(
                    "{} and {} have the key {key} and were live at the same time",
                    pair[0].id, pair[1].id
                ));
            }
        }
    }
}
