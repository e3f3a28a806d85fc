//! What a token may do: scopes such as `enqueue:mail`, `work:tenant-*`, `read` and `admin`.

use crate::names::{InvalidName, QueueName, WEBHOOK_QUEUE};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The sorts of requests that scopes tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Enqueue jobs, cancel them, change their priority.
    Enqueue,
    /// Claim jobs, renew their leases, end their runs.
    Work,
    /// Look at jobs and queues.
    Read,
    /// Everything, for all queues.
    Admin,
}

impl Access {
    const ALL: [Self; 4] = [Self::Enqueue, Self::Work, Self::Read, Self::Admin];

    /// The word in a scope.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enqueue => "enqueue",
            Self::Work => "work",
            Self::Read => "read",
            Self::Admin => "admin",
        }
    }

    /// The access that a request of this sort needs in a queue; `None`: in all queues.
    #[must_use]
    pub fn needed_in(self, queue: Option<&str>) -> Self {
        match self {
            Self::Enqueue | Self::Work if queue == Some(WEBHOOK_QUEUE) => Self::Admin,
            access => access,
        }
    }
}

/// The queues of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Queues {
    All,
    One(QueueName),
    /// Every queue whose name begins so.
    Beginning(QueueName),
}

impl Queues {
    fn have(&self, queue: &str) -> bool {
        match self {
            Self::All => true,
            Self::One(name) => name.as_str() == queue,
            Self::Beginning(name) => queue.starts_with(name.as_str()),
        }
    }
}

/// One scope of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope {
    access: Access,
    queues: Queues,
}

/// Why a text is not a scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScope {
    /// The word before the colon is not one of the four scopes.
    #[error("is no scope: enqueue, enqueue:QUEUE, work, work:QUEUE, read, read:QUEUE or admin")]
    Unknown,
    /// The scope `admin` is for all queues.
    #[error("names a queue, but admin is for all queues")]
    AdminOfQueue,
    /// The name of the queue is not valid. `*` may only be the last character.
    #[error("has the queue {0:?}, which {1}; a * may only be the last character")]
    Queue(String, InvalidName),
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (word, queue) = text.split_once(':').map_or((text, None), |(word, queue)| (word, Some(queue)));
        let known = Access::ALL.into_iter().find(|access| access.as_str() == word);
        let access = known.ok_or(InvalidScope::Unknown)?;
        let named = |name: &str| name.parse().map_err(|invalid| InvalidScope::Queue(name.to_owned(), invalid));
        let queues = match queue {
            None => Queues::All,
            Some(_) if access == Access::Admin => return Err(InvalidScope::AdminOfQueue),
            Some("*") => Queues::All,
            Some(queue) => match queue.strip_suffix('*') {
                Some(beginning) => Queues::Beginning(named(beginning)?),
                None => Queues::One(named(queue)?),
            },
        };
        Ok(Self { access, queues })
    }
}

impl TryFrom<String> for Scope {
    type Error = InvalidScope;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.access.as_str();
        match &self.queues {
            Queues::All => f.write_str(word),
            Queues::One(name) => write!(f, "{word}:{name}"),
            Queues::Beginning(name) => write!(f, "{word}:{name}*"),
        }
    }
}

/// All scopes of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(pub Vec<Scope>);

impl Scopes {
    /// Whether these scopes allow this access to a queue; `None`: to all queues. Deliveries of webhooks are signed, so only `admin` may
    /// make them, change them or take them.
    #[must_use]
    pub fn allow(&self, access: Access, queue: Option<&str>) -> bool {
        self.0.iter().any(|scope| {
            let of_queue = || queue.map_or(scope.queues == Queues::All, |queue| scope.queues.have(queue));
            scope.access == Access::Admin || (scope.access == access.needed_in(queue) && of_queue())
        })
    }

    /// Whether these scopes allow this access to some queue.
    #[must_use]
    pub fn allow_some(&self, access: Access) -> bool {
        self.0.iter().any(|scope| scope.access == access || scope.access == Access::Admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(texts: &[&str]) -> Scopes {
        Scopes(texts.iter().map(|text| text.parse().expect(text)).collect())
    }

    #[test]
    fn a_scope_is_written_as_it_is_read() {
        for text in ["enqueue", "enqueue:mail", "work:tenant:7/*", "work", "read", "read:a", "admin"] {
            assert_eq!(text.parse::<Scope>().expect(text).to_string(), text);
        }
        assert_eq!("work:*".parse::<Scope>().expect("all queues").to_string(), "work");
        for (text, problem) in [
            ("write", "is no scope"),
            ("", "is no scope"),
            ("Work", "is no scope"),
            ("admin:mail", "admin is for all queues"),
            ("work:", "is empty"),
            ("work:a*b", "'*'"),
            ("work:**", "'*'"),
            ("work:a b", "' '"),
        ] {
            let error = text.parse::<Scope>().expect_err(text).to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn scopes_allow_what_they_name_and_no_more() {
        let mail = scopes(&["enqueue:mail", "work:tenant-*"]);
        assert!(mail.allow(Access::Enqueue, Some("mail")) && mail.allow(Access::Work, Some("tenant-7")));
        for (access, queue) in [
            (Access::Enqueue, Some("mail2")),
            (Access::Enqueue, Some("tenant-7")),
            (Access::Enqueue, None),
            (Access::Work, Some("mail")),
            (Access::Work, Some("tenant")),
            (Access::Work, None),
            (Access::Read, Some("mail")),
            (Access::Admin, None),
        ] {
            assert!(!mail.allow(access, queue), "{access:?} {queue:?}");
        }
        let all = scopes(&["enqueue", "work", "read", "work:leasehold.*"]);
        assert!(!all.allow(Access::Enqueue, Some(WEBHOOK_QUEUE)) && !all.allow(Access::Work, Some(WEBHOOK_QUEUE)));
        assert!(all.allow(Access::Read, Some(WEBHOOK_QUEUE)));
        assert!(mail.allow_some(Access::Work) && !mail.allow_some(Access::Read));
        let admin = scopes(&["admin"]);
        assert!(Access::ALL.iter().all(|access| admin.allow(*access, None) && admin.allow(*access, Some("q"))));
        assert!(!Scopes::default().allow_some(Access::Read));
    }
}
