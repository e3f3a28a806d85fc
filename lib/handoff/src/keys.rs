//! The only place that spells Redis keys. `lua/README.md` says what each one holds.

use leasehold_core::{QueueName, WorkerId};

/// Made when Redis is first used; gone or changed after Redis was lost.
pub(crate) const GENERATION: &str = "leasehold:generation";
/// Set: queues that have, or had, keys here.
pub(crate) const QUEUES: &str = "leasehold:queues";
/// Sorted set: worker id → alive until, in ms.
pub(crate) const WORKERS: &str = "leasehold:workers";
/// Sorted set: reaper id → alive until, in ms.
pub(crate) const REAPERS: &str = "leasehold:reapers";
/// Channel: messages to workers.
pub(crate) const NOTICES: &str = "leasehold:notices";
/// Member of a queue's `kinds` that stands for every kind. No kind can be called that.
pub(crate) const EVERY_KIND: &str = "*";

/// What a check of the server writes and deletes again, and its channel. In one slot, and of no queue.
pub(crate) fn health(name: &str) -> String {
    format!("leasehold:health:{{health}}:{name}")
}

/// String: what a worker says of itself, as JSON; goes away by itself.
pub(crate) fn worker(id: WorkerId) -> String {
    format!("leasehold:worker:{id}")
}

/// The keys of one queue. Its name stands in braces, so that Redis Cluster keeps them together: a
/// script may touch them all.
pub(crate) struct QueueKeys {
    prefix: String,
}

impl QueueKeys {
    pub(crate) fn of(queue: &QueueName) -> Self {
        Self { prefix: format!("leasehold:{{{queue}}}:") }
    }

    fn key(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// List: the head, next one first.
    pub(crate) fn ready(&self) -> String {
        self.key("ready")
    }

    /// List: what a `BLMOVE` took and no lease covers yet.
    pub(crate) fn claimed(&self) -> String {
        self.key("claimed")
    }

    /// Sorted set: id → deadline in ms, or `+inf` while it waits.
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

    /// Sorted set: kind, or [`EVERY_KIND`] → served until, in ms.
    pub(crate) fn kinds(&self) -> String {
        self.key("kinds")
    }

    /// String: the lock under which a worker fills the head.
    pub(crate) fn fill_lock(&self) -> String {
        self.key("fill")
    }

    /// List: a word to one of the workers that wait for hints of a long line, that there are some.
    pub(crate) fn bell(&self) -> String {
        self.key("bell")
    }

    /// String: up to which place of the line the head was filled; there for a while after that.
    pub(crate) fn filled(&self) -> String {
        self.key("filled")
    }

    /// String: where the line begins; there only while it takes PostgreSQL long to say so.
    pub(crate) fn begins(&self) -> String {
        self.key("begins")
    }
}
