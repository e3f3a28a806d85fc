use crate::state::{Case, check};

#[tokio::test]
async fn adopt() {
    check(
        "adopt",
        &[
            Case {
                name: "nothing to adopt",
                seed: "leases: a=waits b=-60s
                       ready: a",
                keys: "claimed leases",
                args: "60000 10",
                returns: "0",
                after: "leases: a=waits b=-60s
                        ready: a",
            },
            Case {
                name: "waiting and unknown ones get a lease; one that stands is kept",
                seed: "claimed: a b c
                       leases: a=waits c=+20s d=waits
                       ready: d",
                keys: "claimed leases",
                args: "60000 10",
                returns: "3",
                after: "leases: a=+60s b=+60s c=+20s d=waits
                        ready: d",
            },
            Case {
                name: "up to the limit, the oldest first",
                seed: "claimed: a b
                       leases: a=waits b=waits",
                keys: "claimed leases",
                args: "60000 1",
                returns: "1",
                after: "claimed: b
                        leases: a=+60s b=waits",
            },
        ],
    )
    .await;
}
