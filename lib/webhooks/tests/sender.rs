//! The sender against real sockets: hostile answers, slow answers, and names that change.

use async_trait::async_trait;
use leasehold_webhooks::{ANSWER_MAX_BYTES, Message, Networks, Resolve, Secret, SendError, Sender, Target};
use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn loopback() -> Networks {
    "127.0.0.0/8".parse().expect("networks")
}

/// A server that does this with each connection, after the head of the request has come. Returns its address, and the requests.
async fn server<F, W>(answer: F) -> (SocketAddr, Arc<Mutex<Vec<String>>>)
where
    F: Fn(TcpStream) -> W + Send + 'static,
    W: Future<Output = io::Result<()>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = vec![0; 64 * 1024];
            let read = stream.read(&mut bytes).await.unwrap_or(0);
            seen.lock().expect("a lock").push(String::from_utf8_lossy(&bytes[..read]).into_owned());
            // The sender may cut the connection.
            tokio::spawn(answer(stream));
        }
    });
    (address, requests)
}

async fn answers(bytes: &'static str) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    server(move |mut stream| async move { stream.write_all(bytes.as_bytes()).await }).await
}

async fn send(sender: &Sender, url: &str) -> Result<leasehold_webhooks::Answer, SendError> {
    let target = Target::parse(url, sender.allowed()).expect("a target");
    let secrets = [Secret::generate()];
    sender.send(&target, &Message { id: "msg_1", secrets: &secrets, body: "{\"a\":1}" }).await
}

#[tokio::test]
async fn a_message_has_the_headers_of_the_standard() {
    let (address, requests) = answers("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let answer = send(&Sender::new(loopback()), &format!("http://{address}/a?b=c#d")).await.expect("an answer");
    assert_eq!((answer.status, answer.body.as_slice(), answer.retry_after), (200, &b"ok"[..], None));
    let request = requests.lock().expect("a lock")[0].clone();
    let (head, body) = request.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{head}");
    for line in
        [&format!("host: {address}"), "content-type: application/json", "content-length: 7", "webhook-id: msg_1"]
    {
        assert!(head.lines().any(|found| found == line), "{line} in {head}");
    }
    assert!(head.contains("webhook-timestamp: ") && head.contains("webhook-signature: v1,"), "{head}");
    assert_eq!(body, "{\"a\":1}");
}

/// A resolver whose answers change with each question.
#[derive(Clone, Default)]
struct Changing {
    answers: Vec<Vec<SocketAddr>>,
    asked: Arc<AtomicUsize>,
}

#[async_trait]
impl Resolve for Changing {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        let nth = self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.answers[nth.min(self.answers.len() - 1)].clone())
    }
}

/// The first look-up of the name gives an allowed address, and the second one gives the server that a webhook may not reach.
#[tokio::test]
async fn a_name_is_resolved_once_and_what_was_judged_is_dialed() {
    let (inside, reached) = answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let allowed: Networks = "127.0.0.9/32".parse().expect("networks");
    let rebinding =
        Changing { answers: vec![vec![SocketAddr::from(([127, 0, 0, 9], 1))], vec![inside]], ..Changing::default() };
    let sender = Sender::new(allowed).with_resolver(rebinding.clone());
    let failed = send(&sender, "http://rebinds.example/").await.expect_err("nobody listens there");
    assert!(matches!(failed, SendError::Connect(..)), "{failed}");
    assert_eq!((rebinding.asked.load(Ordering::SeqCst), reached.lock().expect("a lock").len()), (1, 0));

    // The next message asks again, and judges again.
    let failed = send(&sender, "http://rebinds.example/").await.expect_err("refused");
    assert!(matches!(failed, SendError::Refused { why: "loopback", .. }), "{failed}");
    // Of several addresses, only those are dialed that are allowed.
    for (first, is_reached) in [("10.0.0.1:80", false), ("[::1]:80", false), ("[::ffff:169.254.169.254]:80", false)] {
        let both = Changing { answers: vec![vec![first.parse().expect("an address"), inside]], ..Changing::default() };
        let sender = Sender::new(Networks::default()).with_resolver(both.clone());
        let failed = send(&sender, "http://several.example/").await.expect_err("refused");
        assert!(matches!(failed, SendError::Refused { .. }) && !is_reached, "{failed}");
        let sender = Sender::new(loopback()).with_resolver(both);
        assert_eq!(send(&sender, "http://several.example/").await.expect("the allowed one answers").status, 200);
    }
    assert_eq!(reached.lock().expect("a lock").len(), 3);
}

