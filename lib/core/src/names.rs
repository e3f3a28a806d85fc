//! The names of queues and kinds. They are checked once, where they enter the system.

use crate::limits::NAME_MAX_BYTES;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidName {
    /// The text is empty.
    #[error("is empty")]
    Empty,
    /// The text is longer than [`NAME_MAX_BYTES`].
    #[error("is {0} bytes long; at most {NAME_MAX_BYTES} are allowed")]
    TooLong(usize),
    /// The text has a character outside of the alphabet, or does not begin with a letter, a digit or an underscore.
    #[error("has {0:?} at byte {1}; allowed are letters, digits and . _ : / - (the first one a letter, digit or _)")]
    Character(char, usize),
}

/// The alphabet has no braces, which would break the hash tag of the Redis keys, and no `*`, which stands for "every
/// kind".
fn check(text: &str) -> Result<(), InvalidName> {
    if text.is_empty() {
        return Err(InvalidName::Empty);
    }
    if text.len() > NAME_MAX_BYTES {
        return Err(InvalidName::TooLong(text.len()));
    }
    for (at, character) in text.char_indices() {
        let first = character.is_ascii_alphanumeric() || character == '_';
        let later = first || matches!(character, '.' | ':' | '/' | '-');
        if !(if at == 0 { first } else { later }) {
            return Err(InvalidName::Character(character, at));
        }
    }
    Ok(())
}

macro_rules! name_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, Self::Error> {
                check(&text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name_newtype! {
    /// The name of a queue, in which jobs wait.
    QueueName
}
name_newtype! {
    /// The name of a kind, which names the handler of a job.
    Kind
}
name_newtype! {
    /// The name of a schedule, which enqueues a job again and again.
    ScheduleName
}

impl Default for QueueName {
    /// The queue of jobs that name no queue: `default`.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// The queue of deliveries of webhooks.
pub const WEBHOOK_QUEUE: &str = "leasehold.webhooks";

impl QueueName {
    /// The queue of deliveries of webhooks: [`WEBHOOK_QUEUE`].
    #[must_use]
    pub fn of_webhooks() -> Self {
        Self(WEBHOOK_QUEUE.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabet() {
        assert!(WEBHOOK_QUEUE.parse() == Ok(QueueName::of_webhooks()));
        for good in ["default", "a", "Images.v2", "raw-transactions", "tenant:7/low", "_x", "9"] {
            assert!(good.parse::<QueueName>().is_ok(), "{good}");
        }
        assert_eq!("".parse::<Kind>(), Err(InvalidName::Empty));
        assert_eq!("x".repeat(300).parse::<Kind>(), Err(InvalidName::TooLong(300)));
        for (bad, character, at) in
            [("a b", ' ', 1), ("a{b}", '{', 1), ("*", '*', 0), ("-a", '-', 0), ("ä", 'ä', 0), ("a\0", '\0', 1)]
        {
            assert_eq!(bad.parse::<QueueName>(), Err(InvalidName::Character(character, at)), "{bad}");
        }
    }
}
