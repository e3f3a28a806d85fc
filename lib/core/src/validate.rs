//! Checks a job before it is enqueued. Reports every bad field, not only the first.

use crate::{
    job::NewJob,
    limits::*,
    unique::{OnConflict, Unique, UniqueWhile},
};
use std::{fmt, time::Duration};

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
        if self.limit_keys.len() > LIMIT_KEYS_MAX {
            let given = self.limit_keys.len();
            refuse("limit_keys", format!("has {given} keys; at most {LIMIT_KEYS_MAX} are allowed"));
        }
        let limit_keys = self.limit_keys.iter().map(|key| ("limit_key", Some(key.as_str())));
        let others = [
            ("unique_key", self.unique_key.as_deref()),
            ("batch", self.batch.as_deref()),
            ("fair_key", self.fair_key.as_deref()),
        ];
        for (field, key) in limit_keys.chain(others) {
            match key {
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
        if let Some(conflict) = self.unique.as_ref().map(|unique| unique.on_conflict)
            && !self.depends_on.is_empty()
            && conflict != OnConflict::Skip
        {
            refuse(
                "depends_on",
                "cannot be given to a job that replaces another one: on_conflict must be skip".to_owned(),
            );
        }
        self.validate_rare_words(&mut refuse);
        if errors.is_empty() { Ok(()) } else { Err(InvalidJob(errors)) }
    }

    fn validate_rare_words(&self, refuse: &mut impl FnMut(&'static str, String)) {
        let days = DELAY_MAX.as_secs() / 86_400;
        let mut duration = |field, given: Option<Duration>| {
            if let Some(time) = given.filter(|time| time.as_millis() == 0 || *time > DELAY_MAX) {
                refuse(field, format!("is {} ms; it must be from 1 ms to {days} days", time.as_millis()));
            }
        };
        let retry = self.retry.unwrap_or_default();
        duration("retry.base", retry.base);
        duration("retry.cap", retry.cap);
        duration("retry.for", retry.for_time);
        duration("expires_in", self.expires_in);
        if let Some(unique) = &self.unique {
            duration("unique.for", unique.for_time);
            duration("unique.longest_wait", unique.longest_wait);
        }
        if let (Some(base), Some(cap)) = (retry.base, retry.cap)
            && base > cap
        {
            refuse("retry.cap", "is less than retry.base".to_owned());
        }
        for (field, time) in
            [("expires_at", self.expires_at), ("unique.until", self.unique.as_ref().and_then(|unique| unique.until))]
        {
            if let Some(time) = time.filter(|time| !(RUN_AT_MIN_S..RUN_AT_END_S).contains(&time.timestamp())) {
                refuse(field, format!("is {}; it must lie in the years from 1970 to 9999", time.to_rfc3339()));
            }
        }
        let is_never = match (self.run_at, self.expires_at) {
            (Some(run_at), Some(expires_at)) => expires_at <= run_at,
            (None, None) => {
                matches!((self.delay, self.expires_in), (Some(delay), Some(expires_in)) if expires_in <= delay)
            }
            _ => false,
        };
        if is_never {
            refuse("expires_at", "is not after the earliest start: the job could never begin".to_owned());
        }
        if let Some(unique) = &self.unique {
            self.validate_unique(unique, refuse);
        }
    }

    fn validate_unique(&self, unique: &Unique, refuse: &mut impl FnMut(&'static str, String)) {
        let keys = usize::from(self.unique_key.is_some())
            + usize::from(unique.payload)
            + usize::from(!unique.fields.is_empty());
        if keys != 1 {
            refuse("unique", "needs one of unique_key, unique.fields and unique.payload".to_owned());
        }
        if unique.makes_key() && unique.fields.len() > UNIQUE_FIELDS_MAX {
            refuse(
                "unique.fields",
                format!("has {} names; at most {UNIQUE_FIELDS_MAX} are allowed", unique.fields.len()),
            );
        }
        if unique.fields.iter().any(|field| field.contains('\0')) {
            refuse("unique.fields", "has a NUL byte".to_owned());
        }
        if !unique.fields.is_empty() && !self.payload.get().trim_start().starts_with('{') {
            refuse("unique.fields", "needs a payload that is a JSON object".to_owned());
        }
        if unique.until.is_some() && unique.for_time.is_some() {
            refuse("unique.until", "cannot be given with unique.for: each says how long the key is held".to_owned());
        }
        if unique.longest_wait.is_some() && unique.on_conflict == OnConflict::Skip {
            refuse("unique.longest_wait", "needs unique.on_conflict replace or keep_last".to_owned());
        }
        if unique.on_conflict == OnConflict::KeepLast {
            if unique.while_state == UniqueWhile::Queued {
                refuse(
                    "unique.while",
                    "must be live with keep_last, which has a place for the running job too".to_owned(),
                );
            }
            if unique.until.is_some() || unique.for_time.is_some() {
                refuse("unique.until", "cannot be given with keep_last".to_owned());
            }
        }
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
