//! Decides which queues have separate series. A fleet may have ten thousand queues, and a metric must not have as many series.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

/// Stands for all queues without separate series.
pub const OTHER: &str = "_other";
/// A queue that had series keeps them until another one has this many times its activity. Otherwise two queues that are about equal
/// would replace each other again and again.
const STAYS: u64 = 2;

/// Which queues have separate series: the queues of a list, and the busiest of the other queues.
#[derive(Clone, Debug, Default)]
pub struct ShownQueues {
    always: BTreeSet<String>,
    busiest: usize,
}

impl ShownQueues {
    /// `always`: these queues have series, busy or not. `busiest`: how many of the other queues have series.
    #[must_use]
    pub fn new(always: impl IntoIterator<Item = String>, busiest: usize) -> Self {
        Self { always: always.into_iter().collect(), busiest }
    }

    /// The queues that have series, from all queues with their activity. `before`: the queues that had series until now.
    #[must_use]
    pub fn choose<'a>(
        &self,
        queues: impl IntoIterator<Item = (&'a str, u64)>,
        before: &BTreeSet<String>,
    ) -> BTreeSet<String> {
        let (mut chosen, mut others) = (BTreeSet::new(), Vec::new());
        for (queue, activity) in queues.into_iter().filter(|(queue, _)| *queue != OTHER) {
            if self.always.contains(queue) {
                chosen.insert(queue.to_owned());
            } else {
                let weight = if before.contains(queue) { activity.saturating_mul(STAYS) } else { activity };
                others.push((Reverse(weight), !before.contains(queue), queue));
            }
        }
        others.sort_unstable();
        chosen.extend(others.into_iter().take(self.busiest).map(|(_, _, queue)| queue.to_owned()));
        chosen
    }
}

/// One value for each chosen queue, and one for all others together, if there are any. `add` adds a value to the value of the
/// other queues.
pub fn grouped<'a, V>(
    chosen: &BTreeSet<String>,
    values: impl IntoIterator<Item = (&'a str, V)>,
    add: impl Fn(&mut V, V),
) -> BTreeMap<&'a str, V> {
    let mut grouped = BTreeMap::new();
    for (queue, value) in values {
        let name = if chosen.contains(queue) { queue } else { OTHER };
        match grouped.get_mut(name) {
            Some(sum) => add(sum, value),
            None => drop(grouped.insert(name, value)),
        }
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|nth| format!("q{nth:05}")).collect()
    }

    #[test]
    fn of_ten_thousand_queues_the_busiest_and_those_of_the_list_have_series() {
        let names = names(10_000);
        let of = |nth: usize| (names[nth].as_str(), nth as u64);
        let shown = ShownQueues::new(["q00007".to_owned(), "absent".to_owned()], 200);
        let chosen = shown.choose((0..names.len()).map(of), &BTreeSet::new());
        assert_eq!(chosen.len(), 201);
        assert!(chosen.contains("q00007") && chosen.contains("q09999") && chosen.contains("q09800"));
        let grouped = grouped(&chosen, (0..names.len()).map(of), |sum, value| *sum += value);
        assert_eq!(grouped.len(), 202);
        assert_eq!(grouped.values().sum::<u64>(), (0..10_000).sum::<u64>(), "nothing is lost");
        assert_eq!(grouped["q00007"], 7);
    }

    #[test]
    fn a_queue_keeps_its_series_until_another_one_is_twice_as_busy() {
        let shown = ShownQueues::new([], 1);
        let first = shown.choose([("a", 10), ("b", 9)], &BTreeSet::new());
        assert_eq!(first, BTreeSet::from(["a".to_owned()]));
        assert_eq!(shown.choose([("a", 10), ("b", 20)], &first), first);
        assert_eq!(shown.choose([("a", 10), ("b", 21)], &first), BTreeSet::from(["b".to_owned()]));
        assert_eq!(shown.choose([("b", 0), ("a", 0)], &first), first, "idle queues too");
    }

    #[test]
    fn a_queue_with_the_name_of_the_others_is_one_of_them() {
        let shown = ShownQueues::new([OTHER.to_owned()], 5);
        let chosen = shown.choose([(OTHER, 10), ("b", 9)], &BTreeSet::new());
        let grouped = grouped(&chosen, [(OTHER, 10), ("b", 9)], |sum, value| *sum += value);
        assert_eq!(grouped, BTreeMap::from([(OTHER, 10), ("b", 9)]));
    }
}
