//! The parents of a job, as a file for its command. The environment of a process is too small for results.

use crate::run::Run;
use std::{
    env,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A file that only this user can read. It is removed when the run has ended.
#[derive(Debug)]
pub(crate) struct ParentsFile(PathBuf);

impl ParentsFile {
    /// Writes the file; `None` if the job has no parents. `name` is unique to the run.
    pub(crate) async fn write(run: &Run, name: &str) -> Result<Option<Self>, ParentsFileError> {
        if !run.job().has_parents {
            return Ok(None);
        }
        let parents = run.parents().await.map_err(|error| ParentsFileError::Unread(error.to_string()))?;
        let path = env::temp_dir().join(format!("leasehold-parents-{name}.json"));
        let text = serde_json::to_vec(&parents).map_err(io::Error::from)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        // From here on the file is removed, also after an error.
        let made = Self(path);
        file.write_all(&text)?;
        Ok(Some(made))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ParentsFile {
    fn drop(&mut self) {
        // The command may have removed or moved the file.
        let _ = fs::remove_file(&self.0);
    }
}

/// Why there is no file. The job is not at fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ParentsFileError {
    /// PostgreSQL cannot be asked.
    #[error("{0}")]
    Unread(String),
    /// The file cannot be written.
    #[error("a file for the parents of the job: {0}")]
    Unwritten(#[from] io::Error),
}
