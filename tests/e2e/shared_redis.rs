//! Two fleets on one Redis server: different prefixes of keys keep them apart.

use crate::fleet::Fleet;
use leasehold_tests::{Key, all_keys};
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(10);
const PREFIXES: [&str; 2] = ["north", "south:1"];
const JOBS: usize = 300;

#[tokio::test]
async fn two_fleets_with_two_prefixes_share_a_redis_and_never_meet() {
    let mut fleets = Fleet::start_two_on_one_redis(LEASE, PREFIXES).await;
    for fleet in &mut fleets {
        fleet.start_probe_workers(2, 4).await;
    }
    for fleet in &fleets {
        for _ in 0..JOBS {
            fleet.client.enqueue(fleet.probe(0)).send().await.expect("accepted");
        }
    }
    for fleet in &fleets {
        fleet.wait_until_succeeded(i64::try_from(JOBS).expect("a number")).await;
        // Hints of the other fleet would be in this fleet's head as ids that no job has; doctor would find them.
        let report = fleet.leasehold(&["doctor"], None);
        assert!(!report.is_empty(), "doctor says what it looked at");
    }

    let keys = all_keys(&mut fleets[0].stores.redis.connect().await).await;
    let of = |prefix: &str| keys.keys().filter(|key| key.starts_with(&format!("{prefix}:"))).count();
    assert_eq!(PREFIXES.map(of).iter().sum::<usize>(), keys.len(), "each key belongs to one fleet: {keys:?}");
    for prefix in PREFIXES {
        assert!(keys.contains_key(&format!("{prefix}:generation")), "{prefix}: {keys:?}");
        let Some(Key::SortedSet(workers)) = keys.get(&format!("{prefix}:workers")) else {
            panic!("{prefix}: {keys:?}")
        };
        assert_eq!(workers.len(), 2, "each fleet lists its own workers");
    }
}
