//! A model of KEDA: looks at each polling interval, starts the first pod, and after the cooldown goes from any number straight to 0.
//! Between 1 and the maximum the HorizontalPodAutoscaler decides. Written from its documentation:
//! <https://keda.sh/docs/latest/concepts/scaling-deployments/>.

use crate::hpa::Seconds;

/// The manifest of a ScaledObject.
#[derive(Clone, Debug)]
pub(crate) struct ScaledObject {
    pub(crate) min: u32,
    pub(crate) cooldown: Seconds,
}

/// What KEDA remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    last_active: Option<Seconds>,
}

impl ScaledObject {
    /// What one look, or one message of a stream, does. `active`: `None` if the scaler answered with an error, which keeps the number.
    pub(crate) fn look(&self, memory: &mut Memory, now: Seconds, current: u32, active: Option<bool>) -> u32 {
        match active {
            None => current,
            Some(true) => {
                memory.last_active = Some(now);
                if current == 0 { self.min.max(1) } else { current }
            }
            Some(false) if self.min > 0 => current.max(self.min),
            Some(false) if memory.last_active.is_none_or(|at| now - at >= self.cooldown) => 0,
            Some(false) => current,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_job_starts_a_pod_and_the_cooldown_ends_all() {
        let (object, mut memory) = (ScaledObject { min: 0, cooldown: 300.0 }, Memory::default());
        let steps = [
            (0.0, 0, Some(false), 0),
            (30.0, 0, Some(true), 1),
            (60.0, 9, Some(true), 9),
            (90.0, 9, Some(false), 9),
            (120.0, 9, None, 9),
            (359.0, 9, Some(false), 9),
            (360.0, 9, Some(false), 0),
            (400.0, 0, None, 0),
        ];
        for (at, current, active, wanted) in steps {
            assert_eq!(object.look(&mut memory, at, current, active), wanted, "at {at} s");
        }
    }

    #[test]
    fn a_minimum_is_kept() {
        let (object, mut memory) = (ScaledObject { min: 2, cooldown: 300.0 }, Memory::default());
        assert_eq!(object.look(&mut memory, 0.0, 0, Some(false)), 2);
        assert_eq!(object.look(&mut memory, 1000.0, 5, Some(false)), 5, "the autoscaler decides");
    }
}
