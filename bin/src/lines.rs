//! Reads input line by line, and checks that each line is text that PostgreSQL can store.

use crate::failure::Failure;
use leasehold_core::PAYLOAD_MAX_BYTES;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

/// The longest line, in bytes: a payload of the maximum length, and room for the other fields.
const LINE_MAX_BYTES: u64 = PAYLOAD_MAX_BYTES as u64 + 64 * 1024;

/// Lines of a file or of standard input.
pub(crate) struct Lines {
    input: Box<dyn BufRead + Send>,
    number: u64,
}

impl Lines {
    /// Lines of standard input, or of a file. `-` is standard input.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let input: Box<dyn BufRead + Send> = match path {
            Some(path) if path != Path::new("-") => {
                let file = File::open(path)
                    .map_err(|error| Failure::usage(format!("cannot read {}: {error}", path.display())))?;
                Box::new(BufReader::with_capacity(1 << 16, file))
            }
            _ => Box::new(BufReader::with_capacity(1 << 16, io::stdin())),
        };
        Ok(Self { input, number: 0 })
    }

    /// The next line without its line break, and its number; the first line is number 1.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, String)>, Failure> {
        let mut bytes = Vec::new();
        let number = self.number + 1;
        let wrong = |problem: String| Failure::usage(format!("line {number} {problem}"));
        let read = (&mut self.input)
            .take(LINE_MAX_BYTES + 1)
            .read_until(b'\n', &mut bytes)
            .map_err(|error| Failure::new(format!("cannot read line {number}: {error}")))?;
        if read == 0 {
            return Ok(None);
        }
        self.number = number;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
        if bytes.len() as u64 > LINE_MAX_BYTES {
            return Err(wrong(format!("is longer than {LINE_MAX_BYTES} bytes")));
        }
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(wrong(format!("has a NUL byte at byte {}", at + 1)));
        }
        match String::from_utf8(bytes) {
            Ok(line) => Ok(Some((number, line))),
            Err(error) => {
                Err(wrong(format!("is not UTF-8: the first bad byte is byte {}", error.utf8_error().valid_up_to() + 1)))
            }
        }
    }
}