#[tokio::test]
async fn a_redirect_is_an_answer() {
    let (inside, reached) = answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let location: &'static str =
        Box::leak(format!("HTTP/1.1 302 Found\r\nlocation: http://{inside}/\r\ncontent-length: 0\r\n\r\n").into());
    let (address, _) = answers(location).await;
    assert_eq!(send(&Sender::new(loopback()), &format!("http://{address}/")).await.expect("an answer").status, 302);
    assert_eq!(reached.lock().expect("a lock").len(), 0);
}

#[tokio::test]
async fn retry_after_is_read() {
    let (address, _) = answers("HTTP/1.1 429 Slow Down\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n").await;
    let answer = send(&Sender::new(loopback()), &format!("http://{address}/")).await.expect("an answer");
    assert_eq!((answer.status, answer.retry_after), (429, Some(Duration::from_secs(120))));
}

/// An answer that comes byte by byte, one that never comes, and one whose body never ends.
#[tokio::test]
async fn a_slow_answer_is_cut_off() {
    let within = Duration::from_millis(600);
    let sender = Sender::new(loopback()).with_timeout(within);
    let (head, _) = server(|mut stream| async move {
        for byte in b"HTTP/1.1 200 OK\r\nx-slow: ".iter().chain(std::iter::repeat(&b'x')) {
            stream.write_all(&[*byte]).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    })
    .await;
    let (silent, _) = server(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
        Ok(())
    })
    .await;
    for address in [head, silent] {
        let begun = Instant::now();
        let failed = send(&sender, &format!("http://{address}/")).await.expect_err("too slow");
        assert!(matches!(failed, SendError::Late { what: "answer", .. }), "{failed}");
        assert!(begun.elapsed() < within * 5, "{:?}", begun.elapsed());
    }
    // The status has come: the rest changes nothing.
    let (body, _) = server(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
        loop {
            stream.write_all(b"x").await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let begun = Instant::now();
    let answer = send(&sender, &format!("http://{body}/")).await.expect("the status");
    assert!(answer.status == 200 && !answer.body.is_empty() && answer.body.len() < 1000, "{}", answer.body.len());
    assert!(begun.elapsed() < within * 5);
}

#[tokio::test]
async fn only_the_beginning_of_a_long_answer_is_read() {
    let (address, _) = server(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 500 Oh\r\ntransfer-encoding: chunked\r\n\r\n").await?;
        loop {
            stream.write_all(b"1000\r\n").await?;
            stream.write_all(&[b'x'; 0x1000]).await?;
            stream.write_all(b"\r\n").await?;
        }
    })
    .await;
    let begun = Instant::now();
    let answer = send(&Sender::new(loopback()), &format!("http://{address}/")).await.expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (500, ANSWER_MAX_BYTES));
    assert!(begun.elapsed() < Duration::from_secs(10), "it was cut off");
    // A head without an end.
    let (address, _) = server(|mut stream| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
        loop {
            stream.write_all(b"x-more: 0123456789012345678901234567890123456789\r\n").await?;
        }
    })
    .await;
    let failed = send(&Sender::new(loopback()), &format!("http://{address}/")).await.expect_err("too long");
    assert!(matches!(failed, SendError::NoAnswer(..)), "{failed}");
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    for bytes in ["", "220 mail.example ESMTP\r\n", "HTTP/1.1 banana\r\n\r\n", "\0\0\0\0"] {
        let (address, _) = answers(bytes).await;
        let failed = send(&Sender::new(loopback()), &format!("http://{address}/")).await.expect_err(bytes);
        assert!(matches!(failed, SendError::NoAnswer(..)), "{bytes:?}: {failed}");
    }
    // A plain server behind https, and a port on which no process listens.
    let (address, _) = answers("HTTP/1.1 200 OK\r\n\r\n").await;
    let failed = send(&Sender::new(loopback()), &format!("https://{address}/")).await.expect_err("no TLS");
    assert!(matches!(failed, SendError::Tls(..)), "{failed}");
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let failed = send(&Sender::new(loopback()), &format!("http://{nobody}/")).await.expect_err("refused");
    assert!(matches!(failed, SendError::Connect(..)), "{failed}");
}

/// A name that does not resolve in time.
struct Silent;

#[async_trait]
impl Resolve for Silent {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_resolver_that_is_silent_is_not_waited_for() {
    let sender = Sender::new(loopback()).with_resolver(Silent).with_timeout(Duration::from_millis(200));
    let failed = send(&sender, "http://slow.example/").await.expect_err("too slow");
    assert!(matches!(failed, SendError::Late { what: "connect", .. }), "{failed}");
    let none = Changing { answers: vec![Vec::new()], ..Changing::default() };
    let failed =
        send(&Sender::new(loopback()).with_resolver(none), "http://none.example/").await.expect_err("no address");
    assert!(matches!(failed, SendError::Connect(..)), "{failed}");
}
