//! Reads the trigger of a ScaledObject: the queues, and how much demand one worker can take.

use leasehold_core::{QueueName, TARGET_PERCENT};
use std::collections::HashMap;
use tonic::Status;

/// The most queues of one trigger. Each is counted at every question.
const QUEUES_MAX: usize = 100;
const QUEUE: &str = "queue";
const SLOTS: &str = "slotsPerReplica";
const TARGET: &str = "targetPerReplica";

/// The metadata of a trigger.
#[derive(Debug, PartialEq)]
pub(super) struct Trigger {
    pub(super) queues: Vec<QueueName>,
    metadata: HashMap<String, String>,
}

impl Trigger {
    /// Reads the queues. KEDA adds its own fields, so unknown fields are ignored.
    pub(super) fn read(metadata: HashMap<String, String>) -> Result<Self, Status> {
        let names = metadata.get(QUEUE).map(String::as_str).unwrap_or_default();
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        let mut queues: Vec<QueueName> = Vec::new();
        for name in names {
            let queue = name.parse().map_err(|error| refused(format!("{QUEUE}: {name:?} {error}")))?;
            if !queues.contains(&queue) {
                queues.push(queue);
            }
        }
        match queues.len() {
            0 => Err(refused(format!("{QUEUE} is missing: the name of a queue, or several with commas"))),
            1..=QUEUES_MAX => Ok(Self { queues, metadata }),
            more => Err(refused(format!("{QUEUE}: {more} queues; a trigger may have {QUEUES_MAX}"))),
        }
    }

    /// The demand that one worker can take.
    pub(super) fn target(&self) -> Result<f64, Status> {
        match (self.number(SLOTS)?, self.number(TARGET)?) {
            (Some(slots), None) => Ok(slots * f64::from(TARGET_PERCENT) / 100.0),
            (None, Some(target)) => Ok(target),
            (None, None) => Err(refused(format!("{SLOTS} is missing: the slots of one worker"))),
            (Some(_), Some(_)) => Err(refused(format!("{SLOTS} and {TARGET} exclude each other"))),
        }
    }

    fn number(&self, name: &str) -> Result<Option<f64>, Status> {
        let Some(text) = self.metadata.get(name) else { return Ok(None) };
        let number = text.trim().parse().ok().filter(|number: &f64| (0.001..=1_000_000.0).contains(number));
        number.map(Some).ok_or_else(|| refused(format!("{name}: {text:?} is no number from 0.001 to 1000000")))
    }
}

fn refused(message: String) -> Status {
    Status::invalid_argument(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[(&str, &str)]) -> Result<(Vec<String>, f64), String> {
        let metadata = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let trigger = Trigger::read(metadata).map_err(|status| status.message().to_owned())?;
        let target = trigger.target().map_err(|status| status.message().to_owned())?;
        Ok((trigger.queues.into_iter().map(String::from).collect(), target))
    }

    #[test]
    fn a_trigger_names_queues_and_what_a_worker_can_take() {
        let of_keda = ("scalerAddress", "leasehold-api:9465");
        assert_eq!(read(&[("queue", "mail"), (SLOTS, "8"), of_keda]), Ok((vec!["mail".into()], 7.2)));
        assert_eq!(read(&[("queue", "a, b,,a"), (TARGET, "2.5")]), Ok((vec!["a".into(), "b".into()], 2.5)));
    }

    #[test]
    fn a_trigger_that_says_too_little_or_nonsense_is_refused() {
        let message = |fields: &[(&str, &str)]| read(fields).expect_err("refused");
        assert!(message(&[]).contains("queue is missing"));
        assert!(message(&[("queue", " , ")]).contains("queue is missing"));
        assert!(message(&[("queue", "a b"), (SLOTS, "1")]).contains("\"a b\""));
        assert!(message(&[("queue", "a")]).contains("slotsPerReplica is missing"));
        assert!(message(&[("queue", "a"), (SLOTS, "8"), (TARGET, "8")]).contains("exclude"));
        for bad in ["0", "-1", "x", "NaN", "inf", ""] {
            assert!(message(&[("queue", "a"), (SLOTS, bad)]).contains("no number"), "{bad}");
        }
        let many: Vec<String> = (0..101).map(|nth| format!("q{nth}")).collect();
        assert!(message(&[("queue", &many.join(",")), (SLOTS, "1")]).contains("101 queues"));
    }
}
