//! Checks a job before it is enqueued. Reports every bad field, not only the first.

use crate::{
    job::NewJob,
    limits::*,
    names::Kind,
    unique::{OnConflict, Unique, UniqueWhile},
};
use std::{fmt, time::Duration};

/// One field, and what is wrong with the field.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct FieldError {
    /// The name of the field, as users write it.
    pub field: &'static str,
    /// What is wrong, as the end of a sentence that begins with the name of the field.
    pub problem: String,
}

impl FieldError {
    /// A field with what is wrong with it.
    #[must_use]
    pub const fn new(field: &'static str, problem: String) -> Self {
        Self { field, problem }
    }
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

/// What every encrypted value begins with. A payload or a result of a user must not begin so.
pub const RESERVED: &str = r#"{"$encrypted":"#;

/// Whether this JSON begins like an encrypted value.
#[must_use]
pub fn is_reserved(json: &str) -> bool {
    json.starts_with(RESERVED)
}

/// The first escape in this JSON that stands for no character of PostgreSQL: NUL, or one half of a pair of surrogates. PostgreSQL
/// stores a payload unchanged, also with such an escape, but cannot convert it to `jsonb`.
fn escape_without_character(json: &str) -> Option<&str> {
    let code_at = |at: usize| {
        let digits = json.get(at..)?.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut at = 0;
    while let Some(found) = json.get(at..)?.find('\\') {
        at += found;
        match code_at(at) {
            Some(0xD800..=0xDBFF) if matches!(code_at(at + 6), Some(0xDC00..=0xDFFF)) => at += 12,
            Some(0 | 0xD800..=0xDFFF) => return json.get(at..at + 6),
            Some(_) => at += 6,
            // A backslash and one character.
            None => at += 2,
        }
    }
    None
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
        if is_reserved(self.payload.get()) {
            refuse("payload", format!("begins with {RESERVED}, which is reserved for encrypted payloads"));
        }
        if self.unique.as_ref().is_some_and(Unique::makes_key)
            && let Some(escape) = escape_without_character(self.payload.get())
        {
            refuse(
                "payload",
                format!(
                    "has the escape {escape}: PostgreSQL can make no unique key of it (unique.fields, unique.payload)"
                ),
            );
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
        if let Some(given) = &self.traceparent
            && !is_traceparent(given)
        {
            refuse("traceparent", "is not of the form 00-TRACE-PARENT-FLAGS of W3C Trace Context".to_owned());
        }
        if let Some(Err(problem)) = self.webhook.as_ref().map(|id| id.parse::<Kind>()) {
            refuse("webhook", problem.to_string());
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
        if unique.fields.iter().any(String::is_empty) {
            refuse("unique.fields", "has an empty name".to_owned());
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

/// Whether this is a `traceparent` of version 00: `00-`, a trace of 32 and a parent of 16 digits, and two digits of flags, in small
/// hexadecimal digits. Neither the trace nor the parent is zero.
#[must_use]
pub fn is_traceparent(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
    };
    let is_some = |part: &str| part.bytes().any(|digit| digit != b'0');
    match parts.as_slice() {
        ["00", trace, parent, flags] => {
            is_hex(trace, 32) && is_some(trace) && is_hex(parent, 16) && is_some(parent) && is_hex(flags, 2)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::RawValue;

    #[test]
    fn a_unique_key_of_the_payload_needs_a_payload_that_postgresql_can_read() {
        for (json, escape) in [
            (r#"{"a":"x\u0000"}"#, Some(r"\u0000")),
            (r#"{"\u0000":1}"#, Some(r"\u0000")),
            (r#"["\\\u0000"]"#, Some(r"\u0000")),
            (r#"["\\u0000", "\"\u0041"]"#, None),
            (r#"["\ud83d\ude00"]"#, None),
            (r#"["\ud83d\ud83d"]"#, Some(r"\ud83d")),
            (r#"["\ude00"]"#, Some(r"\ude00")),
            (r#"["\\", "é\n"]"#, None),
        ] {
            assert_eq!(escape_without_character(json), escape, "{json}");
        }
    }

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
    fn a_payload_cannot_pass_for_an_encrypted_one() {
        for (json, is_refused) in [
            (r#"{"$encrypted":{"v":1}}"#, true),
            (r#"{"$encrypted":"x"}"#, true),
            (r#"{ "$encrypted":{"v":1}}"#, false),
            (r#"{"a":1,"$encrypted":{"v":1}}"#, false),
        ] {
            let job =
                NewJob::new("k".parse().expect("a name"), RawValue::from_string(json.into()).expect("valid JSON"));
            assert_eq!(job.validate().is_err(), is_refused, "{json}");
        }
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

    #[test]
    fn a_traceparent_has_four_parts() {
        const FINE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(FINE));
        for bad in [
            "",
            "00",
            &FINE.to_uppercase(),
            &FINE.replace("00-4", "01-4"),
            &FINE[..54],
            &format!("{FINE}-00"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
    }
}
