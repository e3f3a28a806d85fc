//! The current problems. The log says when a condition begins and when it ends, once each.

use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// The pause before the first attempt after a failure. The pause doubles with each failure, up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A thing that can fail for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Part {
    /// Reading the folder.
    Folder,
    /// Reports of the kernel about the folder.
    Reports,
    /// Enqueueing jobs, and asking for their ends.
    Database,
    /// Moving finished files.
    Moves,
}

impl Part {
    const fn works_again(self) -> &'static str {
        match self {
            Self::Folder => "the folder can be read again",
            Self::Reports => "the kernel reports changes of the folder again",
            Self::Database => "PostgreSQL is available again",
            Self::Moves => "finished files can be moved again",
        }
    }
}

/// The parts that fail now, and when each is tried again.
#[derive(Debug, Default)]
pub(crate) struct Conditions(BTreeMap<Part, (Duration, Instant)>);

impl Conditions {
    /// Whether the part may be tried now.
    pub(crate) fn may_try(&self, part: Part) -> bool {
        self.0.get(&part).is_none_or(|(_, next)| *next <= Instant::now())
    }

    /// When the part is tried again, if it fails now.
    pub(crate) fn next_try(&self, part: Part) -> Option<Instant> {
        self.0.get(&part).map(|(_, next)| *next)
    }

    /// Notes that the part failed. The first failure is logged.
    pub(crate) fn failed(&mut self, part: Part, told: impl FnOnce() -> String) {
        let pause = match self.0.get(&part) {
            Some((pause, _)) => (*pause * 2).min(PAUSE_MAX),
            None => {
                let told = told();
                tracing::warn!("{told}");
                PAUSE_MIN
            }
        };
        self.0.insert(part, (pause, Instant::now() + pause));
    }

    /// Notes that the part works. The first success after a failure is logged.
    pub(crate) fn works(&mut self, part: Part) {
        if self.0.remove(&part).is_some() {
            tracing::info!("{}", part.works_again());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_pauses_grow_and_a_condition_is_told_once() {
        let mut conditions = Conditions::default();
        let mut told = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert!(conditions.may_try(Part::Moves));
            conditions.failed(Part::Moves, || {
                told += 1;
                String::new()
            });
            assert!(!conditions.may_try(Part::Moves) && conditions.may_try(Part::Folder));
            let next = conditions.next_try(Part::Moves).expect("the part fails");
            pauses.push((next - Instant::now()).as_millis());
            tokio::time::sleep_until(next).await;
        }
        assert_eq!((told, pauses), (1, vec![100, 200, 400, 800, 1600, 3200, 5000, 5000]));
        conditions.works(Part::Moves);
        assert_eq!(conditions.next_try(Part::Moves), None);
    }
}
