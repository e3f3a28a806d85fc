//! Reads the output of a command and keeps a limited part of it.

use leasehold_core::{ERROR_MAX_BYTES, RESULT_MAX_BYTES};
use serde_json::value::{RawValue, to_raw_value};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The limit of standard output: a result of the full size, and the line break that most commands print last.
const STDOUT_MAX_BYTES: usize = RESULT_MAX_BYTES + 1;
const CHUNK_BYTES: usize = 16 * 1024;

/// Reads standard output to its end. Returns whether the limit was exceeded; the rest is then not read.
pub(crate) async fn read_all(mut from: impl AsyncRead + Unpin, into: &mut Vec<u8>) -> bool {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        // A pipe that cannot be read counts as closed.
        let count = from.read(&mut chunk).await.unwrap_or(0);
        if count == 0 {
            return false;
        }
        into.extend_from_slice(&chunk[..count]);
        if into.len() > STDOUT_MAX_BYTES {
            return true;
        }
    }
}

/// Reads standard error to its end. Keeps at least the last [`ERROR_MAX_BYTES`], and at most twice as much and a chunk.
pub(crate) async fn read_end(mut from: impl AsyncRead + Unpin, into: &mut Vec<u8>) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let count = from.read(&mut chunk).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        into.extend_from_slice(&chunk[..count]);
        if into.len() > 2 * ERROR_MAX_BYTES {
            into.drain(..into.len() - ERROR_MAX_BYTES);
        }
    }
}

/// The last [`ERROR_MAX_BYTES`] of the text, without the line break at the end. Bytes that are not UTF-8, and NUL,
/// which PostgreSQL cannot store in a text, become U+FFFD.
pub(crate) fn end_of(stderr: &[u8]) -> String {
    let end = &stderr[stderr.len().saturating_sub(ERROR_MAX_BYTES)..];
    // The cut may split a character. Its last bytes would be shown as a broken character.
    let broken = end.iter().take(3).take_while(|byte| end.len() < stderr.len() && **byte & 0xC0 == 0x80).count();
    String::from_utf8_lossy(&end[broken..]).trim_end().replace('\0', "\u{FFFD}")
}

/// The result: JSON if the text is exactly one JSON value, else a string.
///
/// # Errors
/// Why the text cannot be a result.
pub(crate) fn result_of(stdout: Vec<u8>) -> Result<Option<Box<RawValue>>, String> {
    if stdout.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8(stdout).unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned());
    let result = match serde_json::from_str::<Box<RawValue>>(&text) {
        Ok(json) => json,
        Err(_) => to_raw_value(&text).map_err(|error| format!("standard output cannot be a result: {error}"))?,
    };
    let bytes = result.get().len();
    if bytes > RESULT_MAX_BYTES {
        return Err(format!(
            "standard output is {bytes} bytes long as JSON; at most {RESULT_MAX_BYTES} are allowed for a result"
        ));
    }
    Ok(Some(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(stdout: &[u8]) -> Option<String> {
        result_of(stdout.to_vec()).expect("within bounds").map(|json| json.get().to_owned())
    }

    #[test]
    fn standard_output_is_json_where_it_parses_and_else_a_string() {
        for (stdout, json) in [
            (&b"{\"a\": [1,  2]}\n"[..], "{\"a\": [1,  2]}"),
            (b" 42 \n", "42"),
            (b"null", "null"),
            (b"two words\n", r#""two words\n""#),
            (b"{\"a\":1}\n{\"a\":2}\n", r#""{\"a\":1}\n{\"a\":2}\n""#),
            (b"nul \0 here", r#""nul \u0000 here""#),
            (b"caf\xe9", "\"caf\u{FFFD}\""),
            (b"\n", r#""\n""#),
        ] {
            assert_eq!(result(stdout).as_deref(), Some(json));
        }
        assert_eq!(result(b""), None);
    }

    #[test]
    fn a_result_is_bounded_as_the_json_that_it_becomes() {
        assert!(result(&vec![b'x'; RESULT_MAX_BYTES - 2]).is_some());
        let error = result_of(vec![b'x'; RESULT_MAX_BYTES - 1]).expect_err("two quotes too many");
        assert!(error.contains("1048577 bytes"), "{error}");
        assert!(result_of(vec![0; RESULT_MAX_BYTES / 3]).is_err(), "each NUL becomes six characters");
        let mut json = vec![b' '; RESULT_MAX_BYTES];
        json[0] = b'1';
        assert_eq!(result(&json).as_deref(), Some("1"), "blanks around a value are not part of it");
    }

    #[tokio::test]
    async fn standard_error_keeps_its_end() {
        let written = format!("{}the end", "é\n".repeat(100_000));
        let mut kept = Vec::new();
        read_end(written.as_bytes(), &mut kept).await;
        assert!(kept.len() <= 2 * ERROR_MAX_BYTES + CHUNK_BYTES);
        let text = end_of(&kept);
        assert!(text.len() <= ERROR_MAX_BYTES && text.ends_with("é\nthe end") && !text.contains('\u{FFFD}'));
        assert_eq!(end_of(b"short\n\n"), "short");
        assert_eq!(end_of(b"nul \0, latin \xe9, half \xc3"), "nul \u{FFFD}, latin \u{FFFD}, half \u{FFFD}");
    }
}
