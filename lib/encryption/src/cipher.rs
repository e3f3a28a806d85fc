//! Encrypts with XChaCha20-Poly1305, and decrypts. The associated data of a value is its place, so a copy of the value in another
//! place cannot be decrypted.

use crate::{
    form::{Encrypted, Owner},
    keys::Keys,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use leasehold_core::{JobId, Kind};
use secrecy::ExposeSecret;

const NONCE_BYTES: usize = 24;

/// The field that an encrypted value belongs to. The value cannot be decrypted for another field.
#[derive(Clone, Debug)]
pub enum BoundTo<'a> {
    /// The payload. It is also bound to the kind, so that it cannot be given to another handler.
    Payload(Owner, &'a Kind),
    /// The result of a job.
    Result(JobId),
}

impl BoundTo<'_> {
    fn owner(&self) -> Owner {
        match self {
            Self::Payload(owner, _) => owner.clone(),
            Self::Result(id) => Owner::Job(*id),
        }
    }

    /// The associated data. No name has a line end, so no two places have the same text.
    fn text(&self) -> String {
        match self {
            Self::Payload(owner, kind) => format!("leasehold 1\npayload\n{owner}\n{kind}"),
            Self::Result(id) => format!("leasehold 1\nresult\n{}", Owner::Job(*id)),
        }
    }
}

/// Why a value cannot be decrypted. Each text is the end of a sentence that begins with the name of the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CannotDecrypt {
    /// The process has no key of this name.
    #[error("is encrypted with key {0}, which this process does not have")]
    NoKey(String),
    /// The process has another key of this name.
    #[error("is encrypted with another key {0} than this process has")]
    OtherKey(String),
    /// A later version has encrypted it.
    #[error("is encrypted in a form that this version does not know")]
    Form,
    /// The value was changed, or it belongs to another job.
    #[error("cannot be decrypted with key {0}: it was changed, or it was copied from another job")]
    Damaged(String),
}

impl CannotDecrypt {
    /// Whether another process may be able to decrypt the value.
    #[must_use]
    pub const fn is_lack(&self) -> bool {
        !matches!(self, Self::Damaged(_))
    }
}

impl Keys {
    /// Encrypts JSON with the current key. `None`: there is no key.
    #[must_use]
    pub fn encrypt(&self, place: &BoundTo<'_>, json: &str) -> Option<String> {
        let key = self.current_key()?;
        // 24 random bytes: even among very many values, no two get the same nonce.
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let text = place.text();
        let cipher = XChaCha20Poly1305::new_from_slice(key.secret.expose_secret()).ok()?;
        let payload = Payload { msg: json.as_bytes(), aad: text.as_bytes() };
        let data = cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let (nonce, data) = (STANDARD.encode(nonce), STANDARD.encode(data));
        Some(Encrypted::json(&key.name, &key.print, &place.owner(), nonce, data))
    }

