//! The form of an encrypted value: `{"$encrypted":{"v":1,"key":…,"print":…,"of":…,"nonce":…,"data":…}}`.
//!
//! It is recognized by its first bytes, so a value that is not encrypted costs one comparison. No payload of a user may begin
//! with them: see [`leasehold_core::is_reserved`].

use leasehold_core::{JobId, ScheduleName};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, fmt};

/// The first characters of every encrypted value, of this version and of later versions. The triggers of
/// `set_queue_encrypted.sql` check for the same text.
const PREFIX: &str = r#"{"$encrypted":{"v":"#;

/// The version of the form.
const VERSION: u8 = 1;

/// To which row a value belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A job.
    Job(JobId),
    /// A schedule, and each job of its ticks.
    Schedule(ScheduleName),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(id) => write!(f, "job:{id}"),
            Self::Schedule(name) => write!(f, "schedule:{name}"),
        }
    }
}

/// An encrypted value, read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encrypted<'a> {
    v: u8,
    /// The name of the key.
    #[serde(borrow)]
    pub(crate) key: Cow<'a, str>,
    /// The fingerprint of the key. So a process that has another key with this name does not report the value as damaged.
    #[serde(borrow)]
    pub(crate) print: Cow<'a, str>,
    /// To which job or schedule the value belongs.
    #[serde(borrow)]
    of: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) nonce: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) data: Cow<'a, str>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer<'a> {
    #[serde(rename = "$encrypted", borrow)]
    inner: Encrypted<'a>,
}

impl<'a> Encrypted<'a> {
    /// Whether this JSON is an encrypted value.
    #[must_use]
    pub fn is(json: &str) -> bool {
        json.starts_with(PREFIX)
    }

    /// The encrypted value in this JSON, which begins as one. `None`: its form is not known.
    pub(crate) fn read(json: &'a str) -> Option<Self> {
        serde_json::from_str::<Outer<'a>>(json).ok().map(|outer| outer.inner).filter(|inner| inner.v == VERSION)
    }

    /// The name of the key, if this JSON is an encrypted value of a known form.
    #[must_use]
    pub fn key_of(json: &'a str) -> Option<String> {
        if Self::is(json) { Self::read(json).map(|value| value.key.into_owned()) } else { None }
    }

    /// To which job or schedule the encrypted value in this JSON says that it belongs.
    #[must_use]
    pub fn owner_of(json: &'a str) -> Option<Owner> {
        let text = Self::read(json)?.of;
        let (what, name) = text.split_once(':')?;
        match what {
            "job" => name.parse::<JobId>().ok().map(Owner::Job),
            "schedule" => name.parse::<ScheduleName>().ok().map(Owner::Schedule),
            _ => None,
        }
    }

    pub(crate) fn json(key: &str, print: &str, owner: &Owner, nonce: String, data: String) -> String {
        let inner = Encrypted {
            v: VERSION,
            key: key.into(),
            print: print.into(),
            of: owner.to_string().into(),
            nonce: nonce.into(),
            data: data.into(),
        };
        // Texts alone: this never fails.
        serde_json::to_string(&Outer { inner }).unwrap_or_default()
    }
}
