//! The conclusions of a lane about the front of the head, for each set of kinds that its claims ask for. So a worker that claims
//! one job after another reuses the conclusions from its last claim.

use crate::claim::waiter::{Group, Groups};
use leasehold_ports::Kinds;
use leasehold_worker::{Front, Jitter};
use std::time::Duration;
use tokio::time::Instant;

/// How long the lane remembers what claims of some kinds have seen.
const REMEMBERED_FOR: Duration = Duration::from_secs(30);
/// The most sets of kinds that a lane remembers.
const REMEMBERED_AT_MOST: usize = 256;

/// The conclusions for one set of kinds.
#[derive(Debug)]
struct Known {
    kinds: Kinds,
    front: Front,
    /// Jobs of other kinds block the head, and the line has no jobs of these kinds: until then, claims that were tried wait.
    paused_until: Option<Instant>,
    used_at: Instant,
}

/// The conclusions for each set of kinds.
#[derive(Debug, Default)]
pub(super) struct Fronts(Vec<Known>);

impl Fronts {
    fn known(&mut self, kinds: &Kinds) -> &mut Known {
        let now = Instant::now();
        let place = match self.0.iter().position(|known| known.kinds == *kinds) {
            Some(place) => place,
            None => {
                self.0.retain(|known| now - known.used_at < REMEMBERED_FOR);
                if self.0.len() >= REMEMBERED_AT_MOST {
                    self.0.remove(0);
                }
                self.0.push(Known { kinds: kinds.clone(), front: Front::new(), paused_until: None, used_at: now });
                self.0.len() - 1
            }
        };
        let known = &mut self.0[place];
        known.used_at = now;
        known
    }

    /// The front for claims of these kinds.
    pub(super) fn of(&mut self, kinds: &Kinds) -> &mut Front {
        &mut self.known(kinds).front
    }

    /// The line has no job of these kinds, and jobs of other kinds block the head.
    pub(super) fn pause(&mut self, kinds: &Kinds, jitter: &Jitter) {
        let known = self.known(kinds);
        known.paused_until = Some(Instant::now() + known.front.pause(jitter));
    }

    /// Until when the claims of this group wait, if all of them were tried.
    fn paused_until(&self, group: &Group) -> Option<Instant> {
        let known = self.0.iter().find(|known| known.kinds == group.kinds)?;
        let is_tried = group.waiters.iter().all(|waiter| waiter.is_tried);
        known.paused_until.filter(|until| is_tried && *until > Instant::now())
    }

    pub(super) fn is_paused(&self, group: &Group) -> bool {
        self.paused_until(group).is_some()
    }

    /// When the next group that waits is tried again.
    pub(super) fn next_trial(&self, groups: &Groups) -> Option<Instant> {
        groups.0.iter().filter_map(|group| self.paused_until(group)).min()
    }
}
