//! A proxy that simulates every fault of a network.
//!
//! The proxy is between processes and a store. Normally it passes all bytes on. It can delay connections, stall them,
//! silence them for ever, cut them, refuse them, and lose them at a chosen byte or at a chosen answer: then the
//! statement was executed, but its answer is lost.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

/// The state of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkState {
    /// All data passes.
    Open,
    /// All data passes, each piece after this delay.
    Slow(Duration),
    /// Connections stay open and new ones are accepted, but no data passes until the state changes. Then all of it
    /// passes.
    Stalled,
    /// The same, but data that is sent is lost, and connections from this time never carry data again: the other end
    /// has silently gone.
    Silent,
    /// Connections are cut, new ones too.
    Shut,
}

/// The end that sends bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The process that connected.
    Client,
    /// The server.
    Server,
}

/// A proxy to one server on loopback. A drop ends it and all its connections.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    server_port: u16,
    state: watch::Sender<LinkState>,
    armed: Mutex<ArmedFaults>,
    /// The number of the newest connection.
    newest: AtomicU64,
    /// Connections up to this number are silent for ever.
    silent_up_to: AtomicU64,
    /// The number of connections that were cut by a trap.
    cuts: AtomicU64,
    /// Cancelled to cut all current connections.
    all: Mutex<CancellationToken>,
}

/// Faults that wait for their trigger.
#[derive(Debug, Default)]
struct ArmedFaults {
    /// After this many more bytes from this end, the connection that carries the last of these bytes is cut.
    after: Option<(End, usize)>,
    lose: Option<LostAnswers>,
}

/// Answers to lose.
#[derive(Clone, Copy, Debug)]
struct LostAnswers {
    asked: &'static str,
    answered: &'static str,
    left: u32,
}

/// One connection through the proxy, shared by its two directions.
struct ProxiedConnection {
    shared: Arc<Shared>,
    number: u64,
    /// The statement whose answer will be lost was sent on this connection.
    asked: AtomicBool,
    over: CancellationToken,
}

impl Proxy {
    /// Starts a proxy to the server at this port of 127.0.0.1.
    ///
    /// # Panics
    /// No port is free.
    pub async fn start(server_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let shared = Arc::new(Shared {
            server_port,
            state: watch::Sender::new(LinkState::Open),
            armed: Mutex::default(),
            newest: AtomicU64::new(0),
            silent_up_to: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            all: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, accepting }
    }

    /// A URL of the server, changed so that it leads through this proxy.
    ///
    /// # Panics
    /// The URL does not contain the server's port.
    #[must_use]
    pub fn instead_of(&self, url: &str) -> String {
        let by_proxy = url.replace(&format!(":{}/", self.shared.server_port), &format!(":{}/", self.port));
        assert_ne!(by_proxy, url, "the URL must contain the port {}", self.shared.server_port);
        by_proxy
    }

    /// Changes the state of the link, for existing and for new connections.
    pub fn set(&self, state: LinkState) {
        if *self.shared.state.borrow() == LinkState::Silent {
            self.shared.silent_up_to.store(self.shared.newest.load(SeqCst), SeqCst);
        }
        self.shared.state.send_replace(state);
        if state == LinkState::Shut {
            self.cut_all();
        }
    }

    /// Cuts every connection.
    pub fn cut_all(&self) {
        let mut all = self.shared.all.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *all).cancel();
    }

    /// Passes this many more bytes from this end, counted over all connections. Then cuts the connection that carries
    /// the last of these bytes: in the middle of a statement or of an answer.
    pub fn cut_after(&self, from: End, bytes: usize) {
        self.shared.armed().after = Some((from, bytes));
    }

    /// Loses the next `count` answers that contain `answered`, on connections on which `asked` was ever sent (a
    /// statement is parsed once and run often). The connection is cut instead.
    pub fn lose_answers(&self, asked: &'static str, answered: &'static str, count: u32) {
        self.shared.armed().lose = Some(LostAnswers { asked, answered, left: count });
    }

