//! Why a request to the API server failed.

use std::{io, path::PathBuf, time::Duration};

/// A request that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Kubernetes sets these variables in each container.
    #[error("this process does not run in a pod: the variable {0} is not set")]
    NotInPod(&'static str),
    /// The pod has no token, or the other files of the token are missing.
    #[error("cannot read {}: {reason}; does the pod have a token (automountServiceAccountToken)?", .path.display())]
    Account {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No server accepts the connection.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, io::Error),
    /// The other end has no certificate of the authority of the cluster.
    #[error("the TLS handshake with {0} failed: {1}")]
    Tls(String, io::Error),
    /// It took too long.
    #[error("{0} did not answer within {within} s", within = .1.as_secs())]
    Late(String, Duration),
    /// The connection broke, or the other end does not speak HTTP.
    #[error("{0} gave no answer: {1}")]
    NoAnswer(String, String),
    /// The API server refused the request.
    #[error("it refused to {doing} with status {status}: {message}")]
    Refused {
        /// The request.
        doing: &'static str,
        /// The status.
        status: u16,
        /// The message of the API server.
        message: String,
        /// For how long the API server wants no request.
        retry_after: Option<Duration>,
    },
    /// The answer does not have the form that the API promises.
    #[error("its answer cannot be read: {0}")]
    Answer(String),
}

impl Error {
    /// For how long the API server wants no request.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// The API server has more requests than it can serve. Any other process would be refused too.
    #[must_use]
    pub const fn is_throttled(&self) -> bool {
        matches!(self, Self::Refused { status: 429, .. })
    }
}
