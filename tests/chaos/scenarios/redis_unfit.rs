//! **Fault**: Redis answers but cannot be used: it is a replica; its memory is full; it refuses a command to this user.
//! One after the other, without a pause.
//! **Window**: a minute.
//! **Heal**: Redis works as before, with its old data, which is stale.
//! **Must hold**: the same as while Redis is unreachable: the fleet continues from PostgreSQL with at least 30 % of its
//! rate, and no attempt is burned. The check behind `/readyz` and doctor names each problem.
//! **Converges within**: 3 s.
//! **Not covered**: a changed password, because open connections stay valid.

use crate::{
    dice::Dice,
    plan::{Plan, Shape},
    stage::Stage,
};
use anyhow::{Result, ensure};
use leasehold_handoff::{Handoff, Settings};
use redis::aio::MultiplexedConnection;
use std::time::Duration;

pub(crate) const PLAN: Plan = Plan {
    // As in `redis_down`: a heartbeat that waited for Redis would lose leases.
    shape: Shape { lease_ms: 6_000, ..Shape::USUAL },
    recovers_within_s: 3.0,
    rate_min: 0.3,
    burned_max: 0,
    ..Plan::USUAL
};

/// The command that does the harm, the command that undoes it, and what the check must report.
const HARMS: [(&str, &str, &str); 4] = [
    ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", "is a replica"),
    ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0", "is full"),
    ("ACL SETUSER default -evalsha -eval", "ACL SETUSER default +evalsha +eval", "does not let this user"),
    ("ACL SETUSER default -blmove -blpop", "ACL SETUSER default +blmove +blpop", "does not let this user"),
];

pub(crate) async fn play(stage: &mut Stage, _: &mut Dice) -> Result<()> {
    let mut redis = stage.connect_redis().await?;
    let handoff = Handoff::connect_lazily(&Settings {
        ca_file: None,
        key_prefix: leasehold_handoff::KeyPrefix::default(),
        url: stage.stores.redis.url.clone().into(),
        head_max: PLAN.shape.head_max,
        max_connections: 1,
        timeout: Duration::from_secs(10),
    })?;
    let each = stage.minute / u32::try_from(HARMS.len())?;
    stage.fault_begins("Redis cannot be used");
    for (harm, cure, said) in HARMS {
        stage.progress.phase(harm);
        send(&mut redis, harm).await?;
        let found = handoff.check().await.err().map(|error| error.to_string()).unwrap_or_default();
        ensure!(found.contains(said), "after {harm} the check of Redis answered {found:?}, without {said:?}");
        stage.pass(each).await;
        send(&mut redis, cure).await?;
    }
    stage.heals();
    Ok(handoff.check().await?)
}

async fn send(redis: &mut MultiplexedConnection, words: &str) -> Result<()> {
    let mut words = words.split(' ');
    let mut command = redis::cmd(words.next().unwrap_or_default());
    command.arg(words.collect::<Vec<_>>());
    Ok(command.exec_async(redis).await?)
}
