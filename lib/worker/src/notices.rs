//! Hears what is said over Redis. It only makes things quicker: whatever a notice says is found out without it too.

use crate::{member::Member, run::StopReason};
use leasehold_core::Fence;
use leasehold_handoff::Notice;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Listens until `done`.
pub(crate) async fn hear(member: Arc<Member>, done: CancellationToken) {
    let mut notices = member.handoff.listen();
    loop {
        let notice = tokio::select! {
            biased;
            () = done.cancelled() => return,
            notice = notices.recv() => notice,
        };
        match notice {
            Some(Notice::Cancel { id, epoch, worker }) => {
                member.runs.tell(Fence { id, epoch, worker }, StopReason::Cancelled);
            }
            Some(Notice::Aside { queue, kind }) => {
                if let Some(poke) = member.pokes.get(&queue).filter(|_| member.handlers.serves(&kind)) {
                    // Keeps one poke for a loop that is busy just now.
                    poke.notify_one();
                }
            }
            None => return,
        }
    }
}
