//! Why a command failed: one line that says what is wrong and what to do, and the exit code.

use leasehold::ConfigError;
use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

/// The longest message, in characters. A longer message quotes input. Its beginning identifies the input, and its end
/// says what is wrong.
const MESSAGE_MAX: usize = 600;
const BEGINNING: usize = 200;
const END: usize = 300;

/// The end of a command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// The command failed: exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: clipped(message.into()), code: 1 }
    }

    /// The command was called wrongly: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: clipped(message.into()), code: 2 }
    }

    /// Whether the command was called wrongly.
    pub(crate) const fn is_usage(&self) -> bool {
        self.code == 2
    }

    /// The same failure, followed by the state of the rest of the work.
    pub(crate) fn with(mut self, more: &str) -> Self {
        if !self.message.is_empty() {
            self.message = format!("{}; {more}", self.message);
        }
        self
    }

    /// The same failure, for a line of the input.
    pub(crate) fn at_line(mut self, number: u64) -> Self {
        self.message = format!("line {number}: {}", self.message);
        self
    }

    /// The same failure, for a job of a graph.
    pub(crate) fn of(mut self, name: &str) -> Self {
        self.message = clipped(format!("{name}: {}", self.message));
        self
    }

    /// The same message without this part.
    pub(crate) fn without(mut self, part: &str) -> Self {
        self.message = self.message.replace(part, "");
        self
    }

    /// The reader of the output has closed the pipe (`leasehold … | head`): no message.
    fn reader_gone() -> Self {
        Self { message: String::new(), code: 0 }
    }

    /// Prints the message on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            let line = self.message.replace('\n', " ");
            // Standard error may be closed. Then the message is lost.
            let _ = writeln!(io::stderr(), "error: {line}");
        }
        ExitCode::from(self.code)
    }
}

/// The message. A message that is too long loses its middle.
fn clipped(message: String) -> String {
    let characters = message.chars().count();
    if characters <= MESSAGE_MAX {
        return message;
    }
    let beginning: String = message.chars().take(BEGINNING).collect();
    let end: String = message.chars().skip(characters - END).collect();
    format!("{beginning} … ({} characters are left out) … {end}", characters - BEGINNING - END)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe { Self::reader_gone() } else { Self::new(error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        let long = format!("begin {} end", "é".repeat(200_000));
        let failure = Failure::usage(long).at_line(7).with("nothing was accepted");
        let said = failure.to_string();
        assert!(said.starts_with("line 7: begin é") && said.ends_with("é end; nothing was accepted"), "{said}");
        assert!(said.contains("(199510 characters are left out)") && said.chars().count() < 700, "{said}");
        assert_eq!(Failure::new("short").to_string(), "short");
    }
}
