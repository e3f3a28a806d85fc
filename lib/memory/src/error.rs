//! The one error of the stores in memory.

/// The call, or its answer, was lost on its way.
#[derive(Debug, thiserror::Error)]
#[error("{doing}: the connection was lost")]
pub(crate) struct ConnectionLost {
    pub(crate) doing: &'static str,
}
