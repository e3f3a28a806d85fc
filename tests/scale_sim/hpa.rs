//! The algorithm of the HorizontalPodAutoscaler for one external metric with the target type AverageValue, as a pure function of time.
//! Written from its documentation: <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/>.
//!
//! Each round: the wanted number from the metric (within the tolerance: no change; otherwise rounded up), then the stabilization windows,
//! then the policies, then the bounds.

/// Seconds of the simulated clock.
pub(crate) type Seconds = f64;

/// The kind of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Pods,
    Percent,
}

/// How many pods may be added or removed in a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Policy {
    pub(crate) unit: Unit,
    pub(crate) value: u32,
    pub(crate) period: Seconds,
}

/// Which of several policies decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "the manifests have only Max; the tests of the algorithm have all"))]
pub(crate) enum Select {
    /// The one that allows the largest change.
    Max,
    /// The one that allows the smallest change.
    Min,
    /// No change in this direction.
    Disabled,
}

/// `behavior.scaleUp` or `behavior.scaleDown`.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) window: Seconds,
    pub(crate) policies: Vec<Policy>,
    pub(crate) select: Select,
}

/// The manifest of an autoscaler.
#[derive(Clone, Debug)]
pub(crate) struct Hpa {
    pub(crate) min: u32,
    pub(crate) max: u32,
    /// The value of the metric that one pod can handle.
    pub(crate) target: f64,
    pub(crate) tolerance: f64,
    pub(crate) up: Rules,
    pub(crate) down: Rules,
}

/// What the controller remembers between rounds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    /// The wanted numbers of earlier rounds, before stabilization.
    recommendations: Vec<(Seconds, u32)>,
    /// How many pods were added, and removed, and when.
    added: Vec<(Seconds, u32)>,
    removed: Vec<(Seconds, u32)>,
}

impl Hpa {
    /// One round: the number of replicas for this value of the metric; `None`: the metric is not known.
    pub(crate) fn round(&self, memory: &mut Memory, now: Seconds, current: u32, metric: Option<f64>) -> u32 {
        // An autoscaler whose Deployment is at 0 is switched off: KEDA starts the first pod.
        let (Some(metric), 1..) = (metric, current) else { return current };
        let wanted = self.wanted(current, metric);
        let stable = self.stabilized(memory, now, current, wanted);
        let bounded = self.limited(memory, now, current, stable);
        if bounded > current {
            memory.added.push((now, bounded - current));
        } else if bounded < current {
            memory.removed.push((now, current - bounded));
        }
        bounded
    }

    /// The number for the metric alone.
    fn wanted(&self, current: u32, metric: f64) -> u32 {
        let ratio = metric / (self.target * f64::from(current));
        if (1.0 - ratio).abs() <= self.tolerance { current } else { (metric / self.target).ceil() as u32 }
    }

    /// Going up, the lowest number of the window counts; going down, the highest.
    fn stabilized(&self, memory: &mut Memory, now: Seconds, current: u32, wanted: u32) -> u32 {
        let within = |window: Seconds| {
            let recent = memory.recommendations.iter().filter(move |(at, _)| *at > now - window);
            recent.map(|(_, number)| *number).chain([wanted])
        };
        let (up, down) = (within(self.up.window).min(), within(self.down.window).max());
        let (up, down) = (up.unwrap_or(wanted), down.unwrap_or(wanted));
        let longest = self.up.window.max(self.down.window);
        memory.recommendations.retain(|(at, _)| *at > now - longest);
        memory.recommendations.push((now, wanted));
        current.max(up).min(down)
    }

    /// What the policies and the bounds allow.
    fn limited(&self, memory: &Memory, now: Seconds, current: u32, wanted: u32) -> u32 {
        let allowed = if wanted > current {
            wanted.min(self.highest(memory, now, current).max(current))
        } else if wanted < current {
            wanted.max(self.lowest(memory, now, current).min(current))
        } else {
            current
        };
        allowed.clamp(self.min, self.max)
    }

