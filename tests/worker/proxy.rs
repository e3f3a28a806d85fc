//! A way to PostgreSQL on which an answer can be lost: the statement is done, and nobody hears of it.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// Passes everything on, but loses the answers to statements with a certain text in them.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    to_lose: Arc<AtomicU32>,
}

impl Proxy {
    /// Loses the answers to the first `count` statements that contain `text`, each with its connection.
    pub(crate) async fn start(server_port: u16, text: &'static str, count: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let to_lose = Arc::new(AtomicU32::new(count));
        let left = Arc::clone(&to_lose);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", server_port)).await.expect("PostgreSQL");
                tokio::spawn(pass(client, server, text, Arc::clone(&left)));
            }
        });
        Self { port, to_lose }
    }

    /// How many answers are still to be lost.
    pub(crate) fn left(&self) -> u32 {
        self.to_lose.load(SeqCst)
    }
}

/// What the server says when a statement that inserts is done.
const WRITTEN: &[u8] = b"INSERT 0 ";

async fn pass(mut client: TcpStream, mut server: TcpStream, text: &str, left: Arc<AtomicU32>) {
    let (mut asked, mut said) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut parsed = false;
    loop {
        tokio::select! {
            count = client.read(&mut asked) => match count {
                Ok(count) if count > 0 => {
                    // A statement is parsed in one message and run in a later one, or in the same.
                    parsed |= asked[..count].windows(text.len()).any(|window| window == text.as_bytes());
                    if server.write_all(&asked[..count]).await.is_err() { return }
                }
                _ => return,
            },
            count = server.read(&mut said) => match count {
                Ok(count) if count > 0 => {
                    let written = said[..count].windows(WRITTEN.len()).any(|window| window == WRITTEN);
                    if parsed && written && left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok() {
                        return;
                    }
                    if client.write_all(&said[..count]).await.is_err() { return }
                }
                _ => return,
            },
        }
    }
}
