//! The keys of a process, as the settings `encryption.keys` and `encryption.current` have them.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, ExposeSecretMut, SecretBox};
use sha2::{Digest, Sha256};
use std::fmt;

const KEY_BYTES: usize = 32;
const NAME_MAX_BYTES: usize = 32;

/// The keys of a process: one of them encrypts, all of them decrypt. A process without keys does neither.
#[derive(Default)]
pub struct Keys {
    keys: Vec<Key>,
    /// The place of the key for new data.
    current: usize,
}

pub(crate) struct Key {
    pub(crate) name: String,
    /// A part of a hash of the key. It says nothing about a random key.
    pub(crate) print: String,
    /// Overwritten when the process drops it.
    pub(crate) secret: SecretBox<[u8; KEY_BYTES]>,
}

/// A text that names no keys. The error does not show the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// One of the keys is malformed.
    #[error(
        "has a bad key at place {0}; a key is NAME:BASE64, with a name of up to {NAME_MAX_BYTES} letters, digits, - and _, and the \
         base64 of {KEY_BYTES} random bytes; between keys stand commas, spaces or line ends"
    )]
    Key(usize),
    /// Two keys have the same name.
    #[error("has two keys with the name {0}")]
    Twice(String),
    /// No key.
    #[error("has no key")]
    Empty,
    /// The current key is not there.
    #[error("is {0:?}, and encryption.keys has no key of this name")]
    Current(String),
}

impl Keys {
    /// The keys in a text such as `k1:BASE64,k2:BASE64`. `current`: the name of the key for new data, by default the first one.
    ///
    /// # Errors
    /// The text is malformed, or has no key with the name `current`.
    pub fn read(text: &str, current: Option<&str>) -> Result<Self, InvalidKeys> {
        let mut keys: Vec<Key> = Vec::new();
        let parts =
            text.split(|between: char| between == ',' || between.is_whitespace()).filter(|part| !part.is_empty());
        for (nth, part) in parts.enumerate() {
            let key = Key::read(part).ok_or(InvalidKeys::Key(nth + 1))?;
            if keys.iter().any(|other| other.name == key.name) {
                return Err(InvalidKeys::Twice(key.name));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(InvalidKeys::Empty);
        }
        let place = |name: &str| keys.iter().position(|key| key.name == name);
        let current = match current {
            Some(name) => place(name).ok_or_else(|| InvalidKeys::Current(name.to_owned()))?,
            None => 0,
        };
        Ok(Self { keys, current })
    }

    /// Whether there is no key.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The names of the keys, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| key.name.as_str())
    }

    /// The name of the key for new data.
    #[must_use]
    pub fn current(&self) -> Option<&str> {
        self.current_key().map(|key| key.name.as_str())
    }

    /// Keyed fingerprints of the digest of a request, the fingerprint with the current key first. Without a key, a reader of a
    /// fingerprint cannot test guesses of the request.
    #[must_use]
    pub fn fingerprints(&self, digest: &[u8; 32]) -> Vec<[u8; 32]> {
        let others = self.keys.iter().filter(|key| Some(key.name.as_str()) != self.current());
        let keyed = |key: &Key| {
            // HMAC takes a key of any length, so this never fails.
            let mut mac = Hmac::<Sha256>::new_from_slice(key.secret.expose_secret()).ok()?;
            mac.update(b"leasehold request\0");
            mac.update(digest);
            Some(mac.finalize().into_bytes().into())
        };
        self.current_key().into_iter().chain(others).filter_map(keyed).collect()
    }

    pub(crate) fn current_key(&self) -> Option<&Key> {
        self.keys.get(self.current)
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

impl Key {
    fn read(text: &str) -> Option<Self> {
        let (name, secret) = text.split_once(':')?;
        let is_name = (1..=NAME_MAX_BYTES).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !is_name {
            return None;
        }
        // Some bytes more than a key has, because the decoder asks for room for whole groups.
        let mut bytes = SecretBox::new(Box::new([0_u8; KEY_BYTES + 4]));
        if STANDARD.decode_slice(secret, bytes.expose_secret_mut()).ok()? != KEY_BYTES {
            return None;
        }
        let mut secret = SecretBox::new(Box::new([0; KEY_BYTES]));
        secret.expose_secret_mut().copy_from_slice(&bytes.expose_secret()[..KEY_BYTES]);
        let digest =
            Sha256::new().chain_update(b"leasehold key print\0").chain_update(secret.expose_secret()).finalize();
        let print = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Self { name: name.to_owned(), print, secret })
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys")
            .field("names", &self.names().collect::<Vec<_>>())
            .field("current", &self.current())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8, bytes: usize) -> String {
        STANDARD.encode(vec![byte; bytes])
    }

    #[test]
    fn keys_are_read_and_debug_hides_them() {
        let text = format!("old:{},\nnew_2:{}\n", key(1, 32), key(2, 32));
        let keys = Keys::read(&text, Some("new_2")).expect("two keys");
        assert_eq!(keys.names().collect::<Vec<_>>(), ["old", "new_2"]);
        assert_eq!(keys.current(), Some("new_2"));
        assert_eq!(format!("{keys:?}"), r#"Keys { names: ["old", "new_2"], current: Some("new_2") }"#);
        assert_eq!(Keys::read(&text, None).expect("two keys").current(), Some("old"));
        assert!(Keys::default().is_empty() && Keys::default().current().is_none());
    }

    #[test]
    fn a_fingerprint_of_an_old_key_is_known_after_a_rotation() {
        let old = Keys::read(&format!("old:{}", key(1, 32)), None).expect("a key");
        let both = Keys::read(&format!("old:{},new:{}", key(1, 32), key(2, 32)), Some("new")).expect("two keys");
        let before = old.fingerprints(&[7; 32]);
        let after = both.fingerprints(&[7; 32]);
        assert_eq!((before.len(), after.len()), (1, 2));
        assert!(after[0] != before[0] && after[1] == before[0] && before[0] != [7; 32]);
        assert_ne!(old.fingerprints(&[8; 32]), before);
    }

    #[test]
    fn what_is_wrong_is_named_and_no_key_is_shown() {
        let good = key(1, 32);
        for (text, current, wrong) in [
            (String::new(), None, InvalidKeys::Empty),
            (good.clone(), None, InvalidKeys::Key(1)),
            (format!("a:{good},b:{}", key(2, 31)), None, InvalidKeys::Key(2)),
            (format!("a:{}", key(2, 33)), None, InvalidKeys::Key(1)),
            (format!("a:{}", key(2, 64)), None, InvalidKeys::Key(1)),
            (format!("a b:{good}"), None, InvalidKeys::Key(1)),
            (format!(":{good}"), None, InvalidKeys::Key(1)),
            (format!("a:{good} a:{}", key(2, 32)), None, InvalidKeys::Twice("a".into())),
            (format!("a:{good}"), Some("b"), InvalidKeys::Current("b".into())),
        ] {
            let error = Keys::read(&text, current).expect_err(&text);
            assert_eq!(error, wrong, "{text}");
            assert!(!error.to_string().contains(&good[..8]), "{error}");
        }
    }
}
