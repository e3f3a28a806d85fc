use crate::state::{Case, check};

const KEYS: &str = "ready leases flags claimed filled bell";

#[tokio::test]
async fn push() {
    check(
        "push",
        &[
            Case {
                name: "new hints go behind the others, in order",
                seed: "leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 back b c",
                returns: "[2, 0, 0, 0]",
                after: "leases: a=waits b=waits c=waits
                        ready: a b c",
            },
            Case {
                name: "what waits, is leased, or is named twice is a double",
                seed: "leases: a=waits b=+60s
                       ready: a",
                keys: KEYS,
                args: "10 back a b c c",
                returns: "[1, 3, 0, 0]",
                after: "leases: a=waits b=+60s c=waits
                        ready: a c",
            },
            Case {
                name: "the bound is kept, and what did not fit is noted",
                seed: "leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "2 back b c d",
                returns: "[1, 0, 2, 0]",
                after: "flags: overflow=1
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "behind a cut-off head there is no room, and no id is looked at",
                seed: "filled: m=+60s
                       flags: overflow=1
                       leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 back a b",
                returns: "[0, 0, 2, 0]",
                after: "filled: m=+60s
                        flags: overflow=1
                        leases: a=waits
                        ready: a",
            },
            Case {
                name: "the front is open even then, and keeps the order given",
                seed: "filled: m=+60s
                       flags: overflow=1
                       leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 front b c",
                returns: "[2, 0, 0, 0]",
                after: "filled: m=+60s
                        flags: overflow=1
                        leases: a=waits b=waits c=waits
                        ready: b c a",
            },
            Case {
                name: "at the front of a full head, the last ones fall off: it is not filled as far any more",
                seed: "filled: m=+60s
                       leases: a=waits b=waits c=waits
                       ready: a b c",
                keys: KEYS,
                args: "3 front d e",
                returns: "[2, 0, 2, 0]",
                after: "flags: overflow=1
                        leases: a=waits d=waits e=waits
                        ready: d e a",
            },
            Case {
                name: "a new hint at the front does not take a lease away",
                seed: "leases: a=+60s",
                keys: KEYS,
                args: "10 front a",
                returns: "[0, 1, 0, 0]",
                after: "leases: a=+60s",
            },
            Case {
                name: "given back: leased, in `claimed`, unknown; not what waits",
                seed: "claimed: b
                       leases: a=+60s b=waits d=waits
                       ready: d",
                keys: KEYS,
                args: "10 return a b c d",
                returns: "[3, 1, 0, 0]",
                after: "leases: a=waits b=waits c=waits d=waits
                        ready: a b c d",
            },
            Case {
                name: "given back twice in one call is given back once",
                seed: "leases: a=-60s",
                keys: KEYS,
                args: "10 return a a",
                returns: "[1, 1, 0, 0]",
                after: "leases: a=waits
                        ready: a",
            },
            Case {
                name: "paused: nothing is pushed",
                seed: "flags: paused=1",
                keys: KEYS,
                args: "10 front a b",
                returns: "[0, 0, 0, 1]",
                after: "flags: paused=1",
            },
            Case {
                name: "paused: what is given back is forgotten",
                seed: "claimed: b
                       flags: paused=1
                       leases: a=+60s b=waits c=+60s",
                keys: KEYS,
                args: "10 return a b",
                returns: "[0, 0, 0, 1]",
                after: "flags: paused=1
                        leases: c=+60s",
            },
            Case {
                name: "what is pushed is rung for",
                seed: "bell:",
                keys: KEYS,
                args: "10 back a b",
                returns: "[2, 0, 0, 0]",
                after: "bell: 1
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "nothing is pushed, and nobody told",
                seed: "bell:
                       leases: a=+60s",
                keys: KEYS,
                args: "10 back a",
                returns: "[0, 1, 0, 0]",
                after: "bell:
                        leases: a=+60s",
            },
        ],
    )
    .await;
}
