//! What is wrong with a job that somebody wants to enqueue: every bad field, not just the first.

use crate::{job::NewJob, limits::*};
use std::fmt;

/// One field and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The field's name as users write it.
    pub field: &'static str,
    /// What is wrong, as the end of a sentence that begins with the field's name.
    pub problem: String,
}

/// A job that cannot be accepted. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidJob(pub Vec<FieldError>);

impl fmt::Display for InvalidJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, FieldError { field, problem }) in self.0.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "; " };
            write!(f, "{separator}{field} {problem}")?;
        }
        Ok(())
    }
}

impl NewJob {
    /// Checks every bound that can be checked without a store.
    ///
    /// # Errors
    /// Every field that is out of its bounds.
    pub fn validate(&self) -> Result<(), InvalidJob> {
        let mut errors = Vec::new();
        let mut refuse = |field, problem: String| errors.push(FieldError { field, problem });
        let bytes = self.payload.get().len();
        if bytes > PAYLOAD_MAX_BYTES {
            refuse("payload", format!("is {bytes} bytes long; at most {PAYLOAD_MAX_BYTES} are allowed"));
        }
        if !(PRIORITY_MIN..=PRIORITY_MAX).contains(&self.priority) {
            refuse("priority", format!("is {}; it must be from {PRIORITY_MIN} to {PRIORITY_MAX}", self.priority));
        }
        if !(1..=MAX_ATTEMPTS_MAX).contains(&self.max_attempts) {
            refuse("max_attempts", format!("is {}; it must be from 1 to {MAX_ATTEMPTS_MAX}", self.max_attempts));
        }
        if self.max_crashes < 1 {
            refuse("max_crashes", format!("is {}; it must be at least 1", self.max_crashes));
        }
        if let Some(timeout) = self.timeout
            && (timeout.as_millis() == 0 || timeout > TIMEOUT_MAX)
        {
            refuse(
                "timeout",
                format!(
                    "is {} ms; it must be from 1 ms to {} days",
                    timeout.as_millis(),
                    TIMEOUT_MAX.as_secs() / 86_400
                ),
            );
        }
        if let Some(run_at) = self.run_at
            && run_at.timestamp() < 0
        {
            refuse("run_at", format!("is {}; it must not lie before 1970", run_at.to_rfc3339()));
        }
        for (field, key) in [("unique_key", &self.unique_key), ("limit_key", &self.limit_key)] {
            match key.as_deref() {
                Some("") => refuse(field, "is empty".to_owned()),
                Some(key) if key.len() > KEY_MAX_BYTES => {
                    refuse(field, format!("is {} bytes long; at most {KEY_MAX_BYTES} are allowed", key.len()));
                }
                Some(key) if key.contains('\0') => refuse(field, "has a NUL byte".to_owned()),
                _ => {}
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(InvalidJob(errors)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    #[test]
    fn every_bad_field_is_named() {
        let payload = RawValue::from_string("{}".into()).expect("valid JSON");
        let mut job = NewJob::new("k".parse().expect("a name"), payload);
        assert_eq!(job.validate(), Ok(()));
        job.priority = 101;
        job.max_attempts = 0;
        job.unique_key = Some(String::new());
        let error = job.validate().expect_err("three fields are bad");
        let fields: Vec<_> = error.0.iter().map(|bad| bad.field).collect();
        assert_eq!(fields, ["priority", "max_attempts", "unique_key"]);
        assert_eq!(
            error.to_string(),
            "priority is 101; it must be from -100 to 100; max_attempts is 0; it must be from 1 to 10000; unique_key is empty"
        );
    }
}
