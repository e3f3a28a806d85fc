//! A rate as people write it: `10/s`.

use std::{str::FromStr, time::Duration};

/// A number of jobs in a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rate {
    per_second: f64,
}

impl Rate {
    /// The time in which this number of jobs may be begun.
    pub(super) fn time_for(self, jobs: u64) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "far fewer jobs than 2^52")]
        let jobs = jobs as f64;
        Duration::try_from_secs_f64(jobs / self.per_second).unwrap_or(Duration::MAX)
    }

    /// How many jobs one step may begin, so that about ten steps make a second.
    pub(super) fn step_max(self) -> usize {
        let jobs = (self.per_second / 10.0).clamp(1.0, 1_000.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to 1,000")]
        let jobs = jobs as usize;
        jobs
    }
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let told = || format!("{text:?} is no rate; write 10/s, 100/m or 5000/h");
        let (count, unit) = text.trim().split_once('/').ok_or_else(told)?;
        let count: u32 = count.trim().parse().map_err(|_| told())?;
        let seconds = match unit.trim() {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(told()),
        };
        if count == 0 { Err(told()) } else { Ok(Self { per_second: f64::from(count) / seconds }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        let rate = |text: &str| text.parse::<Rate>();
        assert_eq!(rate("10/s").expect("a rate").time_for(5), Duration::from_millis(500));
        assert_eq!(rate("120/m").expect("a rate").time_for(4), Duration::from_secs(2));
        assert_eq!(rate("10/h").expect("a rate").step_max(), 1);
        assert_eq!(rate("4000000000/s").expect("a rate").step_max(), 1_000);
        for wrong in ["10", "0/s", "-1/s", "10/day", "x/s", "1.5/s"] {
            assert!(rate(wrong).expect_err(wrong).contains("is no rate"));
        }
    }
}
