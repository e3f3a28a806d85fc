//! Batches: each callback is made once, runs to its end, and has the right numbers. A batch whose jobs have all succeeded has no
//! callback for a death, and only such a batch has a callback for success.

use super::Findings;
use crate::evidence::{Callback, Evidence, Row};

pub(super) fn check(evidence: &Evidence, findings: &mut Findings) {
    for batch in &evidence.batches {
        let rows = || evidence.rows.iter().filter(|row| row.batch.as_ref() == Some(batch));
        let count = |state: &str| rows().filter(|row| row.state == state).count() as i64;
        let (succeeded, dead, cancelled) = (count("succeeded"), count("dead"), count("cancelled"));
        let has_ended = rows().all(Row::is_final);
        let events = [("success", has_ended && dead + cancelled == 0), ("complete", has_ended), ("death", dead > 0)];
        for (event, is_due) in events {
            let of_event = |callback: &&Callback| callback.payload.batch == *batch && callback.payload.event == event;
            let made: Vec<&Callback> = evidence.callbacks.iter().filter(of_event).collect();
            if made.len() != usize::from(is_due) {
                let what = format!("the callback of {batch} for {event} was made {} times", made.len());
                if made.is_empty() { &mut findings.lost } else { &mut findings.illegal }.push(what);
            }
            for callback in made {
                let told = &callback.payload;
                if callback.state != "succeeded" {
                    findings.lost.push(format!("the callback of {batch} for {event} is {}", callback.state));
                }
                // The callback for a death is enqueued as soon as the death is known, and then has no numbers.
                let numbers = (told.succeeded, told.dead, told.cancelled);
                let is_early = event == "death" && numbers == (None, None, None);
                if !is_early && numbers != (Some(succeeded), Some(dead), Some(cancelled)) {
                    findings.illegal.push(format!("the callback of {batch} for {event} has the numbers {numbers:?}"));
                }
            }
        }
    }
}
