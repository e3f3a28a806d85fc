//! The scaling signal: how many slots a queue could use now, and how many workers have these slots.

use serde::Serialize;

/// The part of the slots that an autoscaler plans to use, in percent. With 100 percent, a full fleet would look like a fleet of
/// the right size.
pub const TARGET_PERCENT: u32 = 90;

/// How many slots a queue could use now. All numbers of a queue that was never used are 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Demand {
    /// The queue.
    pub queue: String,
    /// The slots that the queue could use: the runs and the jobs that could start now.
    pub demand: u64,
    /// The jobs that could start now if there were a slot: not paused, with room in their limits, and of a kind that workers serve.
    pub waiting: u64,
    /// The runs on workers that are not draining.
    pub running: u64,
    /// The runs on workers that are draining. They need no slots of other workers.
    pub draining: u64,
    /// The live workers of the queue that are not draining.
    pub workers: u64,
    /// The slots of these workers for this queue.
    pub slots: u64,
    /// For how many seconds the oldest of the waiting jobs has been due; `null` if none waits.
    pub oldest_s: Option<f64>,
    /// In how many seconds the waiting jobs will have ended at the rate of the last minute; `null` if no job has ended in this time.
    pub drain_s: Option<f64>,
}

impl Demand {
    /// The demand of a queue that was never used. [`Demand::with`] sets the numbers.
    #[doc(hidden)]
    #[must_use]
    pub const fn new(queue: String) -> Self {
        Self {
            queue,
            demand: 0,
            waiting: 0,
            running: 0,
            draining: 0,
            workers: 0,
            slots: 0,
            oldest_s: None,
            drain_s: None,
        }
    }

    /// The slots of one worker, as the live workers have them; `None` without workers.
    #[must_use]
    pub fn slots_per_worker(&self) -> Option<f64> {
        (self.workers > 0 && self.slots > 0).then(|| self.slots as f64 / self.workers as f64)
    }

    /// Whether at least one worker is needed: jobs could start, or jobs run, also on workers that are draining.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.demand > 0 || self.draining > 0
    }
}

/// How many workers of `slots_per_replica` slots meet a demand, if each worker uses [`TARGET_PERCENT`] of its slots. A
/// HorizontalPodAutoscaler with the same target comes to the same number.
fn replicas_for(demand: u64, slots_per_replica: f64, min: u64, max: Option<u64>) -> u64 {
    // The quotient is rounded first: 9 / (10 × 0.9) must not become 1.0000000000000002.
    let wanted = demand as f64 * 100.0 / (slots_per_replica * f64::from(TARGET_PERCENT));
    let wanted = ((wanted * 1e9).round() / 1e9).ceil() as u64;
    wanted.min(max.unwrap_or(u64::MAX)).max(min)
}

/// The number of workers to suggest. It is known without the slots of a worker if there is no demand: the fewest workers.
#[must_use]
pub fn suggested_replicas(demand: u64, slots_per_replica: Option<f64>, min: u64, max: Option<u64>) -> Option<u64> {
    let slots = if demand == 0 { Some(1.0) } else { slots_per_replica };
    slots.map(|slots| replicas_for(demand, slots, min, max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_demand_needs_the_fewest_workers_whatever_their_slots_are() {
        assert_eq!([0, 2].map(|min| suggested_replicas(0, None, min, None)), [Some(0), Some(2)]);
        assert_eq!(suggested_replicas(1, None, 2, None), None);
        assert_eq!(suggested_replicas(9, Some(10.0), 0, None), Some(1));
    }

    #[test]
    fn a_worker_plans_to_use_nine_tenths_of_its_slots() {
        for (demand, slots, replicas) in [
            (0, 8.0, 0),
            (1, 8.0, 1),
            (7, 8.0, 1),
            (8, 8.0, 2),
            (9, 10.0, 1),
            (10, 10.0, 2),
            (1, 1.0, 2),
            (90, 10.0, 10),
        ] {
            assert_eq!(replicas_for(demand, slots, 0, None), replicas, "{demand} jobs, {slots} slots");
        }
    }

    #[test]
    fn the_bounds_hold() {
        assert_eq!(replicas_for(0, 8.0, 2, Some(5)), 2);
        assert_eq!(replicas_for(1_000_000, 8.0, 2, Some(5)), 5);
        assert_eq!(replicas_for(u64::MAX, 0.5, 0, Some(7)), 7);
    }
}
