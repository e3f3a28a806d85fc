//! Checks a job before it is enqueued. Reports every bad field, not only the first.

use crate::{job::NewJob, limits::*};
use std::fmt;

/// One field, and what is wrong with the field.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FieldError {
    /// The name of the field, as users write it.
    pub field: &'static str,
    /// What is wrong, as the end of a sentence that begins with the name of the field.
    pub problem: String,
}

/// The job cannot be accepted. Nothing was changed.
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
    /// Checks every limit that can be checked without a store.
    ///
    /// # Errors
    /// Every field that is outside of its limits.
    pub fn validate(&self) -> Result<(), InvalidJob> {
        let mut errors = Vec::new();
        let mut refuse = |field, problem: String| errors.push(FieldError { field, problem });
        let bytes = self.payload.get().len();
        if bytes > PAYLOAD_MAX_BYTES {
            refuse("payload", format!("is {bytes} bytes long; at most {PAYLOAD_MAX_BYTES} are allowed"));
        } else if is_deeper_than(self.payload.get(), PAYLOAD_MAX_DEPTH) {
            refuse("payload", format!("is nested too deeply; at most {PAYLOAD_MAX_DEPTH} levels are allowed"));
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
            && !(RUN_AT_MIN_S..RUN_AT_END_S).contains(&run_at.timestamp())
        {
            refuse("run_at", format!("is {}; it must lie in the years from 1970 to 9999", run_at.to_rfc3339()));
        }
        if let Some(delay) = self.delay
            && delay > DELAY_MAX
        {
            let (seconds, days) = (delay.as_secs(), DELAY_MAX.as_secs() / 86_400);
            refuse("delay", format!("is {seconds} s; it must be at most {days} days"));
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
        if self.depends_on.len() > PARENTS_MAX {
            refuse("depends_on", format!("names {} jobs; at most {PARENTS_MAX} are allowed", self.depends_on.len()));
        }
        if self.depends_on.contains(&self.id) {
            refuse("depends_on", "names the job itself".to_owned());
        }
        if !self.depends_on.is_empty() && (self.run_at.is_some() || self.delay.is_some()) {
            refuse(
                "depends_on",
                "cannot be given together with a time: the job starts when its parents have ended".to_owned(),
            );
        }
        if errors.is_empty() { Ok(()) } else { Err(InvalidJob(errors)) }
    }
}

/// Whether JSON has more levels of arrays and objects than `depth`. The text is already valid JSON, so brackets outside
/// of strings come in pairs.
fn is_deeper_than(json: &str, limit: usize) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
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

    #[test]
    fn levels_are_counted_outside_of_strings() {
        for (json, depth) in [
            ("1", 0),
            ("[]", 1),
            (r#"{"a":[{"b":[1]}],"c":[]}"#, 4),
            (r#"["[[[[[[[["]"#, 1),
            (r#"["\"[[[[[[","\\",[1]]"#, 2),
            ("[[],[],[[]]]", 3),
        ] {
            assert!(!is_deeper_than(json, depth), "{json}");
            assert!(depth == 0 || is_deeper_than(json, depth - 1), "{json}");
        }
    }
}
