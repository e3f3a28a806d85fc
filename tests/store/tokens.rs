//! Tokens and the audit: rows that say who may do what, and who has done what.

use crate::fixture::Fixture;
use leasehold_core::{Access, Scopes};
use leasehold_store::{AuditNote, TokenRow, UsableTokens};
use serde_json::json;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn scopes(texts: &[&str]) -> Scopes {
    Scopes(texts.iter().map(|text| text.parse().expect(text)).collect())
}

fn row<'a>(id: &'a str, scopes: &'a Scopes, valid_for: Option<Duration>) -> TokenRow<'a> {
    TokenRow { id, name: "n", scopes, hash: [1; 32], valid_for }
}

async fn usable(fixture: &Fixture) -> UsableTokens {
    fixture.usable_tokens().await.expect("tokens")
}

#[tokio::test]
async fn a_token_is_usable_until_it_is_revoked_or_expires() {
    let fixture = Fixture::start().await;
    let none = usable(&fixture).await;
    assert!(!none.are_needed && none.tokens.is_empty());
    let mail = scopes(&["enqueue:mail", "read"]);
    let made = fixture.create_token(&row("a", &mail, None)).await.expect("made");
    assert_eq!((made.scopes, made.expires_at), (vec!["enqueue:mail".to_owned(), "read".to_owned()], None));
    fixture.create_token(&row("b", &mail, Some(HOUR))).await.expect("made");
    fixture.sql("INSERT INTO leasehold.token (id, name, scopes, hash, expires_at) SELECT 'over', 'n', '{admin}', hash, now() FROM leasehold.token WHERE id = 'a'").await;
    let known = usable(&fixture).await;
    let mut ids: Vec<&str> = known.tokens.iter().map(|token| token.id.as_str()).collect();
    ids.sort_unstable();
    assert!(known.are_needed && ids == ["a", "b"], "{known:?}");
    let of = |known: &UsableTokens, id: &str| known.tokens.iter().find(|token| token.id == id).cloned();
    assert_eq!(of(&known, "a").expect("it").hash, ([1; 32], None));
    let left = of(&known, "b").and_then(|token| token.hash.1).expect("an end");
    assert!(left <= HOUR && left > HOUR / 2, "{left:?}");

    assert!(fixture.revoke_token("a").await.expect("revoked").is_some_and(|token| token.revoked_at.is_some()));
    assert!(fixture.revoke_token("a").await.expect("again").is_none(), "revoked before");
    assert!(fixture.revoke_token("none").await.expect("no token").is_none());
    fixture.revoke_token("b").await.expect("revoked");
    let known = usable(&fixture).await;
    assert!(known.are_needed && known.tokens.is_empty(), "tokens are still needed: {known:?}");
    assert_eq!(fixture.tokens(None).await.expect("tokens").len(), 3);
    assert_eq!(fixture.tokens(Some("b")).await.expect("one").len(), 1);
}

#[tokio::test]
async fn a_rotation_keeps_the_hash_before_for_a_time() {
    let fixture = Fixture::start().await;
    let all = scopes(&["admin"]);
    fixture.create_token(&row("a", &all, Some(HOUR))).await.expect("made");
    let rotated = fixture.rotate_token("a", [2; 32], HOUR, None).await.expect("rotated").expect("the token");
    assert!(rotated.old_until.is_some() && rotated.rotated_at.is_some());
    let token = usable(&fixture).await.tokens.remove(0);
    assert_eq!((token.hash.0, token.old_hash.map(|(hash, _)| hash)), ([2; 32], Some([1; 32])));
    fixture.rotate_token("a", [3; 32], Duration::ZERO, Some(HOUR * 9)).await.expect("rotated").expect("the token");
    let token = usable(&fixture).await.tokens.remove(0);
    assert_eq!((token.hash.0, token.old_hash), ([3; 32], None));
    assert!(token.hash.1.is_some_and(|left| left > HOUR * 8), "the end has moved: {token:?}");
    fixture.revoke_token("a").await.expect("revoked");
    assert!(fixture.rotate_token("a", [4; 32], HOUR, None).await.expect("refused").is_none());
    let audit = fixture.audit(None, 10).await.expect("rows");
    let actions: Vec<&str> = audit.iter().map(|row| row.action.as_str()).collect();
    assert_eq!(actions, ["token.revoke", "token.rotate", "token.rotate", "token.create"]);
    assert!(audit.iter().all(|row| row.target == "a" && row.actor == format!("cli:{}", row.db_user)), "{audit:?}");
    assert!(!json!(audit).to_string().contains("hash"));
}

#[tokio::test]
async fn a_scope_of_a_newer_program_allows_nothing() {
    let fixture = Fixture::start().await;
    let read = scopes(&["read"]);
    fixture.create_token(&row("a", &read, None)).await.expect("made");
    fixture.sql("UPDATE leasehold.token SET scopes = '{everything,work:q}'").await;
    let token = usable(&fixture).await.tokens.remove(0);
    assert_eq!(token.scopes, scopes(&["work:q"]));
    assert!(!token.scopes.allow(Access::Read, None));
    assert_eq!(fixture.tokens(None).await.expect("tokens")[0].scopes, ["everything", "work:q"]);
}

#[tokio::test]
async fn the_use_of_a_token_is_written_once_a_minute() {
    let fixture = Fixture::start().await;
    fixture.create_token(&row("a", &scopes(&["read"]), None)).await.expect("made");
    let used = async || {
        fixture.note_token_use(&["a".to_owned(), "none".to_owned()]).await.expect("noted");
        fixture.tokens(None).await.expect("tokens")[0].last_used_at.expect("a time")
    };
    let first = used().await;
    assert_eq!(used().await, first);
    fixture.sql("UPDATE leasehold.token SET last_used_at = last_used_at - interval '2 minutes'").await;
    assert!(used().await >= first);
}

#[tokio::test]
async fn the_audit_is_kept_for_400_days() {
    let fixture = Fixture::start().await;
    for target in ["old", "older", "new"] {
        let note = AuditNote { actor: Some("token:x"), action: "queue.pause", target, detail: json!({ "kind": null }) };
        fixture.note_audit(&note).await.expect("noted");
    }
    fixture.sql("UPDATE leasehold.audit SET at = at - interval '401 days' WHERE target <> 'new'").await;
    assert_eq!(fixture.audit(Some(HOUR), 10).await.expect("rows").len(), 1);
    assert_eq!(fixture.audit(None, 2).await.expect("rows").len(), 2);
    fixture.retain(HOUR).await.expect("retain");
    let left = fixture.audit(None, 10).await.expect("rows");
    assert_eq!(
        left.iter().map(|row| (row.target.as_str(), row.actor.as_str())).collect::<Vec<_>>(),
        [("new", "token:x")]
    );
}
