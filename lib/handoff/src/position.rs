//! The position of a waiting hint, as a score of `leases` (see `lua/README.md`).

use chrono::{DateTime, Utc};
use leasehold_core::JobId;
use leasehold_ports::Hint;

/// Scores from here on are positions; lower ones are deadlines in ms since 1970.
pub(crate) const WAITING_FROM: &str = "2251799813685248";
/// The score of the position 1970-01-01. Redis stores scores as floating-point numbers, which are exact up to 2^53.
const ZERO: i64 = 1 << 52;
/// One unit of a score: 0.1 ms. 7,000 years have 2.2·10^15 of them, which is about 2^51.
const UNIT_US: i64 = 100;
/// The scores of all positions are between 2^51 and 2^53.
const FURTHEST: i64 = 1 << 51;
/// The score of a hint whose position is not known.
const UNKNOWN: &str = "-";

/// Whether a member of `leases` with this score waits.
#[expect(clippy::cast_precision_loss, reason = "a power of two")]
pub(crate) fn is_waiting(score: f64) -> bool {
    score >= FURTHEST as f64
}

fn score(line_at: DateTime<Utc>) -> i64 {
    ZERO + line_at.timestamp_micros().div_euclid(UNIT_US).clamp(-FURTHEST, FURTHEST - 1)
}

/// Whether a score is the position of this hint.
#[expect(clippy::cast_precision_loss, reason = "scores are below 2^53")]
pub(crate) fn is_at(hint: &Hint, waits_at: f64) -> bool {
    hint.line_at.is_none_or(|line_at| waits_at == score(line_at) as f64)
}

/// The arguments of scripts for these hints, in the order of their positions: the id and the score of each.
pub(crate) fn in_order(hints: &[Hint]) -> Vec<String> {
    let mut hints: Vec<(Option<i64>, JobId)> = hints.iter().map(|hint| (hint.line_at.map(score), hint.id)).collect();
    // Stable: hints with the same position keep their order.
    hints.sort_by_key(|(score, _)| *score);
    let pair = |(score, id): (Option<i64>, JobId)| {
        [id.to_string(), score.map_or_else(|| UNKNOWN.to_owned(), |score| score.to_string())]
    };
    hints.into_iter().flat_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_and_never_look_like_deadlines() {
        let ids: [JobId; 4] = std::array::from_fn(|_| JobId::new());
        let last = Hint::at(ids[0], DateTime::<Utc>::MAX_UTC);
        let first = Hint::at(ids[1], DateTime::<Utc>::MIN_UTC);
        let now = Hint::at(ids[2], Utc::now());
        let args = in_order(&[last, now, first, Hint::unused(ids[3])]);
        let (order, scores): (Vec<&String>, Vec<&String>) =
            (args.iter().step_by(2).collect(), args.iter().skip(1).step_by(2).collect());
        assert_eq!(
            order.iter().map(|id| id.parse().expect("an id")).collect::<Vec<JobId>>(),
            [ids[3], ids[1], ids[2], ids[0]]
        );
        assert_eq!(scores[0], UNKNOWN);
        for score in &scores[1..] {
            let number: f64 = score.parse().expect("a number");
            assert!(is_waiting(number), "{score}");
            assert_eq!(&&format!("{number:.0}"), score, "the score is exact");
        }
        assert!(!is_waiting(1.8e12), "a deadline");
        assert!(is_waiting(f64::INFINITY));
        assert_eq!(WAITING_FROM.parse(), Ok(FURTHEST));
    }
}
