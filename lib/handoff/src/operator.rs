//! What an operator does in Redis: reads queues, and pauses, resumes or clears their heads.

use crate::{
    connect::Handoff,
    error::Error,
    position::WAITING_FROM,
    scripts::{ACK, LOOK, Step, command},
};
use leasehold_core::{JobId, QueueName};
use leasehold_ports::{HeadStats, HintPlace};
use redis::Value;

/// The number of queues that one batch reads: a few milliseconds of work for Redis.
const QUEUES_IN_ONE_GO: usize = 500;

impl Handoff {
    /// The state of a job's hint in the head, for `explain`.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn find_hint(&self, queue: &QueueName, id: JobId) -> Result<HintPlace, Error> {
        let steps = vec![command("ZSCORE", (self.keys().of(queue).leases(), id.to_string())).into()];
        let (score,): (Option<f64>,) = self.run("looking for a hint", steps).await?;
        let waits = |score: f64| score >= WAITING_FROM.parse().unwrap_or(f64::INFINITY);
        Ok(match score {
            None => HintPlace::Absent,
            Some(score) if waits(score) => HintPlace::Waiting,
            Some(_) => HintPlace::Leased,
        })
    }

    /// A ping: returns when the server answers.
    ///
    /// # Errors
    /// If it does not answer in time.
    pub async fn ping(&self) -> Result<(), Error> {
        let (_pong,): (Value,) = self.run("pinging Redis", vec![redis::cmd("PING").into()]).await?;
        Ok(())
    }

    /// Removes the waiting hints of a queue and the stored facts about its line. Leases stay. Workers and the next
    /// tick fill the head again.
    ///
    /// # Errors
    /// Redis does not answer in time.
    pub async fn clear(&self, queue: &QueueName) -> Result<(), Error> {
        let commands = self.clear_commands(queue).await?;
        self.run_atomically::<Vec<Value>>("clearing the head of a queue", commands).await?;
        self.run::<(u32,)>("noting a queue", vec![self.note_queue(queue)]).await.map(|_| ())
    }

    /// Removes the waiting hints of a queue and refuses new ones until [`Handoff::resume`]. Leases stay.
    ///
    /// # Errors
    /// Redis does not answer in time.
    pub async fn pause(&self, queue: &QueueName) -> Result<(), Error> {
        let mut commands = self.clear_commands(queue).await?;
        commands.push(command("HSET", (self.keys().of(queue).flags(), "paused", 1)));
        self.run_atomically::<Vec<Value>>("pausing a queue in Redis", commands).await?;
        self.run::<(u32,)>("noting a queue", vec![self.note_queue(queue)]).await.map(|_| ())
    }

    async fn clear_commands(&self, queue: &QueueName) -> Result<Vec<redis::Cmd>, Error> {
        let keys = self.keys().of(queue);
        let aside = self.aside_kinds(queue).await?;
        // Also deletes the scan start: after a change of the order, jobs may belong before it.
        let lists = [keys.ready(), keys.claimed(), keys.asides(), keys.filled(), keys.scan_start()];
        Ok(vec![
            // The next new hint must not overtake the line, which Redis does not hold.
            command("HSET", (keys.flags(), "overflow", 1)),
            command("DEL", lists.into_iter().chain(aside.iter().map(|kind| keys.aside(kind))).collect::<Vec<_>>()),
            command("ZREMRANGEBYSCORE", (keys.leases(), WAITING_FROM, "+inf")),
        ])
    }

    /// Ends a pause. The head is filled by the next tick.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn resume(&self, queue: &QueueName) -> Result<(), Error> {
        let resume = command("HDEL", (self.keys().of(queue).flags(), "paused"));
        self.run::<(u32,)>("resuming a queue in Redis", vec![resume.into()]).await.map(|_| ())
    }

    /// The numbers of one queue in Redis, all from the same moment.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn stats(&self, queue: &QueueName) -> Result<HeadStats, Error> {
        let keys = self.keys().of(queue);
        let aside = self.aside_kinds(queue).await?;
        let mut commands = vec![
            command("HMGET", (keys.flags(), "paused", "overflow")),
            command("ZCARD", keys.leases()),
            command("ZCOUNT", (keys.leases(), WAITING_FROM, "+inf")),
            command("LLEN", keys.ready()),
            command("LLEN", keys.claimed()),
        ];
        commands.extend(aside.iter().map(|kind| command("LLEN", keys.aside(kind))));
        let answers: Vec<Value> = self.run_atomically("reading the state of a queue", commands).await?;
        let read =
            |error: redis::ParsingError| Error::Redis { doing: "reading the state of a queue", source: error.into() };
        let mut answers = answers.into_iter();
        let (paused, overflow): (Option<String>, Option<String>) =
            redis::from_redis_value(answers.next().unwrap_or(Value::Nil)).map_err(read)?;
        let counts: Vec<u64> = redis::from_redis_value(Value::Array(answers.collect())).map_err(read)?;
        let [members, waiting_members, ready, claimed, aside @ ..] = counts.as_slice() else {
            return Ok(HeadStats::default());
        };
        Ok(HeadStats {
            ready: *ready,
            claimed: *claimed,
            leased: members - waiting_members,
            waiting_members: *waiting_members,
            aside: aside.iter().sum(),
            paused: paused.is_some(),
            overflow: overflow.is_some(),
            overdue: 0,
        })
    }

    /// The numbers of several queues; `None` for a queue without keys in Redis. One batch reads all of them.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn look(&self, queues: &[QueueName]) -> Result<Vec<Option<HeadStats>>, Error> {
        const DOING: &str = "looking at queues";
        let mut heads = Vec::with_capacity(queues.len());
        for queues in queues.chunks(QUEUES_IN_ONE_GO) {
            let looks = queues.iter().map(|queue| {
                let keys = self.keys().of(queue);
                LOOK.on([keys.ready(), keys.claimed(), keys.leases(), keys.flags(), keys.asides()]).into()
            });
            type Look = (bool, bool, bool, u64, u64, u64, u64, u64, u64);
            let answers: Vec<Look> = self.run(DOING, looks.collect()).await?;
            for (queue, answer) in queues.iter().zip(answers) {
                let (in_use, paused, overflow, ready, claimed, members, waiting_members, overdue, kinds_aside) = answer;
                let head = HeadStats {
                    ready,
                    claimed,
                    leased: members.saturating_sub(waiting_members),
                    waiting_members,
                    aside: 0,
                    paused,
                    overflow,
                    overdue,
                };
                heads.push(match (in_use, kinds_aside) {
                    (false, _) => None,
                    (true, 0) => Some(head),
                    // All numbers of a queue must be from the same moment.
                    (true, _) => Some(HeadStats { overdue, ..self.stats(queue).await? }),
                });
            }
        }
        Ok(heads)
    }

    /// Every queue that has, or had, keys in Redis. Does not check which of them have keys now.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn noted_queues(&self) -> Result<Vec<QueueName>, Error> {
        let (noted,): (Vec<Vec<u8>>,) =
            self.run("listing queues", vec![command("SMEMBERS", self.keys().queues()).into()]).await?;
        let mut queues: Vec<QueueName> =
            noted.iter().filter_map(|name| std::str::from_utf8(name).ok()?.parse().ok()).collect();
        queues.sort();
        Ok(queues)
    }

    /// Every queue that has keys in Redis.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        let queues = self.noted_queues().await?;
        let in_use = self.in_use(&queues).await?;
        let (used, unused): (Vec<_>, Vec<_>) = queues.into_iter().zip(in_use).partition(|(_, in_use)| *in_use);
        let unused: Vec<QueueName> = unused.into_iter().map(|(queue, _)| queue).collect();
        if !unused.is_empty() {
            self.unnote(&unused).await?;
        }
        Ok(used.into_iter().map(|(queue, _)| queue).collect())
    }

    /// Removes members from all keys of a queue: ids, or any other strings.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn forget(&self, queue: &QueueName, members: &[Vec<u8>]) -> Result<(), Error> {
        if members.is_empty() {
            return Ok(());
        }
        let keys = self.keys().of(queue);
        let aside = self.aside_kinds(queue).await?;
        let fixed = [keys.leases(), keys.claimed(), keys.ready()];
        let call = ACK.on(fixed.into_iter().chain(aside.iter().map(|kind| keys.aside(kind)))).arg(members);
        self.run::<(u32,)>("forgetting members of a queue", vec![call.into()]).await.map(|_| ())
    }

    /// Whether each of these queues has keys.
    async fn in_use(&self, queues: &[QueueName]) -> Result<Vec<bool>, Error> {
        let mut in_use = Vec::with_capacity(queues.len());
        for queues in queues.chunks(QUEUES_IN_ONE_GO) {
            let exist = queues.iter().map(|queue| {
                let keys = self.keys().of(queue);
                command("EXISTS", vec![keys.ready(), keys.claimed(), keys.leases(), keys.flags(), keys.asides()]).into()
            });
            let counts: Vec<u32> = self.run("looking which queues are in use", exist.collect()).await?;
            in_use.extend(counts.into_iter().map(|count| count > 0));
        }
        Ok(in_use)
    }

    /// Removes the notes of queues without keys. A process makes the keys of a queue before it notes the queue. So a
    /// queue that came into use after the check has keys now, and is noted again.
    ///
    /// # Errors
    /// If Redis does not answer in time. The call can be repeated.
    pub async fn unnote(&self, queues: &[QueueName]) -> Result<(), Error> {
        if queues.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = queues.iter().map(QueueName::as_str).collect();
        self.run::<(u32,)>("tidying the list of queues", vec![command("SREM", (self.keys().queues(), names)).into()])
            .await?;
        let in_use = self.in_use(queues).await?;
        let again: Vec<Step> =
            queues.iter().zip(in_use).filter(|(_, in_use)| *in_use).map(|(queue, _)| self.note_queue(queue)).collect();
        if again.is_empty() { Ok(()) } else { self.run::<Vec<u32>>("noting queues", again).await.map(|_| ()) }
    }
}
