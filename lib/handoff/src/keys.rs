//! The names of all Redis keys. No other file builds such a name. `lua/README.md` says what each key holds.

use leasehold_core::{QueueName, WorkerId};
use serde::{Deserialize, Deserializer};
use std::{fmt, str::FromStr, sync::Arc};

/// The default of [`KeyPrefix`].
const DEFAULT_PREFIX: &str = "leasehold";
/// The longest prefix, in bytes: every key carries the prefix.
const PREFIX_MAX: usize = 64;
/// The member of a queue's `kinds` that stands for every kind. No kind can have this name.
pub(crate) const EVERY_KIND: &str = "*";

/// The prefix of every key and channel of one fleet. Fleets with different prefixes can share a Redis server and never see each
/// other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPrefix(Arc<str>);

impl Default for KeyPrefix {
    fn default() -> Self {
        Self(DEFAULT_PREFIX.into())
    }
}

impl fmt::Display for KeyPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyPrefix {
    type Err = InvalidPrefix;

    fn from_str(text: &str) -> Result<Self, InvalidPrefix> {
        // A brace would begin a hash tag: Redis Cluster would then spread the keys of one queue.
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-:".contains(&byte);
        if (1..=PREFIX_MAX).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidPrefix)
        }
    }
}

impl<'de> Deserialize<'de> for KeyPrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is no [`KeyPrefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {PREFIX_MAX} of the characters A-Z, a-z, 0-9, _ . - and :")]
pub struct InvalidPrefix;

/// All keys of one fleet.
#[derive(Clone)]
pub(crate) struct Keys(KeyPrefix);

impl Keys {
    pub(crate) const fn new(prefix: KeyPrefix) -> Self {
        Self(prefix)
    }

    pub(crate) const fn prefix(&self) -> &KeyPrefix {
        &self.0
    }

    fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.0)
    }

    /// String: made at the first use of Redis. After a loss of Redis, the key is missing or has another value.
    pub(crate) fn generation(&self) -> String {
        self.key("generation")
    }

    /// Set: queues that have, or had, keys here.
    pub(crate) fn queues(&self) -> String {
        self.key("queues")
    }

    /// Sorted set: worker id → the time until which it counts as alive, in ms.
    pub(crate) fn workers(&self) -> String {
        self.key("workers")
    }

    /// Sorted set: reaper id → the time until which it counts as alive, in ms.
    pub(crate) fn reapers(&self) -> String {
        self.key("reapers")
    }

    /// Channel: messages to workers.
    pub(crate) fn notices(&self) -> String {
        self.key("notices")
    }

    /// Channel: jobs that have ended, for clients that wait.
    pub(crate) fn ends(&self) -> String {
        self.key("ends")
    }

    /// String: the record of a worker, as JSON. The key expires.
    pub(crate) fn worker(&self, id: WorkerId) -> String {
        self.key(&format!("worker:{id}"))
    }

    /// A key that a check of the server writes and deletes, or the channel of the check. All are in one slot and belong to no
    /// queue.
    pub(crate) fn health(&self, name: &str) -> String {
        self.key(&format!("health:{{health}}:{name}"))
    }

    /// The keys of one queue.
    pub(crate) fn of(&self, queue: &QueueName) -> QueueKeys {
        QueueKeys { prefix: self.key(&format!("{{{queue}}}:")) }
    }
}

/// The keys of one queue. The name of the queue is in braces, so that Redis Cluster keeps all keys of the queue in one
/// slot, and a script may use them all.
pub(crate) struct QueueKeys {
    prefix: String,
}

impl QueueKeys {
    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// List: the waiting hints, the next one first.
    pub(crate) fn ready(&self) -> String {
        self.key("ready")
    }

    /// List: hints that a `BLMOVE` took and that have no lease yet.
    pub(crate) fn claimed(&self) -> String {
        self.key("claimed")
    }

    /// Sorted set: id → end of its lease in ms, or its position while the hint waits (see `position`).
    pub(crate) fn leases(&self) -> String {
        self.key("leases")
    }

    /// Hash: `paused`, `overflow`.
    pub(crate) fn flags(&self) -> String {
        self.key("flags")
    }

    /// Set: kinds that have an aside list.
    pub(crate) fn asides(&self) -> String {
        self.key("asides")
    }

    /// List: hints of one kind, kept for workers that serve it.
    pub(crate) fn aside(&self, kind: &str) -> String {
        self.key(&format!("aside:{kind}"))
    }

    /// Sorted set: kind, or [`EVERY_KIND`] → the time until which it counts as served, in ms.
    pub(crate) fn kinds(&self) -> String {
        self.key("kinds")
    }

    /// Sorted set: kind, or [`EVERY_KIND`] → the time in ms until which Redis remembers that a worker served the kind. The key
    /// expires.
    pub(crate) fn served(&self) -> String {
        self.key("served")
    }

    /// String: the lock under which a worker fills the head.
    pub(crate) fn fill_lock(&self) -> String {
        self.key("fill")
    }

    /// List: each entry wakes one of the workers that wait for hints of a long line.
    pub(crate) fn bell(&self) -> String {
        self.key("bell")
    }

    /// Hash: how often the line was read for a fill, and the hints that the head refused during each reading.
    pub(crate) fn readings(&self) -> String {
        self.key("readings")
    }

    /// String: the position in the line up to which the head was filled. The key expires.
    pub(crate) fn filled(&self) -> String {
        self.key("filled")
    }

    /// String: the scan start of the line. The key exists only while PostgreSQL needs long to find the beginning.
    pub(crate) fn scan_start(&self) -> String {
        self.key("begins")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_has_no_braces_and_a_bounded_length() {
        for good in ["leasehold", "a", "Team-1:lease_hold.v2", &"x".repeat(PREFIX_MAX)] {
            assert_eq!(good.parse::<KeyPrefix>().expect(good).to_string(), good);
        }
        for bad in ["", "{a}", "a b", "a*", "caf\u{e9}", &"x".repeat(PREFIX_MAX + 1)] {
            assert_eq!(bad.parse::<KeyPrefix>(), Err(InvalidPrefix), "{bad:?}");
        }
    }

    #[test]
    fn every_key_begins_with_the_prefix() {
        let keys = Keys::new("team-1".parse().expect("a prefix"));
        assert_eq!(keys.generation(), "team-1:generation");
        assert_eq!(keys.health("list"), "team-1:health:{health}:list");
        assert_eq!(keys.of(&"q".parse().expect("a queue")).aside("k"), "team-1:{q}:aside:k");
    }
}
