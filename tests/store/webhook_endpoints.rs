//! The endpoints of webhooks: how they are made and changed, their health, their secrets, the log of their deliveries, and who may
//! see which of these.

use crate::{
    fixture::{Fixture, concurrently, kind},
    webhooks::webhook,
};
use leasehold_core::{JobId, Settle, Settled, State, WorkerId};
use leasehold_store::{AttemptNote, WebhookChange, WebhookMade};
use sqlx::{AssertSqlSafe, Row};
use std::time::Duration;

#[tokio::test]
async fn a_webhook_is_made_once_and_changed_by_what_is_given() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.new_webhook(&webhook("a")).await.expect("a webhook"), WebhookMade::Made);
    assert_eq!(fixture.new_webhook(&webhook("a")).await.expect("again"), WebhookMade::Exists);
    fixture
        .sql(
            "INSERT INTO leasehold.webhook (id, url, queue, kinds, states)
              SELECT 'w' || n, 'https://example.com', '*', '{}', '{dead}' FROM generate_series(1, 999) n",
        )
        .await;
    assert_eq!(fixture.new_webhook(&webhook("b")).await.expect("one too many"), WebhookMade::Full);

    let change = WebhookChange {
        url: Some("https://example.com/new".into()),
        kinds: Some(vec![kind("k")]),
        states: Some(vec![State::Dead]),
        ..WebhookChange::default()
    };
    assert!(fixture.change_webhook(&kind("a"), &change).await.expect("a change"));
    assert!(!fixture.change_webhook(&kind("none"), &change).await.expect("no webhook"));
    let changed = fixture.webhooks(Some("a")).await.expect("webhooks").remove(0);
    assert_eq!((changed.url.as_str(), changed.queue.as_str()), ("https://example.com/new", "*"));
    assert_eq!(
        (changed.kinds.as_slice(), changed.states.as_slice()),
        (&["k".to_owned()][..], &["dead".to_owned()][..])
    );
    assert_eq!(fixture.webhook_target(&kind("a")).await.expect("a target").expect("it is there").revision, 2);
}

fn note(id: &str, revision: i32, status: Option<u16>) -> AttemptNote {
    let error = status.is_none_or(|status| status >= 300).then(|| "it failed".to_owned());
    AttemptNote {
        webhook: kind(id),
        revision,
        delivery: JobId::new(),
        job: None,
        event: "job.dead".into(),
        attempt: 1,
        status,
        ms: 7,
        error,
        answer: status.map(|_| "an answer".into()),
    }
}

#[tokio::test]
async fn five_days_of_nothing_but_failure_and_410_disable() {
    let fixture = Fixture::start().await;
    for id in ["a", "b", "c"] {
        fixture.has_webhook(&webhook(id)).await;
    }
    let health = async |id: &str| {
        let webhook = fixture.webhooks(Some(id)).await.expect("webhooks").remove(0);
        (webhook.failing_since.is_some(), webhook.disabled_reason)
    };
    let noted = async |note: &AttemptNote| fixture.note_webhook_attempt(note).await.expect("noted");
    let fails_for = async |id: &str, time: &str| {
        fixture
            .sql(format!("UPDATE leasehold.webhook SET failing_since = now() - interval '{time}' WHERE id = '{id}'"))
            .await;
    };
    // A success starts the time again.
    assert_eq!(noted(&note("a", 1, Some(500))).await, None);
    assert_eq!(health("a").await, (true, None));
    fails_for("a", "6 days").await;
    assert_eq!(noted(&note("a", 1, Some(204))).await, None);
    assert_eq!(health("a").await, (false, None));
    assert_eq!(noted(&note("a", 1, None)).await, None);
    fails_for("a", "4 days 23 hours").await;
    assert_eq!(noted(&note("a", 1, None)).await, None);
    fails_for("a", "5 days 1 second").await;
    // An attempt that began before the URL was changed says nothing about the new URL.
    let change = WebhookChange { url: Some("https://example.com/hooks".into()), ..WebhookChange::default() };
    fixture.change_webhook(&kind("a"), &change).await.expect("a change");
    assert_eq!(noted(&note("a", 1, None)).await, None);
    let told = noted(&note("a", 2, None)).await;
    assert_eq!(told.as_deref(), Some("every attempt has failed for five days"));
    assert_eq!(noted(&note("a", 2, None)).await, None, "told once");
    let target = fixture.webhook_target(&kind("a")).await.expect("a target").expect("it is there");
    assert_eq!(target.disabled.expect("disabled").1, "every attempt has failed for five days");

    let told = noted(&note("b", 1, Some(410))).await;
    assert_eq!(told.as_deref(), Some("the endpoint wants no more messages: it answered 410 Gone"));
    assert_eq!(noted(&note("c", 1, Some(410).filter(|_| false))).await, None);

    // Enabled again, it starts without a past.
    let enabled = WebhookChange { enabled: Some(true), ..WebhookChange::default() };
    fixture.change_webhook(&kind("a"), &enabled).await.expect("a change");
    assert_eq!(health("a").await, (false, None));
    assert_eq!(noted(&note("a", 3, None)).await, None);
    assert_eq!(health("a").await, (true, None));
    // Another URL has not failed yet.
    let change = WebhookChange { url: Some("https://example.com/other".into()), ..WebhookChange::default() };
    fixture.change_webhook(&kind("a"), &change).await.expect("a change");
    assert_eq!(health("a").await, (false, None));
}

