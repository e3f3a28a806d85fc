//! The secret of an endpoint, and the signature of a message, as Standard Webhooks 1.0 defines them.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::{fmt, str::FromStr};

const PREFIX: &str = "whsec_";
/// The length of a new secret. The standard allows 24 to 64 bytes.
const NEW_BYTES: usize = 32;
const LEAST_BYTES: usize = 24;
const MOST_BYTES: usize = 64;

/// The secret that the sender and the receiver of a webhook share.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// A text that is no secret. The error does not show the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a secret is whsec_ and the base64 of {LEAST_BYTES} to {MOST_BYTES} bytes")]
pub struct InvalidSecret;

impl Secret {
    /// A new secret from the random numbers of the operating system.
    #[must_use]
    pub fn generate() -> Self {
        Self(rand::random::<[u8; NEW_BYTES]>().to_vec())
    }

    /// The secret as a text. A person who has the text can sign messages.
    #[must_use]
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    /// The signature of a message, for the header `webhook-signature`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: u64, body: &[u8]) -> String {
        // HMAC takes a key of any length, so this never fails.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return String::new() };
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl FromStr for Secret {
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let text = text.strip_prefix(PREFIX).ok_or(InvalidSecret)?;
        let bytes = STANDARD.decode(text).map_err(|_| InvalidSecret)?;
        if (LEAST_BYTES..=MOST_BYTES).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(InvalidSecret) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_reference_implementation() {
        for body in ["{\"a\":1}", "", "{\"ä\":\"\u{1F600}\"}"] {
            let secret = Secret::generate();
            let judge = standardwebhooks::Webhook::new(&secret.reveal()).expect("a secret of the standard");
            let wanted = judge.sign("msg_1", 1_700_000_000, body.as_bytes()).expect("a signature");
            assert_eq!(secret.sign("msg_1", 1_700_000_000, body.as_bytes()), wanted);
        }
    }

    #[test]
    fn a_secret_is_read_as_it_was_shown_and_debug_hides_it() {
        let secret = Secret::generate();
        assert_eq!(secret.reveal().parse(), Ok(secret.clone()));
        assert_ne!(Secret::generate(), secret);
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }

    #[test]
    fn a_text_that_is_no_secret_is_refused() {
        let of = |bytes: usize| format!("whsec_{}", STANDARD.encode(vec![7; bytes]));
        assert!(of(24).parse::<Secret>().is_ok() && of(64).parse::<Secret>().is_ok());
        for bad in [of(23), of(65), of(32).replace("whsec_", ""), "whsec_not base64".into(), "whsec_".into()] {
            assert_eq!(bad.parse::<Secret>(), Err(InvalidSecret), "{bad}");
        }
    }
}
