//! Reads a line from its front, in one call.

use leasehold_core::QueueName;
use leasehold_ports::{Error, Kinds, Line, ReadLine, Stretch};

/// The first `limit` ids of a queue's line, of these kinds.
///
/// # Errors
/// That a statement failed.
pub async fn front(store: &dyn ReadLine, queue: &QueueName, kinds: &Kinds, limit: i64) -> Result<Line, Error> {
    let lines = store.survey(Some(queue)).await?.lines;
    let is_asked_for = |stretch: &Stretch| kinds.include(&stretch.kind);
    let stretches: Vec<Stretch> = lines.into_iter().flat_map(|line| line.stretches).filter(is_asked_for).collect();
    Ok(store.line(queue, &stretches, limit).await?.0)
}
