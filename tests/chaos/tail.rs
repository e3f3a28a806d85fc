//! Reads the handlers' log while it grows. Each line is read once.

use leasehold_tests::LogLine;
use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

/// The lines that were read so far, and the offset of the next line.
pub(crate) struct Tail {
    path: PathBuf,
    offset: u64,
    lines: Vec<LogLine>,
}

impl Tail {
    pub(crate) fn of(path: PathBuf) -> Self {
        Self { path, offset: 0, lines: Vec::new() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Every line that is in the file now.
    pub(crate) fn lines(&mut self) -> &[LogLine] {
        // The file does not exist before the first job.
        let _ = self.read_on();
        &self.lines
    }

    fn read_on(&mut self) -> std::io::Result<()> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut new = Vec::new();
        file.read_to_end(&mut new)?;
        // An incomplete last line is left for the next read.
        let whole = new.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        self.offset += whole as u64;
        self.lines.extend(new[..whole].split(|byte| *byte == b'\n').filter_map(LogLine::of));
        Ok(())
    }
}
