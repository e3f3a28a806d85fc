//! Limits: as a list, and one limit.

use super::{human, table};
use leasehold::LimitRecord;

fn or_any(number: Option<i32>) -> String {
    number.map_or_else(|| "any".to_owned(), |number| number.to_string())
}

fn waiting(limit: &LimitRecord) -> String {
    // The count stops there.
    if limit.waiting >= 10_000 { "10000 or more".to_owned() } else { limit.waiting.to_string() }
}

/// One line for each limit.
pub(crate) fn list(limits: &[LimitRecord]) -> String {
    if limits.is_empty() {
        return "no limits".to_owned();
    }
    table(
        ["key", "running", "limit", "rate", "burst", "waiting", "set"],
        limits.iter().map(|limit| {
            [
                limit.key.clone(),
                limit.running_now.to_string(),
                or_any(limit.running),
                limit.rate.clone().unwrap_or_else(|| "any".to_owned()),
                limit.burst.map_or_else(|| "-".to_owned(), |burst| burst.to_string()),
                waiting(limit),
                human::from_now(limit.changed_at),
            ]
        }),
    )
}

/// All fields of one limit.
pub(crate) fn card(limit: &LimitRecord) -> String {
    let lines = [
        ("key", limit.key.clone()),
        ("running", format!("{} of {}", limit.running_now, or_any(limit.running))),
        ("rate", limit.rate.clone().unwrap_or_else(|| "any".to_owned())),
        ("burst", limit.burst.map_or_else(|| "-".to_owned(), |burst| burst.to_string())),
        ("waiting", waiting(limit)),
        ("set", human::time(limit.changed_at)),
    ];
    lines.map(|(name, value)| format!("{name:<12}  {value}")).join("\n")
}
