//! The events of one client, as the body of an answer.

use super::{
    hub::{Hub, Watched, Watching},
    ring::Event,
};
use crate::{api::Api, auth::Caller};
use bytes::Bytes;
use futures_util::{Stream, stream};
use leasehold_core::Access;
use std::{convert::Infallible, fmt::Write, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// How often a client gets at least a comment line, so that the client and the proxies know that the server is alive.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often the token is checked again.
const CHECK_EVERY: Duration = Duration::from_secs(2);
/// When a client reconnects.
const RECONNECT_MS: u64 = 2_000;
/// Events that are written in one piece.
const AT_ONCE: usize = 256;

/// A client that reads events.
pub(super) struct Reader {
    pub(super) api: Api,
    pub(super) hub: Arc<Hub>,
    pub(super) caller: Caller,
    pub(super) watched: Watched,
    pub(super) position: u64,
    pub(super) news: watch::Receiver<u64>,
    /// The first messages for the client.
    pub(super) first: Vec<Event>,
    pub(super) _watching: Watching,
}

impl Reader {
    /// The body. It ends when the server stops, or when the token is not valid any more.
    pub(super) fn body(self) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
        let begun = Instant::now();
        let state = State { reader: self, is_begun: false, beat_at: begun + HEARTBEAT, check_at: begun + CHECK_EVERY };
        stream::unfold(state, |mut state| async move {
            let text = state.next().await?;
            Some((Ok(Bytes::from(text)), state))
        })
    }

    /// Whether the client wants the event, and may see it.
    fn is_for(&self, event: &Event) -> bool {
        let Some(queue) = &event.queue else { return true };
        self.watched.queue.as_ref().is_none_or(|watched| watched.as_str() == queue)
            && self.watched.job.is_none_or(|watched| event.job == Some(watched))
            && self.caller.needs(Access::Read, queue).is_ok()
    }

    /// The events since the last call, as text. Empty: there is none for this client.
    fn read(&mut self) -> String {
        let part = self.hub.ring.read(self.position, AT_ONCE);
        self.position = part.next;
        let mut text = String::new();
        if part.has_gap {
            // The client reads more slowly than events come.
            let before = part.events.first().map_or(part.next, |(nth, _)| *nth);
            write_event(&mut text, &self.hub.ring.id_before(before), &Event::resync("slow"));
        }
        for (nth, event) in part.events.iter().filter(|(_, event)| self.is_for(event)) {
            write_event(&mut text, &self.hub.ring.id(*nth), event);
        }
        text
    }
}

struct State {
    reader: Reader,
    is_begun: bool,
    beat_at: Instant,
    check_at: Instant,
}

impl State {
    /// The next piece of the body; `None`: the end.
    async fn next(&mut self) -> Option<String> {
        if !std::mem::replace(&mut self.is_begun, true) {
            return Some(self.begin());
        }
        let api = self.reader.api.clone();
        loop {
            let text = self.reader.read();
            if !text.is_empty() {
                return Some(text);
            }
            let position = self.reader.position;
            let news = &mut self.reader.news;
            let has_news = async move { news.wait_for(|next| *next > position).await.is_ok() };
            tokio::select! {
                biased;
                () = api.stopping() => return None,
                is_open = has_news => if !is_open { return None },
                () = sleep_until(self.check_at) => {
                    self.check_at = Instant::now() + CHECK_EVERY;
                    api.auth().check_again(&self.reader.caller).await.ok()?;
                }
                () = sleep_until(self.beat_at) => {
                    self.beat_at = Instant::now() + HEARTBEAT;
                    return Some(self.beat());
                }
            }
        }
    }

    /// The first piece: when to reconnect, and where this client is.
    fn begin(&mut self) -> String {
        let id = self.reader.hub.ring.id_before(self.reader.position);
        let mut text = format!("retry: {RECONNECT_MS}\nid: {id}\n\n");
        for event in std::mem::take(&mut self.reader.first) {
            write_event(&mut text, &id, &event);
        }
        text
    }

    /// A comment; and the id of the latest event, also if that was not for this client. So the client misses no event when it
    /// reconnects late.
    fn beat(&self) -> String {
        format!(":\nid: {}\n\n", self.reader.hub.ring.id_before(self.reader.position))
    }
}

fn write_event(text: &mut String, id: &str, event: &Event) {
    // Writing to a String cannot fail.
    let _ = write!(text, "id: {id}\nevent: {}\ndata: {}\n\n", event.name, event.data);
}
