//! Tokens, without their secrets.

use super::{human, table};
use chrono::Utc;
use leasehold_client::TokenRecord;

fn state(token: &TokenRecord) -> String {
    if let Some(at) = token.revoked_at {
        return format!("revoked {}", human::from_now(at));
    }
    match (token.expires_at, token.old_until.filter(|until| *until > Utc::now())) {
        (Some(at), _) if at <= Utc::now() => format!("expired {}", human::from_now(at)),
        (_, Some(until)) => format!("rotated; the old secret ends {}", human::from_now(until)),
        (Some(at), None) => format!("expires {}", human::from_now(at)),
        (None, None) => "valid".to_owned(),
    }
}

/// One line for each token.
pub(crate) fn list(tokens: &[TokenRecord]) -> String {
    if tokens.is_empty() {
        return "no tokens: `leasehold api` listens on loopback addresses only, and asks nobody for a token".to_owned();
    }
    table(
        ["id", "name", "scopes", "state", "used", "made"],
        tokens.iter().map(|token| {
            [
                token.id.clone(),
                token.name.clone(),
                token.scopes.join(" "),
                state(token),
                token.last_used_at.map_or_else(|| "never".to_owned(), human::from_now),
                human::from_now(token.created_at),
            ]
        }),
    )
}

/// The advice for a person who has just made or rotated a token.
pub(crate) fn remark(token: &TokenRecord) -> String {
    let end =
        token.expires_at.map_or_else(|| "does not expire".to_owned(), |at| format!("expires {}", human::from_now(at)));
    let old = match token.old_until {
        None => String::new(),
        Some(at) if at <= Utc::now() => " The old secret has ended.".to_owned(),
        Some(at) => format!(" The old secret ends {}.", human::from_now(at)),
    };
    format!("the token {} ({}) {end}. It is not shown again.{old}", token.id, token.name)
}
