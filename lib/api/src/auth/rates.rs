//! How many requests each token may send in a second.

use governor::{
    DefaultKeyedRateLimiter, Quota,
    clock::{Clock, DefaultClock},
};
use std::{num::NonZeroU32, time::Duration};

/// The requests of each token.
#[derive(Debug)]
pub(super) struct Rates(Option<DefaultKeyedRateLimiter<String>>);

impl Rates {
    /// How many requests a token may send in a second, and how many at one moment. 0: any number.
    pub(super) fn new(per_second: u32) -> Self {
        Self(NonZeroU32::new(per_second).map(|rate| DefaultKeyedRateLimiter::keyed(Quota::per_second(rate))))
    }

    /// Counts a request. If the token has sent too many, returns the time after which it may send one again.
    pub(super) fn count(&self, id: &str) -> Option<Duration> {
        let rates = self.0.as_ref()?;
        let refused = rates.check_key(&id.to_owned()).err()?;
        Some(refused.wait_time_from(DefaultClock::default().now()))
    }

    /// Removes the tokens that are not used at the moment.
    pub(super) fn forget_idle(&self) {
        if let Some(rates) = &self.0 {
            rates.retain_recent();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_has_its_own_rate() {
        let rates = Rates::new(2);
        assert_eq!((rates.count("a"), rates.count("a")), (None, None));
        let wait = rates.count("a").expect("the third request is one too many");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1), "{wait:?}");
        assert_eq!(rates.count("b"), None);
        rates.forget_idle();
        assert!(rates.count("a").is_some(), "a token that is used is not forgotten");
        let any = Rates::new(0);
        assert!((0..1000).all(|_| any.count("a").is_none()));
    }
}