#[tokio::test]
async fn a_rotation_keeps_the_earlier_secret_for_a_while() {
    let fixture = Fixture::with_webhook("a").await;
    let first = webhook("a").secret;
    let secrets = async || fixture.webhook_target(&kind("a")).await.expect("a target").expect("it is there").secrets;
    let hour = Duration::from_secs(3600);
    assert_eq!(fixture.rotate_webhook(&kind("none"), "whsec_2", hour).await.expect("no webhook"), None);
    assert!(fixture.rotate_webhook(&kind("a"), "whsec_2", hour).await.expect("rotated").is_some());
    assert_eq!(secrets().await, ["whsec_2".to_owned(), first.clone()]);
    assert!(fixture.webhooks(Some("a")).await.expect("webhooks")[0].previous_secret_until.is_some());
    // An overlap of zero ends all earlier secrets, also the secrets of an earlier rotation.
    fixture.rotate_webhook(&kind("a"), "whsec_3", Duration::ZERO).await.expect("rotated");
    assert_eq!(secrets().await, ["whsec_3"]);
    fixture.trim_webhooks(7, 100).await.expect("trimmed");
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.webhook_secret").await, 1);
    // Two rotations at the same time: both new secrets sign, and the first secret does too.
    concurrently(["whsec_4", "whsec_5"].map(|secret| {
        let fixture = &fixture;
        async move { fixture.rotate_webhook(&kind("a"), secret, hour).await.expect("rotated") }
    }))
    .await;
    let mut all = secrets().await;
    all.sort();
    assert_eq!(all, ["whsec_3", "whsec_4", "whsec_5"]);
}

