//! Servers that are no good, each with one clear line and no secret in it.

use crate::{TIMEOUT, settings};
use leasehold_handoff::{Error, Handoff, Settings};
use leasehold_servers::RedisOptions;
use leasehold_tests::RedisServer;
use redis::aio::MultiplexedConnection;
use std::{net::TcpListener, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const SECRET: &str = "correct-horse";

async fn start_with(lines: &[&str]) -> RedisServer {
    let settings = lines.iter().map(|&line| line.to_owned()).collect();
    RedisServer::start_with(RedisOptions { keep: false, password: false, settings }).await
}

async fn set_user(connection: &mut MultiplexedConnection, rules: &str) {
    let rules: Vec<&str> = rules.split(' ').collect();
    redis::cmd("ACL").arg("SETUSER").arg(rules).exec_async(connection).await.expect("ACL SETUSER");
}

/// The line that is shown, once it is sure that nothing of the error shows a secret.
async fn refusal(url: &str) -> String {
    let error = Handoff::connect(&settings(url)).await.expect_err("a server that is no good");
    let shown = error.to_string();
    for text in [&shown, &format!("{error:?}"), &format!("{:?}", settings(url))] {
        assert!(!text.contains(SECRET), "a secret is shown: {text}");
    }
    assert_eq!(shown.lines().count(), 1, "{shown}");
    shown
}

#[tokio::test]
async fn urls_that_are_none() {
    for (url, expected) in [
        ("", "redis.url: is empty; it looks like redis://host:6379"),
        ("localhost:6379", "redis.url: does not begin with redis:// or rediss://"),
        ("postgres://:correct-horse@localhost", "redis.url: does not begin with redis:// or rediss://"),
        ("redis://:correct-horse@", "redis.url: is no valid URL; it looks like redis://user:password@host:6379/0"),
        (
            "redis://:correct-horse@h:99999999",
            "redis.url: is no valid URL; it looks like redis://user:password@host:6379/0",
        ),
        (
            "redis://:correct-horse@h/no-number",
            "redis.url: is no valid URL; it looks like redis://user:password@host:6379/0",
        ),
    ] {
        assert_eq!(refusal(url).await, expected, "{url}");
    }
}

#[tokio::test]
async fn nobody_there() {
    let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let line = refusal(&format!("redis://:{SECRET}@127.0.0.1:{port}")).await;
    assert!(line.starts_with(&format!("connecting to Redis: 127.0.0.1:{port}: Connection refused")), "{line}");
}

#[tokio::test]
async fn somebody_there_who_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let timeout = Duration::from_millis(200);
    let settings = Settings { timeout, ..settings(&format!("redis://127.0.0.1:{port}")) };
    let error = Handoff::connect(&settings).await.expect_err("no Redis").to_string();
    assert_eq!(error, format!("connecting to Redis: 127.0.0.1:{port}: no answer within 200ms"));
}

#[tokio::test]
async fn encryption_that_the_server_does_not_speak() {
    let server = RedisServer::start().await;
    let port = server.server().port();
    let line = refusal(&format!("rediss://:{SECRET}@127.0.0.1:{port}")).await;
    assert!(line.starts_with(&format!("connecting to Redis: 127.0.0.1:{port}: ")), "{line}");
}

#[tokio::test]
async fn passwords_and_users() {
    let server = RedisServer::start().await;
    let mut connection = server.connect().await;
    for user in [
        "reader on >correct-horse ~* &* +@read +hello +info +client +select",
        "stranger on >correct-horse ~other:* &* +@all",
        "default on >right",
    ] {
        set_user(&mut connection, user).await;
    }
    let port = server.server().port();
    let at = format!("Redis at 127.0.0.1:{port}");
    let refused = format!("{at} refuses the user or the password of redis.url");
    assert_eq!(refusal(&format!("redis://:{SECRET}@127.0.0.1:{port}")).await, refused);
    assert_eq!(refusal(&format!("redis://nobody:{SECRET}@127.0.0.1:{port}")).await, refused);
    let line = refusal(&format!("redis://127.0.0.1:{port}")).await;
    assert_eq!(line, format!("{at} asks for a password, and redis.url has none"));
    for user in ["reader", "stranger"] {
        let line = refusal(&format!("redis://{user}:{SECRET}@127.0.0.1:{port}")).await;
        assert!(line.starts_with(&format!("{at} does not let this user do what is needed: ")), "{line}");
    }
    let handoff = Handoff::connect(&settings(&format!("redis://:right@127.0.0.1:{port}"))).await.expect("the password");
    assert_eq!(format!("{handoff:?}"), format!("Handoff {{ address: \"127.0.0.1:{port}\", .. }}"));
}

#[tokio::test]
async fn a_server_that_evicts() {
    let evicting = start_with(&["maxmemory-policy allkeys-lru", "maxmemory 100mb"]).await;
    let error = Handoff::connect(&settings(&evicting.url)).await.expect_err("it evicts");
    assert!(matches!(error, Error::Unfit(_)), "{error:?}");
    let expected = format!(
        "Redis at 127.0.0.1:{} evicts keys when memory is short (maxmemory-policy allkeys-lru); \
         set it to noeviction, or hints and leases vanish",
        evicting.server().port()
    );
    assert_eq!(error.to_string(), expected);

    let unlimited = start_with(&["maxmemory-policy allkeys-lru", "maxmemory 0"]).await;
    Handoff::connect(&settings(&unlimited.url)).await.expect("without a limit nothing is evicted");
    set_user(&mut evicting.connect().await, "default -info -config").await;
    Handoff::connect(&settings(&evicting.url)).await.expect("nobody can tell");
}

#[tokio::test]
async fn a_replica() {
    let replica = start_with(&["replicaof 127.0.0.1 1"]).await;
    let line = refusal(&replica.url).await;
    assert!(line.ends_with("is a replica: it can be read only; redis.url must name the primary"), "{line}");
}

#[tokio::test]
async fn servers_that_are_too_old() {
    for (hello, said) in [
        ("*4\r\n$7\r\nversion\r\n$6\r\n6.0.16\r\n$4\r\nrole\r\n$6\r\nmaster\r\n", "6.0.16"),
        ("-ERR unknown command `HELLO`, with args beginning with:\r\n", "older than 6"),
    ] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut buffer = vec![0; 4096];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                for command in text.split('*').skip(1) {
                    let answer = if command.contains("HELLO") { hello } else { "+OK\r\n" };
                    stream.write_all(answer.as_bytes()).await.expect("an answer");
                }
            }
        });
        let line = tokio::time::timeout(TIMEOUT * 2, refusal(&format!("redis://{address}"))).await.expect("in time");
        assert_eq!(line, format!("Redis at {address} is version {said}; 6.2 or newer is needed"));
        server.abort();
    }
}
