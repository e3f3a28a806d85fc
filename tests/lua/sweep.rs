use crate::state::{Case, check};

#[tokio::test]
async fn sweep() {
    check(
        "sweep",
        &[
            Case {
                name: "a healthy queue is left as it is",
                seed: "aside:ink: i
                       asides: ink
                       claimed: c
                       leases: a=waits b=+60s c=waits i=waits
                       ready: a",
                keys: "leases asides claimed ready aside:ink",
                args: "1 ink",
                returns: "[0, 0, 0]",
                after: "aside:ink: i
                        asides: ink
                        claimed: c
                        leases: a=waits b=+60s c=waits i=waits
                        ready: a",
            },
            Case {
                name: "waiting in no list: forgotten",
                seed: "claimed: c
                       leases: a=waits b=+60s c=waits d=-60s
                       ready: x",
                keys: "leases asides claimed ready",
                args: "1",
                returns: "[1, 1, 0]",
                after: "claimed: c
                        leases: b=+60s c=waits d=-60s x=waits@?
                        ready: x",
            },
            Case {
                name: "in a list and unknown: waits behind the hint before it",
                seed: "leases: a=waits c=waits
                       ready: a b c",
                keys: "leases asides claimed ready",
                args: "0",
                returns: "[0, 1, 0]",
                after: "leases: a=waits b=waits@1 c=waits
                        ready: a b c",
            },
            Case {
                name: "the set was lost: all that is listed waits",
                seed: "aside:ink: i
                       asides: ink
                       claimed: c
                       ready: a b",
                keys: "leases asides claimed ready aside:ink",
                args: "0 ink",
                returns: "[0, 4, 0]",
                after: "aside:ink: i
                        asides: ink
                        claimed: c
                        leases: a=waits@? b=waits@? c=waits@? i=waits@?
                        ready: a b",
            },
            Case {
                name: "second mentions and leased jobs leave the lists; `claimed` is left to adopt",
                seed: "aside:ink: i a b
                       asides: ink
                       claimed: c
                       leases: a=waits b=+60s c=+60s d=waits i=waits
                       ready: a b a d",
                keys: "leases asides claimed ready aside:ink",
                args: "0 ink",
                returns: "[0, 0, 4]",
                after: "aside:ink: i
                        asides: ink
                        claimed: c
                        leases: a=waits b=+60s c=+60s d=waits i=waits
                        ready: a d",
            },
            Case {
                name: "without force, numbers that agree are enough",
                seed: "leases: a=waits c=+60s
                       ready: b",
                keys: "leases asides claimed ready",
                args: "0",
                returns: "[0, 0, 0]",
                after: "leases: a=waits c=+60s
                        ready: b",
            },
            Case {
                name: "kinds without a list are struck off",
                seed: "asides: ink",
                keys: "leases asides claimed ready aside:ink",
                args: "0 ink",
                returns: "[0, 0, 0]",
                after: "",
            },
            Case {
                name: "nothing is done when an aside list is not named",
                seed: "aside:ink: i
                       asides: ink
                       leases: a=waits i=waits",
                keys: "leases asides claimed ready",
                args: "1",
                returns: "[0, 0, 0]",
                after: "aside:ink: i
                        asides: ink
                        leases: a=waits i=waits",
            },
        ],
    )
    .await;
}
