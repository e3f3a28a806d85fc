//! **Fault**: an old copy of Redis takes over: old hints, old leases, an old generation.
//! **Window**: the copy is a minute old. Between the copy and the takeover, Redis was flushed as well.
//! **Heal**: none is needed.
//! **Must hold**: no attempt is burned: PostgreSQL refuses stale hints.
//! **Converges within**: 3 s.
//! **Not covered**: two primaries at the same time.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;

pub(crate) const PLAN: Plan = Plan { recovers_within_s: 3.0, burned_max: 0, ..Plan::USUAL };

pub(crate) async fn play(stage: &mut Stage, dice: &mut Dice) -> Result<()> {
    let mut redis = stage.connect_redis().await?;
    let mut copy: Vec<(String, Vec<u8>)> = Vec::new();
    for key in redis::cmd("KEYS").arg("*").query_async::<Vec<String>>(&mut redis).await? {
        // The key may have expired.
        let dump: Option<Vec<u8>> = redis::cmd("DUMP").arg(&key).query_async(&mut redis).await?;
        copy.extend(dump.map(|dump| (key, dump)));
    }
    let flushed_ago = dice.millis(3_000..5_000);
    stage.pass(stage.minute.saturating_sub(flushed_ago)).await;
    redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
    stage.pass(flushed_ago).await;
    stage.fault_begins("an old copy of Redis takes over");
    let mut take_over = redis::pipe();
    take_over.atomic().cmd("FLUSHALL");
    for (key, dump) in &copy {
        take_over.cmd("RESTORE").arg(key).arg(0).arg(dump.as_slice());
    }
    take_over.ignore().exec_async(&mut redis).await?;
    stage.pass(dice.millis(1000..2000)).await;
    stage.heals();
    Ok(())
}
