//! A real Redis, and what tests do to it by hand: always to the default queue.

use crate::words::SOON;
use leasehold_core::JobId;
use leasehold_tests::{RedisServer, eventually};
use redis::Cmd;
use std::ops::Deref;

/// A separate Redis.
pub(crate) struct Server(RedisServer);

impl Deref for Server {
    type Target = RedisServer;
    fn deref(&self) -> &RedisServer {
        &self.0
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self(RedisServer::start().await)
    }

    async fn by_hand(&self, command: &mut Cmd) {
        command.exec_async(&mut self.connect().await).await.expect("a command by hand");
    }

    /// Takes the first hint as a blocking take does.
    pub(crate) async fn take_by_hand(&self) {
        let keys = ["leasehold:{default}:ready", "leasehold:{default}:claimed"];
        self.by_hand(redis::cmd("LMOVE").arg(&keys).arg("LEFT").arg("RIGHT")).await;
    }

    pub(crate) async fn lose_list(&self) {
        self.by_hand(redis::cmd("DEL").arg("leasehold:{default}:ready")).await;
    }

    pub(crate) async fn lose_set(&self) {
        self.by_hand(redis::cmd("DEL").arg("leasehold:{default}:leases")).await;
    }

    pub(crate) async fn repeat_at_front(&self, id: JobId) {
        self.by_hand(redis::cmd("LPUSH").arg("leasehold:{default}:ready").arg(id.to_string())).await;
    }

    pub(crate) async fn lose_everything(&self) {
        self.by_hand(&mut redis::cmd("FLUSHALL")).await;
    }

    /// Until so many connections are blocked.
    pub(crate) async fn until_waiting(&self, wanted: u32) {
        let connection = self.connect().await;
        let look = || async {
            let mut info = redis::cmd("INFO");
            let info: String = info.arg("clients").query_async(&mut connection.clone()).await.expect("INFO");
            let waiting = info.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
            let waiting: u32 = waiting.and_then(|count| count.trim().parse().ok()).expect("a number of clients");
            if waiting == wanted { Ok(()) } else { Err(waiting) }
        };
        eventually(&format!("{wanted} clients wait"), SOON, look).await;
    }
}
