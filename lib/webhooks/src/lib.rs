//! Sends one message of a webhook. The crate has the signature, the allowed addresses, the timeouts, and the delays
//! before the message is sent again.
//!
//! - `secret` signs a message as Standard Webhooks 1.0 requires.
//! - `target` reads a URL. `networks` says which addresses may be dialed. `resolve` turns a name into addresses.
//! - `sender` sends one message and reads the beginning of the answer.
//! - `schedule` says when a message is sent again.
//!
//! This crate has no store and no job: `lib/api` runs deliveries, which are jobs.

mod networks;
mod resolve;
mod schedule;
mod secret;
mod sender;
mod target;

pub use networks::{InvalidNetwork, Networks};
pub use resolve::{Resolve, SystemResolver};
pub use schedule::{ATTEMPTS_MAX, RETRY_AFTER_MAX, next_delay};
pub use secret::{InvalidSecret, Secret};
pub use sender::{ANSWER_MAX_BYTES, Answer, CONNECT_WITHIN, Message, SENT_WITHIN, SendError, Sender};
pub use target::{InvalidTarget, Target};