    /// How many answers are still to be lost.
    #[must_use]
    pub fn answers_left(&self) -> u32 {
        self.shared.armed().lose.map_or(0, |loss| loss.left)
    }

    /// How many connections were accepted, including those that never reached the server.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.shared.newest.load(SeqCst)
    }

    /// How many connections a trap has cut.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut_all();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        let number = shared.newest.fetch_add(1, SeqCst) + 1;
        if *shared.state.borrow() == LinkState::Shut {
            continue;
        }
        let over = shared.all.lock().unwrap_or_else(PoisonError::into_inner).child_token();
        let connection = ProxiedConnection { shared: Arc::clone(&shared), number, asked: AtomicBool::new(false), over };
        tokio::spawn(async move {
            // If the server does not run, the client learns it from the end of its connection.
            if let Ok(server) = TcpStream::connect(("127.0.0.1", connection.shared.server_port)).await {
                pass(client, server, Arc::new(connection)).await;
            }
        });
    }
}

async fn pass(client: TcpStream, server: TcpStream, connection: Arc<ProxiedConnection>) {
    let (_, _) = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let there = tokio::spawn(carry(from_client, to_server, End::Client, Arc::clone(&connection)));
    carry(from_server, to_client, End::Server, connection).await;
    let _ = there.await;
}

/// Carries one direction until either end closes.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, end: End, connection: Arc<ProxiedConnection>) {
    let over = connection.over.clone();
    let _ends_both = over.clone().drop_guard();
    let mut buffer = vec![0; 1 << 16];
    let carrying = async {
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            if !connection.may_pass().await {
                continue;
            }
            let piece = &buffer[..count];
            let passes = connection.passing_bytes(end, piece);
            let whole = passes == count;
            if passes > 0 && to.write_all(&piece[..passes]).await.is_err() || !whole {
                return;
            }
        }
    };
    tokio::select! {
        () = carrying => {}
        () = over.cancelled() => {}
    }
}

impl ProxiedConnection {
    /// Waits until the state of the link lets data pass. Returns false if the data is lost.
    async fn may_pass(&self) -> bool {
        let mut state = self.shared.state.subscribe();
        loop {
            if self.number <= self.shared.silent_up_to.load(SeqCst) {
                return false;
            }
            let now = *state.borrow_and_update();
            match now {
                LinkState::Open => return true,
                LinkState::Slow(delay) => {
                    tokio::time::sleep(delay).await;
                    return true;
                }
                LinkState::Silent | LinkState::Shut => return false,
                LinkState::Stalled => {
                    if state.changed().await.is_err() {
                        return false;
                    }
                }
            }
        }
    }

    /// How many bytes of this piece pass. If not all pass, the connection is cut and the rest is lost.
    fn passing_bytes(&self, end: End, piece: &[u8]) -> usize {
        let mut armed = self.shared.armed();
        if let Some(loss) = &mut armed.lose {
            if end == End::Client && contains(piece, loss.asked) {
                self.asked.store(true, SeqCst);
            }
            if end == End::Server && loss.left > 0 && self.asked.load(SeqCst) && contains(piece, loss.answered) {
                loss.left -= 1;
                self.shared.cuts.fetch_add(1, SeqCst);
                return 0;
            }
        }
        match &mut armed.after {
            Some((from, left)) if *from == end && *left < piece.len() => {
                let passes = *left;
                armed.after = None;
                self.shared.cuts.fetch_add(1, SeqCst);
                passes
            }
            Some((from, left)) if *from == end => {
                *left -= piece.len();
                piece.len()
            }
            _ => piece.len(),
        }
    }
}

impl Shared {
    fn armed(&self) -> MutexGuard<'_, ArmedFaults> {
        self.armed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn contains(piece: &[u8], text: &str) -> bool {
    piece.windows(text.len()).any(|window| window == text.as_bytes())
}
