//! Encrypts payloads and results, and decrypts them.
//!
//! [`Keys`] are the keys of a process. An encrypted value is JSON of a fixed form ([`Encrypted`]), which is stored in the place
//! of the payload or the result. It is bound to its place ([`BoundTo`]): a value that was copied to another job is refused. The
//! reasons are in docs/adr/0042-payloads-are-encrypted-at-the-edge.md. This crate knows no store and no settings.

mod cipher;
mod form;
mod keys;

pub use cipher::{BoundTo, CannotDecrypt};
pub use form::{Encrypted, Owner};
pub use keys::{InvalidKeys, Keys};