#[tokio::test]
async fn the_log_is_read_by_page_and_kept_for_its_time() {
    let fixture = Fixture::with_webhook("a").await;
    let run = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.settle_one(run, Settle::Complete(None)).await, Settled::Done);
    let delivery = fixture.deliveries().await.remove(0).id;
    let since = chrono::Utc::now() - chrono::TimeDelta::hours(1);
    for attempt in 1..=3 {
        let note = AttemptNote { delivery, attempt, job: Some(run.id.0), ..note("a", 1, Some(500)) };
        fixture.note_webhook_attempt(&note).await.expect("noted");
        fixture.note_webhook_attempt(&AttemptNote { attempt, ..note.clone() }).await.expect("noted");
        fixture.note_webhook_attempt(&AttemptNote { webhook: kind("b"), ..note }).await.expect("noted");
    }
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let page = fixture.webhook_attempts(&kind("a"), before, 4).await.expect("a page");
        let Some(last) = page.last() else { break };
        before = Some(last.id);
        seen.extend(page);
    }
    assert_eq!(seen.len(), 6);
    assert!(seen.is_sorted_by(|one, next| one.id > next.id));
    let newest = &seen[0];
    assert_eq!((newest.delivery, newest.job, newest.status), (delivery, Some(run.id.0), Some(500)));
    assert_eq!((newest.answer.as_deref(), newest.state.as_deref(), newest.ms), (Some("an answer"), Some("queued"), 7));

    // Deliveries to send again: the ones that have ended in a wanted state, within the time.
    let until = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    let wanted = async |time, states: &[State]| {
        let page = fixture.replayable(&kind("a"), time, states, None, 100).await.expect("a page");
        (page.len(), page.iter().filter(|row| row.is_wanted).count())
    };
    assert_eq!(wanted((since, until), &[State::Dead]).await, (6, 0), "the delivery has not ended");
    fixture.cancel(&[delivery]).await.expect("cancel");
    assert_eq!(wanted((since, until), &[State::Dead]).await, (6, 0));
    assert_eq!(wanted((since, until), &[State::Dead, State::Cancelled]).await, (6, 6));
    assert_eq!(wanted((until, until), &[State::Cancelled]).await, (0, 0));
    let first = fixture.replayable(&kind("a"), (since, until), &[State::Dead], None, 2).await.expect("a page");
    let rest = fixture
        .replayable(&kind("a"), (since, until), &[State::Dead], Some((first[1].attempt, first[1].begun)), 100)
        .await;
    assert_eq!(rest.expect("a page").len(), 4);

    assert_eq!(fixture.trim_webhooks(1, 100).await.expect("trimmed"), 0);
    fixture.sql("UPDATE leasehold.webhook_attempt SET at = now() - interval '25 hours' WHERE webhook = 'a'").await;
    assert_eq!(fixture.trim_webhooks(1, 4).await.expect("trimmed"), 4);
    assert_eq!(fixture.trim_webhooks(1, 4).await.expect("trimmed"), 2);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.webhook_attempt").await, 3);
}

/// A role that may read jobs may see webhooks, but may not sign messages. A client that cancels needs no rights on webhooks.
#[tokio::test]
async fn secrets_are_only_for_those_who_send() {
    let fixture = Fixture::with_webhook("a").await;
    fixture.sql(include_str!("../../lib/store/sql/roles.sql")).await;
    let mut caller = fixture.connection().await;
    for (role, may_see, may_sign) in
        [("leasehold_worker", true, true), ("leasehold_reader", true, false), ("leasehold_app", false, false)]
    {
        for (table, may) in [("webhook", may_see), ("webhook_attempt", may_see), ("webhook_secret", may_sign)] {
            let script = format!("SET ROLE {role}; SELECT count(*) FROM leasehold.{table}");
            let read = sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut caller).await;
            assert_eq!(read.is_ok(), may, "{role} {table}: {read:?}");
            sqlx::raw_sql("RESET ROLE").execute(&mut caller).await.expect("reset");
        }
    }
    let id = fixture.queued().await;
    let cancel = format!("SET ROLE leasehold_app; SELECT leasehold.cancel('{id}'); RESET ROLE");
    sqlx::raw_sql(AssertSqlSafe(cancel)).execute(&mut caller).await.expect("cancel");
    fixture.was_told(id, "job.cancelled").await;
    let set = "SET ROLE leasehold_app; SELECT leasehold.set_webhook_trigger()";
    sqlx::raw_sql(set).execute(&mut caller).await.expect_err("an operator's function");
    let set = "RESET ROLE; SET ROLE leasehold_worker; SELECT leasehold.set_webhook_trigger() AS answer";
    let row = sqlx::raw_sql(set).fetch_one(&mut caller).await.expect("the trigger");
    assert_eq!(row.try_get_unchecked::<String, _>(0).expect("an answer"), "on");
    sqlx::raw_sql("RESET ROLE").execute(&mut caller).await.expect("reset");
}
