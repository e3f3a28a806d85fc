//! Why a command failed: one line that says what is wrong and what to do, and the exit code.

use leasehold::ConfigError;
use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

/// The end of a command that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// It failed: exit code 1.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 1 }
    }

    /// It was asked for something that makes no sense: exit code 2.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: 2 }
    }

    /// Whether it was asked for something that makes no sense.
    pub(crate) const fn is_usage(&self) -> bool {
        self.code == 2
    }

    /// The same with what has become of the rest.
    pub(crate) fn with(mut self, more: &str) -> Self {
        if !self.message.is_empty() {
            self.message = format!("{}; {more}", self.message);
        }
        self
    }

    /// The same about a line of the input.
    pub(crate) fn at_line(mut self, number: u64) -> Self {
        self.message = format!("line {number}: {}", self.message);
        self
    }

    /// Whoever read our output has gone (`leasehold … | head`): not worth a word.
    fn reader_gone() -> Self {
        Self { message: String::new(), code: 0 }
    }

    /// Says it on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        if !self.message.is_empty() {
            let line = self.message.replace('\n', " ");
            // Nobody can be told when standard error is closed.
            let _ = writeln!(io::stderr(), "error: {line}");
        }
        ExitCode::from(self.code)
    }
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
