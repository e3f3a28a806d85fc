//! One connection of a client: its socket with time limits, and the claimed jobs whose answer may not have arrived.
//!
//! Hyper says that an answer was written. It cannot say that the client got the answer: the bytes may lie in a buffer of a machine
//! whose process has just died. So the server observes how the connection ends. If a client sends another request, or closes its
//! end properly, it has read all earlier answers. If a client dies, or closes its end with unread bytes, the connection is reset.
//! Then the server releases the jobs of the last answers.

use crate::{
    claim::HandedOver,
    limits::{HEAD_WITHIN, READS_WITHIN},
};
use socket2::SockRef;
use std::{
    future::Future,
    io,
    net::Shutdown,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep, sleep_until, timeout},
};

/// How many bytes one read of the socket takes.
const READ_BYTES: usize = 16 * 1024;
/// How long the server waits for the end of a connection that was told to close, before it assumes that the client has the
/// answer.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// How long to wait for a reset after the orderly end of the client's side: a dead client answers bytes with a reset.
const RESET_WITHIN: Duration = Duration::from_millis(100);
const RESET_LOOK: Duration = Duration::from_millis(10);

/// The state of a connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// A request is being handled.
    is_busy: AtomicBool,
    is_broken: AtomicBool,
    /// An answer is ready and not yet written to its end.
    is_answering: AtomicBool,
    /// The jobs of answers that the client has not confirmed.
    handed_over: Mutex<Vec<HandedOver>>,
}

impl Connection {
    /// A request has come: the client has read the answers before.
    pub(crate) fn begin_request(&self) {
        self.is_busy.store(true, Ordering::Release);
        self.take().into_iter().for_each(HandedOver::keep);
    }

    /// Whether the client has no open request, and has its last answer.
    pub(crate) fn is_idle(&self) -> bool {
        !self.is_busy.load(Ordering::Acquire) && !self.is_answering.load(Ordering::Acquire)
    }

    /// The answer to the request is ready.
    pub(crate) fn end_request(&self) {
        self.is_busy.store(false, Ordering::Release);
        self.is_answering.store(true, Ordering::Release);
    }

    /// All bytes that hyper had were written. Hyper has all bytes of an answer when the answer is ready: no answer with jobs is a stream.
    fn flushed(&self) {
        if self.is_answering.swap(false, Ordering::AcqRel) {
            self.handed_over.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(HandedOver::written);
        }
    }

    /// These jobs are in the answer that is about to be written.
    pub(crate) fn hand_over(&self, jobs: HandedOver) {
        self.handed_over.lock().unwrap_or_else(PoisonError::into_inner).push(jobs);
    }

    fn take(&self) -> Vec<HandedOver> {
        std::mem::take(&mut *self.handed_over.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The connection has ended. `was_served`: the server has not cut it. Jobs whose answer did not arrive are released.
    pub(crate) async fn end(&self, socket: &TcpStream, was_served: bool) {
        let handed_over = self.take();
        if handed_over.is_empty() {
            return;
        }
        if was_served && !self.is_broken.load(Ordering::Acquire) && ends_in_order(socket).await {
            handed_over.into_iter().for_each(HandedOver::keep);
        }
    }

    fn broke(&self, error: io::Error) -> io::Error {
        self.is_broken.store(true, Ordering::Release);
        error
    }
}

/// Whether the client closes its end without a reset. A client that leaves its end open for long counts as well.
async fn ends_in_order(socket: &TcpStream) -> bool {
    let until_end = async {
        let mut scrap = [0; 1024];
        loop {
            socket.readable().await?;
            match socket.try_read(&mut scrap) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    };
    match timeout(ENDS_WITHIN, until_end).await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => return false,
        Err(_) => return true,
    }
    let late = Instant::now() + RESET_WITHIN;
    while Instant::now() < late {
        match socket.take_error() {
            Ok(None) => sleep(RESET_LOOK).await,
            Ok(Some(_)) | Err(_) => return false,
        }
    }
    true
}

/// The socket of a connection, for hyper, or for TLS below hyper. The server keeps the socket, so that it can observe how it
/// ends.
#[derive(Debug)]
pub(crate) struct Io {
    socket: Arc<TcpStream>,
    connection: Arc<Connection>,
    /// When the head of the next request must be complete; `None` before its first byte.
    head: Option<Pin<Box<Sleep>>>,
    /// The time by which the client must have read something.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Io {
    /// A new connection: its first head is awaited from now on.
    pub(crate) fn new(socket: Arc<TcpStream>, connection: Arc<Connection>) -> Self {
        Self { socket, connection, head: Some(alarm(HEAD_WITHIN)), stalled: None }
    }

    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        if self.connection.is_busy.load(Ordering::Acquire) {
            self.head = None;
        }
        self.head.as_mut().is_some_and(|head| head.as_mut().poll(context).is_ready())
    }
}

fn alarm(after: Duration) -> Pin<Box<Sleep>> {
    Box::pin(sleep_until(Instant::now() + after))
}

fn late(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = buffer.remaining().min(READ_BYTES);
        loop {
            match this.socket.poll_read_ready(context) {
                Poll::Ready(ready) => ready.map_err(|error| this.connection.broke(error))?,
                Poll::Pending if this.is_late(context) => {
                    return Poll::Ready(Err(late("the head of the request did not come in time")));
                }
                Poll::Pending => return Poll::Pending,
            }
            match this.socket.try_read(buffer.initialize_unfilled_to(room)) {
                Ok(read) => {
                    if this.head.is_none() && !this.connection.is_busy.load(Ordering::Acquire) {
                        this.head = Some(alarm(HEAD_WITHIN));
                    }
                    buffer.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(this.connection.broke(error))),
            }
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            match this.socket.poll_write_ready(context) {
                Poll::Ready(ready) => ready.map_err(|error| this.connection.broke(error))?,
                Poll::Pending => {
                    let stalled = this.stalled.get_or_insert_with(|| alarm(READS_WITHIN));
                    ready!(stalled.as_mut().poll(context));
                    return Poll::Ready(Err(this.connection.broke(late("the client does not read the answer"))));
                }
            }
            match this.socket.try_write(bytes) {
                Ok(written) => {
                    this.stalled = None;
                    return Poll::Ready(Ok(written));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(this.connection.broke(error))),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        Poll::Ready(
            SockRef::from(&*this.socket).shutdown(Shutdown::Write).map_err(|error| this.connection.broke(error)),
        )
    }
}
