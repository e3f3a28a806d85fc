//! The rounds a hint makes.

use crate::{HEAD_MAX, LEASE, SOON, Server, connect, kind, new_ids, queue};
use leasehold_core::JobId;
use leasehold_handoff::{Extended, Filled, HeadStats, Held, Pushed, Swept, Tail, Taken};
use leasehold_tests::{eventually, hints, unused, urgent};
use std::time::Duration;

const CHANGED: Extended = Extended { pushed: 0, held: 0, changed: true };

#[tokio::test]
async fn a_hint_from_push_to_ack() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(3);

    let pushed = handoff.push(&queue(), &hints(&ids)).await.expect("push");
    assert_eq!(pushed, Pushed { pushed: 3, ..Pushed::default() });
    assert_eq!(handoff.queues().await.expect("queues"), [queue()]);

    let taken = handoff.take(&queue(), &[], &[], 2, LEASE).await.expect("take");
    assert_eq!(taken, Taken { ids: ids[..2].to_vec(), ..Taken::default() });
    handoff.renew(&[(queue(), taken.ids.clone())], LEASE).await.expect("renew");
    let stats = handoff.stats(&queue()).await.expect("stats");
    assert_eq!(stats, HeadStats { ready: 1, leased: 2, waiting_members: 1, ..HeadStats::default() });

    handoff.ack(&[(queue(), taken.ids)]).await.expect("ack");
    handoff.release(&queue(), &unused(&ids[2..])).await.expect("release of what waits");
    let snapshot = handoff.snapshot(&queue()).await.expect("snapshot");
    assert_eq!((snapshot.ready, snapshot.held), (ids[2..].to_vec(), vec![(ids[2], Held::Waiting)]));

    handoff.forget(&queue(), &[ids[2].to_string().into_bytes()]).await.expect("forget");
    assert_eq!(handoff.queues().await.expect("queues"), [], "a queue without keys is no longer listed");
}

#[tokio::test]
async fn a_head_keeps_its_bound_and_a_fill_brings_the_rest() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let bound = HEAD_MAX as usize;
    let line = new_ids(bound + 4);
    let (head, rest) = line.split_at(bound);

    let pushed = handoff.push(&queue(), &hints(&line)).await.expect("push");
    assert_eq!(pushed, Pushed { pushed: HEAD_MAX + 4, overflowed: 4, ..Pushed::default() });
    let again = handoff.push(&queue(), &hints(&line)).await.expect("the same push again");
    assert_eq!(again, Pushed { overflowed: HEAD_MAX + 4, ..Pushed::default() }, "the line has them");

    let taken = handoff.take(&queue(), &[], &[], HEAD_MAX / 2 + 1, LEASE).await.expect("take");
    assert_eq!(taken.ids, head[..bound / 2 + 1]);
    assert!(taken.low, "less than half is left, and the line is longer");
    let late = new_ids(1);
    let refused = handoff.push(&queue(), &hints(&late)).await.expect("a push behind the rest of the line");
    assert_eq!(refused, Pushed { overflowed: 1, ..Pushed::default() });
    let first = new_ids(2);
    let before = handoff.push(&queue(), &urgent(&first)).await.expect("a push before the others");
    assert_eq!(before, Pushed { pushed: 2, ..Pushed::default() });

    let waiting: Vec<_> = [&first, &head[bound / 2 + 1..], rest, &late].concat();
    let front = [urgent(&first), hints(&waiting[2..])].concat();
    let filled = handoff.fill(&queue(), &front, false, None).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 5, held: waiting.len() as u32 - 5, swept: Swept::default() });
    let snapshot = handoff.snapshot(&queue()).await.expect("snapshot");
    assert_eq!(snapshot.ready, waiting);
    assert!(!snapshot.overflow, "all of the line is here");
}

/// After a change of the order, jobs may belong before the shared scan start: a fill that began there would leave them out.
#[tokio::test]
async fn a_cleared_head_has_no_scan_start() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    handoff.keep_scan_start(&queue(), "[]", Some(Duration::from_secs(30))).await.expect("shared");
    assert!(handoff.tail(&queue()).await.expect("tail").scan_start.is_some());
    handoff.clear(&queue()).await.expect("cleared");
    handoff.keep_scan_start(&queue(), "[]", None).await.expect("a process that has read the scan start before");
    assert_eq!(handoff.tail(&queue()).await.expect("tail").scan_start, None);
}