    /// Decrypts a value that is [`Encrypted`].
    ///
    /// # Errors
    /// The key is missing, or the value does not belong to this place.
    pub fn decrypt(&self, place: &BoundTo<'_>, json: &str) -> Result<String, CannotDecrypt> {
        let value = Encrypted::read(json).ok_or(CannotDecrypt::Form)?;
        let name = || value.key.clone().into_owned();
        let key = self.find(&value.key).ok_or_else(|| CannotDecrypt::NoKey(name()))?;
        if key.print != value.print {
            return Err(CannotDecrypt::OtherKey(name()));
        }
        let decrypted = || {
            let nonce: [u8; NONCE_BYTES] = STANDARD.decode(&*value.nonce).ok()?.try_into().ok()?;
            let data = STANDARD.decode(&*value.data).ok()?;
            let text = place.text();
            let cipher = XChaCha20Poly1305::new_from_slice(key.secret.expose_secret()).ok()?;
            let payload = Payload { msg: &data, aad: text.as_bytes() };
            let bytes = cipher.decrypt(&XNonce::from(nonce), payload).ok()?;
            String::from_utf8(bytes).ok()
        };
        decrypted().ok_or_else(|| CannotDecrypt::Damaged(name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::{PAYLOAD_MAX_BYTES, PLAIN_MAX_BYTES, is_reserved};

    fn keys(list: &[(&str, u8)]) -> Keys {
        let list: Vec<String> =
            list.iter().map(|(name, byte)| format!("{name}:{}", STANDARD.encode([*byte; 32]))).collect();
        Keys::read(&list.join(","), None).expect("keys")
    }

    fn kind(name: &str) -> Kind {
        name.parse().expect("a name")
    }

    #[test]
    fn a_value_can_be_decrypted_in_its_own_place_only() {
        let keys = keys(&[("k1", 7)]);
        let (id, mail) = (JobId::new(), kind("mail"));
        let nightly = || Owner::Schedule("nightly".parse().expect("a name"));
        let places = [
            BoundTo::Payload(Owner::Job(id), &mail),
            BoundTo::Payload(Owner::Job(id), &kind("sms")),
            BoundTo::Payload(Owner::Job(JobId::new()), &mail),
            BoundTo::Payload(nightly(), &mail),
            BoundTo::Result(id),
            BoundTo::Result(JobId::new()),
        ];
        for (nth, place) in places.iter().enumerate() {
            let value = keys.encrypt(place, r#"{"card": "4111"}"#).expect("a key");
            assert!(Encrypted::is(&value) && is_reserved(&value) && !value.contains("4111"), "{value}");
            assert_eq!(Encrypted::key_of(&value).as_deref(), Some("k1"));
            assert_eq!(Encrypted::owner_of(&value), Some(place.owner()));
            for (other, there) in places.iter().enumerate() {
                let read = keys.decrypt(there, &value);
                match nth == other {
                    true => assert_eq!(read.as_deref(), Ok(r#"{"card": "4111"}"#)),
                    false => assert_eq!(read, Err(CannotDecrypt::Damaged("k1".into())), "{place:?} in {there:?}"),
                }
            }
        }
    }

    #[test]
    fn each_value_has_its_own_nonce() {
        let (keys, place) = (keys(&[("k1", 7)]), BoundTo::Result(JobId::new()));
        assert_ne!(keys.encrypt(&place, "1"), keys.encrypt(&place, "1"));
        assert_eq!(Keys::default().encrypt(&place, "1"), None);
    }

    #[test]
    fn an_old_key_decrypts_as_long_as_it_is_there() {
        let place = BoundTo::Result(JobId::new());
        let old = keys(&[("k1", 7)]).encrypt(&place, "1").expect("a key");
        assert_eq!(keys(&[("k2", 8), ("k1", 7)]).decrypt(&place, &old).as_deref(), Ok("1"));
        let missing = keys(&[("k2", 8)]).decrypt(&place, &old).expect_err("no key");
        assert_eq!(missing.to_string(), "is encrypted with key k1, which this process does not have");
        let other = keys(&[("k1", 9)]).decrypt(&place, &old).expect_err("another key");
        assert_eq!(other.to_string(), "is encrypted with another key k1 than this process has");
        assert!(missing.is_lack() && other.is_lack());
    }

    #[test]
    fn no_part_of_a_value_can_be_changed() {
        let (keys, place) = (keys(&[("k1", 7)]), BoundTo::Result(JobId::new()));
        let value = keys.encrypt(&place, r#"{"a":1}"#).expect("a key");
        for at in 0..value.len() {
            let mut bytes = value.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("text");
            // `of` only says where the value belongs: the place decides.
            let is_owner = value.find("job:").is_some_and(|of| (of..of + 40).contains(&at));
            assert!(is_owner || keys.decrypt(&place, &changed).is_err(), "byte {at}: {changed}");
        }
        for shorter in [value.replacen("\"data\":\"", "\"data\":\"AAAA", 1), value.replacen("\"v\":1", "\"v\":2", 1)] {
            assert!(keys.decrypt(&place, &shorter).is_err(), "{shorter}");
        }
    }

    #[test]
    fn the_longest_value_fits_into_its_column() {
        let keys = Keys::read(&format!("{}:{}", "k".repeat(32), STANDARD.encode([7; 32])), None).expect("a key");
        let longest = "s".repeat(128).parse().expect("a name");
        let json = format!("\"{}\"", "x".repeat(PLAIN_MAX_BYTES - 2));
        let value = keys.encrypt(&BoundTo::Payload(Owner::Schedule(longest), &kind("k")), &json).expect("a key");
        assert!(value.len() <= PAYLOAD_MAX_BYTES, "{}", value.len());
    }
}