    /// The number of pods when the period of a policy began.
    fn at_begin(memory: &Memory, now: Seconds, current: u32, period: Seconds) -> f64 {
        let changed = |events: &[(Seconds, u32)]| {
            f64::from(events.iter().filter(|(at, _)| *at > now - period).map(|(_, pods)| *pods).sum::<u32>())
        };
        f64::from(current) - changed(&memory.added) + changed(&memory.removed)
    }

    fn highest(&self, memory: &Memory, now: Seconds, current: u32) -> u32 {
        let of = self.up.policies.iter().map(|policy| {
            let begin = Self::at_begin(memory, now, current, policy.period);
            match policy.unit {
                Unit::Pods => begin + f64::from(policy.value),
                Unit::Percent => (begin * (1.0 + f64::from(policy.value) / 100.0)).ceil(),
            }
        });
        match self.up.select {
            Select::Disabled => current,
            Select::Max => of.fold(0.0, f64::max) as u32,
            Select::Min => of.fold(f64::INFINITY, f64::min) as u32,
        }
    }

    fn lowest(&self, memory: &Memory, now: Seconds, current: u32) -> u32 {
        let of = self.down.policies.iter().map(|policy| {
            let begin = Self::at_begin(memory, now, current, policy.period);
            match policy.unit {
                Unit::Pods => begin - f64::from(policy.value),
                // A cast cuts off: 80 pods less 10 percent are 72, 9 pods less 10 percent are 8.
                Unit::Percent => (begin * (1.0 - f64::from(policy.value) / 100.0)).trunc(),
            }
        });
        match self.down.select {
            Select::Disabled => current,
            Select::Max => of.fold(f64::INFINITY, f64::min).max(0.0) as u32,
            Select::Min => of.fold(0.0, f64::max) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn policy(unit: Unit, value: u32, period: Seconds) -> Policy {
        Policy { unit, value, period }
    }

    fn rules(window: Seconds, select: Select, policies: &[Policy]) -> Rules {
        Rules { window, policies: policies.to_vec(), select }
    }

    /// An autoscaler with the rules that Kubernetes has by default.
    fn hpa() -> Hpa {
        let percent = policy(Unit::Percent, 100, 15.0);
        Hpa {
            min: 1,
            max: 1000,
            target: 10.0,
            tolerance: 0.1,
            up: rules(0.0, Select::Max, &[percent, policy(Unit::Pods, 4, 15.0)]),
            down: rules(300.0, Select::Max, &[percent]),
        }
    }

    /// The numbers of rounds with one value of the metric, a round each 15 s.
    fn rounds(hpa: &Hpa, memory: &mut Memory, begin: Seconds, mut current: u32, metric: f64, count: u32) -> Vec<u32> {
        (0..count)
            .map(|nth| {
                current = hpa.round(memory, begin + 15.0 * f64::from(nth), current, Some(metric));
                current
            })
            .collect()
    }

    #[test]
    fn within_the_tolerance_nothing_changes_and_otherwise_it_rounds_up() {
        let hpa = hpa();
        for (current, metric, wanted) in [
            (2, 40.0, 4),
            (2, 21.9, 2),
            (2, 22.1, 3),
            (2, 18.0, 2),
            (2, 17.9, 2),
            (4, 20.0, 2),
            (3, 21.0, 3),
            (3, 0.0, 0),
        ] {
            assert_eq!(hpa.wanted(current, metric), wanted, "{current} pods, {metric}");
        }
    }

    #[test]
    fn without_a_metric_and_without_pods_nothing_changes() {
        let (hpa, mut memory) = (hpa(), Memory::default());
        assert_eq!(hpa.round(&mut memory, 0.0, 7, None), 7);
        assert_eq!(hpa.round(&mut memory, 0.0, 0, Some(1e6)), 0);
        assert_eq!(hpa.round(&mut memory, 0.0, 1, Some(0.0)), 1, "not below the minimum");
    }

    #[test]
    fn by_default_it_doubles_or_adds_four_each_15_s() {
        let hpa = Hpa { max: 40, ..hpa() };
        assert_eq!(rounds(&hpa, &mut Memory::default(), 0.0, 1, 1e6, 6), [5, 10, 20, 40, 40, 40]);
    }

    #[test]
    fn by_default_it_goes_down_to_the_highest_number_of_five_minutes() {
        let (hpa, mut memory) = (hpa(), Memory::default());
        assert_eq!(rounds(&hpa, &mut memory, 0.0, 10, 100.0, 2), [10, 10]);
        // The last high number is of 15 s, and counts until 315 s.
        let down = rounds(&hpa, &mut memory, 30.0, 10, 20.0, 20);
        assert_eq!(down.iter().filter(|number| **number == 10).count(), 19, "{down:?}");
        assert_eq!(down.last(), Some(&2), "{down:?}");
    }

    #[test]
    fn percent_up_rounds_up_and_percent_down_cuts_off() {
        let ten_percent = [policy(Unit::Percent, 10, 60.0)];
        let hpa =
            Hpa { up: rules(0.0, Select::Max, &ten_percent), down: rules(0.0, Select::Max, &ten_percent), ..hpa() };
        let of = |current, metric| hpa.round(&mut Memory::default(), 0.0, current, Some(metric));
        // The example of the documentation goes from 80 pods to 72.
        assert_eq!((of(80, 0.0), of(72, 0.0), of(9, 0.0), of(1, 0.0)), (72, 64, 8, 1));
        assert_eq!((of(80, 1e6), of(1, 1e6), of(11, 1e6)), (88, 2, 13));
    }

    #[test]
    fn of_the_example_in_the_documentation_the_larger_change_decides() {
        // "The first policy (Pods) allows at most 4 replicas to be scaled down in one minute. The second policy (Percent) allows at most 10%".
        let both = [policy(Unit::Pods, 4, 60.0), policy(Unit::Percent, 10, 60.0)];
        let with = |select| Hpa { min: 10, down: rules(0.0, select, &both), ..hpa() };
        let down = |select, current| with(select).round(&mut Memory::default(), 0.0, current, Some(0.0));
        assert_eq!((down(Select::Max, 80), down(Select::Max, 40), down(Select::Max, 20)), (72, 36, 16));
        assert_eq!((down(Select::Min, 80), down(Select::Min, 20), down(Select::Disabled, 80)), (76, 18, 80));
        let up = |select| {
            let policies = [policy(Unit::Percent, 100, 60.0), policy(Unit::Pods, 4, 60.0)];
            let hpa = Hpa { up: rules(0.0, select, &policies), ..hpa() };
            hpa.round(&mut Memory::default(), 0.0, 10, Some(1e6))
        };
        assert_eq!((up(Select::Max), up(Select::Min), up(Select::Disabled)), (20, 14, 10));
    }

    #[test]
    fn a_policy_counts_the_changes_of_its_period() {
        let two = rules(0.0, Select::Max, &[policy(Unit::Pods, 2, 60.0)]);
        let hpa = Hpa { up: two.clone(), down: two, ..hpa() };
        let mut memory = Memory::default();
        assert_eq!(rounds(&hpa, &mut memory, 0.0, 1, 1e6, 6), [3, 3, 3, 3, 5, 5]);
        // Five pods, two of which were added within the last minute: the period began with three, and one may remain.
        assert_eq!(rounds(&hpa, &mut memory, 90.0, 5, 0.0, 1), [1]);
    }

    #[test]
    fn a_window_for_going_up_waits_for_the_lowest_number() {
        let up = rules(60.0, Select::Max, &[policy(Unit::Percent, 900, 15.0)]);
        let (hpa, mut memory) = (Hpa { up, ..hpa() }, Memory::default());
        assert_eq!(rounds(&hpa, &mut memory, 0.0, 2, 20.0, 1), [2]);
        assert_eq!(rounds(&hpa, &mut memory, 15.0, 2, 90.0, 5), [2, 2, 2, 9, 9]);
    }
}
