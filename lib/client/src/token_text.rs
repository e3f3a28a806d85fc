//! The text of a token: `lh_<id>_<secret>`. It is shown once, when the token is made. The database has only its SHA-256.

use leasehold_store::TokenHash;
use rand::{TryRng, rngs::SysRng};
use sha2::{Digest, Sha256};
use std::fmt;

const PREFIX: &str = "lh_";
/// The id contains no `_`, because this character ends the id.
const ID_ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
const ID_BYTES: usize = 12;
const SECRET_BYTES: usize = 32;
/// A secret in base64url.
const SECRET_TEXT_BYTES: usize = 43;

/// The text of a token that was just made.
#[derive(Clone)]
pub struct TokenText(String);

impl TokenText {
    /// The text itself. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText(…)")
    }
}

/// A new id.
///
/// # Errors
/// The operating system gives no random bytes.
pub(crate) fn new_id() -> Result<String, std::io::Error> {
    let mut bytes = [0; ID_BYTES];
    fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| char::from(ID_ALPHABET[usize::from(*byte) % ID_ALPHABET.len()])).collect())
}

/// A new secret for this id.
///
/// # Errors
/// The operating system gives no random bytes.
pub(crate) fn new_text(id: &str) -> Result<(TokenText, TokenHash), std::io::Error> {
    use base64::Engine as _;
    let mut secret = [0; SECRET_BYTES];
    fill(&mut secret)?;
    let text = format!("{PREFIX}{id}_{}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(secret));
    let hash = Sha256::digest(text.as_bytes()).into();
    Ok((TokenText(text), hash))
}

/// Random bytes from the operating system, and not from a generator of this process.
fn fill(bytes: &mut [u8]) -> Result<(), std::io::Error> {
    SysRng.try_fill_bytes(bytes).map_err(|error| std::io::Error::other(error.to_string()))
}

/// The id of a text in the form of a token, and the hash of the text. This does not check whether the token exists.
#[must_use]
pub fn read_token(text: &str) -> Option<(&str, TokenHash)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let is_token = id.len() == ID_BYTES
        && id.bytes().all(|byte| ID_ALPHABET.contains(&byte))
        && secret.len() == SECRET_TEXT_BYTES
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    is_token.then(|| (id, Sha256::digest(text.as_bytes()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_made() {
        let id = new_id().expect("random bytes");
        let (text, hash) = new_text(&id).expect("random bytes");
        assert_eq!(read_token(text.expose()), Some((id.as_str(), hash)));
        let (other, other_hash) = new_text(&id).expect("random bytes");
        assert!(text.expose() != other.expose() && hash != other_hash);
        assert!(!format!("{text:?}").contains(&id));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let secret = "A".repeat(SECRET_TEXT_BYTES);
        assert!(read_token(&format!("lh_abcdefghijkm_{secret}")).is_some());
        for text in [
            String::new(),
            "lh_".to_owned(),
            format!("lh_abc_{secret}"),
            format!("LH_abcdefghijkm_{secret}"),
            format!("lh_abcdefghijkM_{secret}"),
            format!("lh_abcdefghijkm_{secret}A"),
            format!("lh_abcdefghijkm_{}", " ".repeat(SECRET_TEXT_BYTES)),
            format!("lh_abcdefghijkm{secret}"),
        ] {
            assert!(read_token(&text).is_none(), "{text}");
        }
    }
}
