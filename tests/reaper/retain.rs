//! The partitions of history.

use crate::world::{World, report};

#[tokio::test]
async fn partitions_are_made_at_the_start_and_old_ones_are_dropped() {
    let world = World::start().await;
    world
        .sql(
            "CREATE TABLE leasehold.history_2001_01_01 PARTITION OF leasehold.history
             FOR VALUES FROM ('2001-01-01 00:00+00') TO ('2001-01-02 00:00+00')",
        )
        .await;
    let (mut one, mut two, mut three) = (world.new_reaper(), world.new_reaper(), world.new_reaper());
    let reports = tokio::join!(one.tick(), two.tick(), three.tick());
    for tick in [&reports.0, &reports.1, &reports.2] {
        assert_eq!(report(tick, "retain").error, None, "{tick:?}");
    }
    let tables = "SELECT count(*) FROM pg_class WHERE relname = ";
    assert_eq!(world.number(format!("{tables} 'history_2001_01_01'")).await, 0, "the old partition");
    let tomorrow = "'history_' || to_char((now() AT TIME ZONE 'UTC')::date + 1, 'YYYY_MM_DD')";
    assert_eq!(world.number(format!("{tables} {tomorrow}")).await, 1, "the partition of tomorrow");
    assert!(one.tick().await.iter().all(|report| report.step != "retain"), "retention must not run at every tick");
}
