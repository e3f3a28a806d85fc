//! The field `unique` of a job: for how long the job holds its unique key, and what happens to a new job whose key is held.

use crate::duration_text;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// While a job has its key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UniqueWhile {
    /// Until the job has finished.
    #[default]
    Live,
    /// Until the job begins.
    Queued,
}

/// What happens to a job whose key is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnConflict {
    /// The existing job is the answer, and nothing changes.
    #[default]
    Skip,
    /// If the existing job waits, it becomes the new one: it keeps its id, and gets all other fields.
    Replace,
    /// One job with the key runs and one waits, at most. The one that waits becomes the new one.
    KeepLast,
}

/// The part of the field `unique` that a job keeps: what happens to its key when it begins. Without a rule, the job keeps its
/// key until it has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UniqueRule {
    /// The key is free when the job begins.
    Queued,
    /// The key moves to its second place when the job begins. The next job with the key waits until the second place is free.
    KeepLast,
}

macro_rules! words {
    ($($of:ident { $($name:ident = $word:literal),* })*) => {$(
        impl $of {
            /// The name used in SQL, JSON and on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word),*
                }
            }
        }

        impl fmt::Display for $of {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $of {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$name),)*
                    _ => Err(format!("{text:?} is not one of {}", [$($word),*].join(", "))),
                }
            }
        }
    )*};
}

words! {
    UniqueWhile { Live = "live", Queued = "queued" }
    OnConflict { Skip = "skip", Replace = "replace", KeepLast = "keep_last" }
    UniqueRule { Queued = "queued", KeepLast = "keep_last" }
}

/// How a job is unique. In JSON: `{"while": "queued", "on_conflict": "replace", "for": "1h", "fields": ["a"]}`.
///
/// ```
/// # use leasehold_core::Unique;
/// # use std::time::Duration;
/// // One mail to a user within a day, whether the earlier one is sent or not.
/// let once_a_day = Unique::while_live().fields(["user"]).for_time(Duration::from_secs(24 * 3600));
/// // While one computation runs, one more waits: the one that was enqueued last.
/// let newest = Unique::keep_last().payload();
/// assert!(once_a_day.makes_key() && newest.makes_key());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object such as {\"while\": \"queued\"}")]
#[cfg_attr(not(feature = "struct-literals"), non_exhaustive)]
pub struct Unique {
    /// `while`: until when the job has its key.
    #[serde(default, rename = "while", skip_serializing_if = "is_default")]
    pub while_state: UniqueWhile,
    /// What happens if the key is held.
    #[serde(default, skip_serializing_if = "is_default")]
    pub on_conflict: OnConflict,
    /// The key is held until this time at least, also when the job has finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// `for`: as `until`, counted from the enqueue by the database's clock.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none", with = "duration_text")]
    pub for_time: Option<Duration>,
    /// The key is made of the kind and these fields of the payload. A field that the payload lacks counts as null.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// The key is made of the kind and the whole payload.
    #[serde(default, skip_serializing_if = "is_default")]
    pub payload: bool,
    /// How long replacements can delay a job, counted from its first enqueue.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration_text")]
    pub longest_wait: Option<Duration>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Unique {
    /// The job has its key until it has finished; a job whose key is held is skipped.
    #[must_use]
    pub fn while_live() -> Self {
        Self::default()
    }

    /// The job has its key until it begins.
    #[must_use]
    pub fn while_queued() -> Self {
        Self { while_state: UniqueWhile::Queued, ..Self::default() }
    }

    /// While one job with the key runs, at most one more waits, and this one is the last that was enqueued.
    #[must_use]
    pub fn keep_last() -> Self {
        Self { on_conflict: OnConflict::KeepLast, ..Self::default() }
    }

    /// If a job with the key waits, it becomes the new one.
    #[must_use]
    pub fn replace(self) -> Self {
        Self { on_conflict: OnConflict::Replace, ..self }
    }

    /// Replacements can delay a job for at most this long, counted from its first enqueue.
    #[must_use]
    pub fn longest_wait(self, time: Duration) -> Self {
        Self { longest_wait: Some(time), ..self }
    }

    /// The key is held until this time at least.
    #[must_use]
    pub fn until(self, time: DateTime<Utc>) -> Self {
        Self { until: Some(time), ..self }
    }

    /// The key is held for this time at least, counted from the enqueue.
    #[must_use]
    pub fn for_time(self, time: Duration) -> Self {
        Self { for_time: Some(time), ..self }
    }

    /// The key is made of the kind and these fields of the payload.
    #[must_use]
    pub fn fields<T: Into<String>>(self, fields: impl IntoIterator<Item = T>) -> Self {
        Self { fields: fields.into_iter().map(Into::into).collect(), ..self }
    }

    /// The key is made of the kind and the whole payload.
    #[must_use]
    pub fn payload(self) -> Self {
        Self { payload: true, ..self }
    }

    /// Whether the key is made from the payload.
    #[must_use]
    pub fn makes_key(&self) -> bool {
        self.payload || !self.fields.is_empty()
    }

    /// What happens to the key when the job begins.
    #[must_use]
    pub const fn rule(&self) -> Option<UniqueRule> {
        match (self.on_conflict, self.while_state) {
            (OnConflict::KeepLast, _) => Some(UniqueRule::KeepLast),
            (_, UniqueWhile::Queued) => Some(UniqueRule::Queued),
            (_, UniqueWhile::Live) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_only_what_was_said() {
        assert_eq!(serde_json::to_string(&Unique::default()).expect("JSON"), "{}");
        let debounce = Unique::while_queued().replace().longest_wait(Duration::from_secs(300)).fields(["a"]);
        let text = serde_json::to_string(&debounce).expect("JSON");
        assert_eq!(text, r#"{"while":"queued","on_conflict":"replace","fields":["a"],"longest_wait":"300s"}"#);
        assert_eq!(serde_json::from_str::<Unique>(&text).expect("JSON"), debounce);
        assert!(serde_json::from_str::<Unique>(r#"{"while":"running"}"#).is_err());
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert_eq!(OnConflict::KeepLast.to_string().parse(), Ok(OnConflict::KeepLast));
        assert_eq!("queued".parse(), Ok(UniqueWhile::Queued));
        assert_eq!("keep_last".parse(), Ok(UniqueRule::KeepLast));
        assert_eq!("x".parse::<OnConflict>(), Err("\"x\" is not one of skip, replace, keep_last".to_owned()));
    }
}
