use crate::state::{Case, check};

const KEYS: &str = "ready leases flags";

#[tokio::test]
async fn extend() {
    check(
        "extend",
        &[
            Case {
                name: "behind the last hint, in the order of the line",
                seed: "flags: overflow=1
                       leases: a=+60s b=waits c=waits
                       ready: b c",
                keys: KEYS,
                args: "10 c d e f",
                returns: "[3, 0, 0]",
                after: "flags: overflow=1
                        leases: a=+60s b=waits c=waits d=waits e=waits f=waits
                        ready: b c d e f",
            },
            Case {
                name: "what is held already is not pushed again",
                seed: "aside:paint: e
                       asides: paint
                       flags: overflow=1
                       leases: b=waits c=waits d=+60s e=waits
                       ready: b c",
                keys: KEYS,
                args: "10 c b d e f",
                returns: "[1, 3, 0]",
                after: "aside:paint: e
                        asides: paint
                        flags: overflow=1
                        leases: b=waits c=waits d=+60s e=waits f=waits
                        ready: b c f",
            },
            Case {
                name: "all of them are held",
                seed: "flags: overflow=1
                       leases: a=waits b=+60s
                       ready: a",
                keys: KEYS,
                args: "10 a b",
                returns: "[0, 1, 0]",
                after: "flags: overflow=1
                        leases: a=waits b=+60s
                        ready: a",
            },
            Case {
                name: "up to the bound",
                seed: "leases: a=waits b=+60s
                       ready: a",
                keys: KEYS,
                args: "3 a b c d e",
                returns: "[2, 1, 0]",
                after: "flags: overflow=1
                        leases: a=waits b=+60s c=waits d=waits
                        ready: a c d",
            },
            Case {
                name: "a full head, and one over its bound",
                seed: "leases: a=waits b=waits
                       ready: a b",
                keys: KEYS,
                args: "1 b c d",
                returns: "[0, 0, 0]",
                after: "flags: overflow=1
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "nothing follows: the line is longer all the same",
                seed: "leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 a",
                returns: "[0, 0, 0]",
                after: "flags: overflow=1
                        leases: a=waits
                        ready: a",
            },
            Case {
                name: "another hint is the last one: nothing is done",
                seed: "leases: a=waits b=waits
                       ready: a b",
                keys: KEYS,
                args: "10 a c",
                returns: "[0, 0, 1]",
                after: "leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "none waits any more: nothing is done",
                seed: "leases: a=+60s",
                keys: KEYS,
                args: "10 a b",
                returns: "[0, 0, 1]",
                after: "leases: a=+60s",
            },
            Case {
                name: "paused: nothing is done",
                seed: "flags: overflow=1 paused=1
                       leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 a b",
                returns: "[0, 0, 1]",
                after: "flags: overflow=1 paused=1
                        leases: a=waits
                        ready: a",
            },
        ],
    )
    .await;
}
