//! The example `examples/bots`: 20 bots, some of them killed, frozen or cut off from the network, and the four queries that must
//! all answer 0.

use crate::tools::{of_repository, python, succeeds};

#[test]
fn no_job_is_begun_twice_or_lost_and_the_queries_answer_0() {
    let mut measure = python();
    measure.arg(of_repository("examples/bots/measure.py"));
    measure.args(["--bots", "20", "--jobs", "10", "--rounds", "3", "--faults"]);
    let said = succeeds(&mut measure);
    for wanted in ["lost 0, double 0", "held_twice 0, disagree 0, stuck 0, overspent 0"] {
        assert!(said.contains(wanted), "{said}");
    }
}

#[test]
fn the_standard_library_and_curl_are_enough() {
    let said = succeeds(python().arg(of_repository("examples/bots/measure.py")).args(["--plain"]));
    assert!(
        said.contains("plain.py: 20 of 20 jobs succeeded") && said.contains("curl.sh: 5 of 5 jobs succeeded"),
        "{said}"
    );
}
