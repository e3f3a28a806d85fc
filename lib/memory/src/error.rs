//! The one error that a store in memory has of its own.

/// A call, or its answer, was lost on its way.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: the connection was lost")]
pub(crate) struct ConnectionLost {
    pub(crate) doing: &'static str,
}
