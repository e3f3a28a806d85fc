//! The place of a waiting job: its priority and its queue. Both can be changed while the job waits.

use crate::{
    limits::{PRIORITY_MAX, PRIORITY_MIN},
    names::QueueName,
    validate::{FieldError, InvalidJob},
};

/// A new place for waiting jobs. Each job gets the position in the line that belongs to this place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// This priority, in the queue where the job waits.
    Priority(i16),
    /// This queue, with the priority that the job has.
    Queue(QueueName),
}

impl Place {
    /// The priority to set, if the priority changes.
    #[must_use]
    pub const fn priority(&self) -> Option<i16> {
        match self {
            Self::Priority(priority) => Some(*priority),
            Self::Queue(_) => None,
        }
    }

    /// The queue to move to, if the queue changes.
    #[must_use]
    pub const fn queue(&self) -> Option<&QueueName> {
        match self {
            Self::Priority(_) => None,
            Self::Queue(queue) => Some(queue),
        }
    }

    /// Checks the limits.
    ///
    /// # Errors
    /// The priority is out of range.
    pub fn validate(&self) -> Result<(), InvalidJob> {
        match self {
            Self::Priority(priority) if !(PRIORITY_MIN..=PRIORITY_MAX).contains(priority) => {
                let problem = format!("is {priority}; it must be from {PRIORITY_MIN} to {PRIORITY_MAX}");
                Err(InvalidJob(vec![FieldError { field: "priority", problem }]))
            }
            Self::Priority(_) | Self::Queue(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_has_limits() {
        assert!(Place::Priority(PRIORITY_MAX).validate().is_ok() && Place::Priority(PRIORITY_MIN).validate().is_ok());
        let error = Place::Priority(101).validate().expect_err("too high");
        assert_eq!(error.to_string(), "priority is 101; it must be from -100 to 100");
    }
}