#[tokio::test]
async fn a_pause_takes_the_hints_away_and_a_fill_brings_them_back() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(4);
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    let running = handoff.take(&queue(), &[], &[], 2, LEASE).await.expect("take").ids;
    handoff.set_aside(&queue(), &kind("paint"), &hints(&running[1..])).await.expect("set aside");

    handoff.pause(&queue()).await.expect("pause");
    let stats = handoff.stats(&queue()).await.expect("stats");
    assert_eq!(stats, HeadStats { leased: 1, paused: true, overflow: true, ..HeadStats::default() });
    let push = handoff.push(&queue(), &urgent(&new_ids(1))).await.expect("a push into a paused queue");
    assert_eq!(push, Pushed { paused: true, ..Pushed::default() });
    let taken = handoff.take(&queue(), &[], &[], 9, LEASE).await.expect("a take from a paused queue");
    assert_eq!(taken, Taken { paused: true, ..Taken::default() });
    handoff.fill(&queue(), &hints(&ids[1..]), false, None).await.expect("a fill of a paused queue");
    assert_eq!(handoff.stats(&queue()).await.expect("stats"), stats);

    handoff.resume(&queue()).await.expect("resume");
    let push = handoff.push(&queue(), &hints(&new_ids(1))).await.expect("a push before the fill");
    assert_eq!(push, Pushed { overflowed: 1, ..Pushed::default() }, "nothing new may overtake the line");
    let filled = handoff.fill(&queue(), &hints(&ids[1..]), false, None).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 3, ..Filled::default() });
    let taken = handoff.take(&queue(), &[], &[], 9, LEASE).await.expect("take");
    assert_eq!(taken.ids, ids[1..]);
}

#[tokio::test]
async fn a_low_head_is_extended_at_its_end_and_nowhere_else() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let bound = HEAD_MAX as usize;
    let line = new_ids(3 * bound);
    let behind = &line[bound..];
    let extend = async |from, to, ids| {
        let reading = handoff.begin_readings(&[queue()]).await.expect("a reading")[0];
        handoff.extend(&queue(), reading, from, to, &hints(ids)).await.expect("extend")
    };
    let filled_to = async || handoff.tail(&queue()).await.expect("tail").filled_to;
    // Immediately after a fill that finds all jobs of the front leased; again if that was not soon enough.
    let extend_soon = async |front: &[JobId], from, to, ids| {
        eventually("an extension soon after a fill", SOON, async || {
            let filled = handoff.fill(&queue(), &hints(front), true, Some(from)).await.expect("fill");
            assert_eq!(filled, Filled { pushed: 0, held: front.len() as u32, swept: Swept::default() });
            assert_eq!(extend("elsewhere", to, ids).await, CHANGED, "from another place");
            let extended = extend(from, to, ids).await;
            if extended == CHANGED { Err(filled_to().await) } else { Ok(extended) }
        })
        .await
    };
    assert_eq!(handoff.tail(&queue()).await.expect("tail"), Tail::default());
    handoff.fill(&queue(), &hints(&line[..bound]), true, Some("a")).await.expect("fill");
    assert_eq!(handoff.tail(&queue()).await.expect("tail").ready, HEAD_MAX);
    eventually("the fill is some time ago", SOON, async || filled_to().await.map_or(Ok(()), Err)).await;
    assert_eq!(extend("a", "b", behind).await, CHANGED, "too long ago");

    let taken = handoff.take(&queue(), &[], &[], HEAD_MAX - 2, LEASE).await.expect("take").ids;
    handoff.release(&queue(), &unused(&taken[..1])).await.expect("release");
    let extended = extend_soon(&line[..bound], "a", "b", &behind[..4]).await;
    assert_eq!(extended, Extended { pushed: 4, ..Extended::default() });
    assert_eq!(extend("a", "b", &behind[..4]).await, CHANGED, "the same again");
    let (pushed, held) = (HEAD_MAX - 7, 3);
    let mixed = [&taken[1..3], &behind[..1], &behind[4..]].concat();
    let extended = extend_soon(&line[..bound + 4], "b", "c", &mixed).await;
    assert_eq!(extended, Extended { pushed, held, changed: false });
    assert_ne!(filled_to().await.as_deref(), Some("c"), "not all had room");
    let snapshot = handoff.snapshot(&queue()).await.expect("snapshot");
    assert_eq!(snapshot.ready, [&taken[..1], &line[bound - 2..2 * bound - 3]].concat(), "in order, up to the bound");
    assert!(snapshot.overflow);

    let front: Vec<_> = [&taken[..], &line[bound - 2..2 * bound - 4]].concat();
    let filled = handoff.fill(&queue(), &hints(&front), true, Some("d")).await.expect("fill");
    assert_eq!(filled, Filled { pushed: 0, held: front.len() as u32, swept: Swept::default() });
    let after = handoff.snapshot(&queue()).await.expect("snapshot");
    assert_eq!((after.ready, after.overflow), (snapshot.ready, true), "a fill finds all as it would leave it");

    handoff.pause(&queue()).await.expect("pause");
    assert_eq!(extend("d", "e", behind).await, CHANGED, "paused");
    handoff.resume(&queue()).await.expect("resume");
    assert_eq!(extend("d", "e", behind).await, CHANGED, "nothing is left of what was there");
    assert_eq!(handoff.stats(&queue()).await.expect("stats").ready, 0);
}

#[tokio::test]
async fn a_head_with_no_hint_left_is_extended_from_where_it_ended() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let line = new_ids(12);
    let (front, behind) = line.split_at(6);
    eventually("an extension soon after a fill", SOON, async || {
        handoff.fill(&queue(), &hints(front), true, Some("a")).await.expect("fill");
        let taken = handoff.take(&queue(), &[], &[], HEAD_MAX, LEASE).await.expect("take").ids;
        handoff.ack(&[(queue(), taken)]).await.expect("ack");
        let tail = handoff.tail(&queue()).await.expect("tail");
        assert_eq!(tail.ready, 0);
        let reading = handoff.begin_readings(&[queue()]).await.expect("a reading")[0];
        let extended = handoff.extend(&queue(), reading, "a", "b", &hints(behind)).await.expect("extend");
        if extended == CHANGED { Err(tail) } else { Ok(()) }
    })
    .await;
    assert_eq!(handoff.snapshot(&queue()).await.expect("snapshot").ready, behind);
}

#[tokio::test]
async fn how_far_a_fill_went_is_kept_for_a_while() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(HEAD_MAX as usize);
    let fill = async |ids: &[JobId], more| handoff.fill(&queue(), &hints(ids), more, Some("a")).await.expect("fill");
    let filled_to = async || handoff.tail(&queue()).await.expect("tail").filled_to;
    let soon_after_a_fill = async || {
        eventually("a look within that while", SOON, async || {
            fill(&ids, true).await;
            let filled_to = filled_to().await;
            if filled_to.as_deref() == Some("a") { Ok(()) } else { Err(filled_to) }
        })
        .await;
    };
    soon_after_a_fill().await;
    handoff.push(&queue(), &urgent(&new_ids(1))).await.expect("push");
    assert_eq!(filled_to().await, None, "the last one has fallen off the end");
    handoff.take(&queue(), &[], &[], 1, LEASE).await.expect("take");
    soon_after_a_fill().await;
    fill(&ids, false).await;
    assert_eq!(filled_to().await, None, "all of the line is there");
    soon_after_a_fill().await;
    fill(&[], false).await;
    assert_eq!(filled_to().await, None, "the line is empty");
}

#[tokio::test]
async fn hints_aside_wait_for_their_kind_up_to_a_bound() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(4);
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    handoff.take(&queue(), &[], &[], 3, LEASE).await.expect("take");
    assert_eq!(handoff.asides(&queue()).await.expect("asides"), []);

    handoff.set_aside(&queue(), &kind("paint"), &hints(&ids[..1])).await.expect("set aside");
    assert_eq!(handoff.asides(&queue()).await.expect("asides"), [(kind("paint"), 1, false)]);
    handoff.set_aside(&queue(), &kind("paint"), &hints(&ids[1..3])).await.expect("set aside");
    assert_eq!(handoff.asides(&queue()).await.expect("asides"), [(kind("paint"), 2, true)], "an eighth of the head");
    assert_eq!(handoff.stats(&queue()).await.expect("stats").leased, 0, "the third one is forgotten");

    let other = handoff.take(&queue(), &[], &[kind("saw")], 9, LEASE).await.expect("a take for another kind");
    assert_eq!((other.ids, other.aside), (ids[3..].to_vec(), vec![kind("paint")]));
    let painter = handoff.take(&queue(), &[], &[kind("saw"), kind("paint")], 9, LEASE).await.expect("take");
    assert_eq!((painter.ids, painter.aside), (ids[..2].to_vec(), vec![]));
    assert_eq!(handoff.asides(&queue()).await.expect("asides"), []);
}

#[tokio::test]
async fn a_lease_that_ran_out_is_listed_until_it_is_dealt_with() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    let ids = new_ids(3);
    handoff.push(&queue(), &hints(&ids)).await.expect("push");
    let at_once = Duration::ZERO;
    handoff.take(&queue(), &[], &[], 2, at_once).await.expect("take");
    assert_eq!(handoff.expired(&queue(), 10).await.expect("expired"), ids[..2]);
    handoff.release(&queue(), &unused(&ids[..1])).await.expect("release");
    handoff.ack(&[(queue(), ids[1..2].to_vec())]).await.expect("ack");
    assert_eq!(handoff.expired(&queue(), 10).await.expect("expired"), []);
    let taken = handoff.take(&queue(), &[], &[], 9, LEASE).await.expect("take");
    assert_eq!(taken.ids, [ids[0], ids[2]], "given back to the front");
}

#[tokio::test]
async fn one_fills_at_a_time_and_a_lost_redis_has_another_generation() {
    let server = Server::start().await;
    let handoff = connect(&server).await;
    assert!(handoff.lock_fill(&queue(), LEASE).await.expect("lock"));
    assert!(!handoff.lock_fill(&queue(), LEASE).await.expect("lock"));
    handoff.unlock_fill(&queue()).await.expect("unlock");
    assert!(handoff.lock_fill(&queue(), LEASE).await.expect("lock"));

    let (first, made) = handoff.generation().await.expect("generation");
    assert!(made);
    assert_eq!(handoff.generation().await.expect("generation"), (first.clone(), false));
    server.lose_everything().await;
    let (second, made) = handoff.generation().await.expect("generation");
    assert!(made && second != first);
    assert!(handoff.lock_fill(&queue(), LEASE).await.expect("lock"));
}
