use crate::state::{Case, check};

const KEYS: &str = "ready leases flags filled bell readings";

#[tokio::test]
async fn extend() {
    check(
        "extend",
        &[
            Case {
                name: "behind the last hint, in the order of the line",
                seed: "filled: m=+60s
                       flags: overflow=1
                       leases: a=+60s b=waits c=waits
                       ready: b c",
                keys: KEYS,
                args: "10 m n - d@ e@ f@",
                returns: "[3, 0, 0]",
                after: "filled: n=+60s
                        flags: overflow=@6
                        leases: a=+60s b=waits c=waits d=waits e=waits f=waits
                        ready: b c d e f",
            },
            Case {
                name: "no hint waits",
                seed: "filled: m=+60s
                       flags: overflow=1
                       leases: a=+60s",
                keys: KEYS,
                args: "10 m n - b@ c@",
                returns: "[2, 0, 0]",
                after: "filled: n=+60s
                        flags: overflow=@3
                        leases: a=+60s b=waits c=waits
                        ready: b c",
            },
            Case {
                name: "what is held already is not pushed again",
                seed: "aside:paint: e
                       asides: paint
                       filled: m=+30s
                       flags: overflow=1
                       leases: b=waits c=waits d=+60s e=waits
                       ready: b c",
                keys: KEYS,
                args: "10 m n - b@ d@ e@ f@",
                returns: "[1, 3, 0]",
                after: "aside:paint: e
                        asides: paint
                        filled: n=+30s
                        flags: overflow=@6
                        leases: b=waits c=waits d=+60s e=waits f=waits
                        ready: b c f",
            },
            Case {
                name: "all of them are held",
                seed: "filled: m=+60s
                       flags: overflow=1
                       leases: a=waits b=+60s
                       ready: a",
                keys: KEYS,
                args: "10 m n - b@",
                returns: "[0, 1, 0]",
                after: "filled: n=+60s
                        flags: overflow=@2
                        leases: a=waits b=+60s
                        ready: a",
            },
            Case {
                name: "up to the bound: the next one begins at the same place",
                seed: "filled: m=+60s
                       leases: a=waits b=+60s
                       ready: a",
                keys: KEYS,
                args: "3 m n - b@ c@ d@ e@",
                returns: "[2, 1, 0]",
                after: "filled: m=+60s
                        flags: overflow=@5
                        leases: a=waits b=+60s c=waits d=waits
                        ready: a c d",
            },
            Case {
                name: "a full head, and one over its bound",
                seed: "filled: m=+60s
                       leases: a=waits b=waits
                       ready: a b",
                keys: KEYS,
                args: "1 m n - c@ d@",
                returns: "[0, 0, 0]",
                after: "filled: m=+60s
                        flags: overflow=@3
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "nothing follows: the line is longer all the same",
                seed: "filled: m=+60s
                       leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 m n -",
                returns: "[0, 0, 0]",
                after: "filled: n=+60s
                        flags: overflow=1
                        leases: a=waits
                        ready: a",
            },
            Case {
                name: "filled up to another place: nothing is done",
                seed: "filled: n=+60s
                       leases: a=waits b=waits
                       ready: a b",
                keys: KEYS,
                args: "10 m n - c@",
                returns: "[0, 0, 1]",
                after: "filled: n=+60s
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "an id belongs before a waiting hint: nothing is done",
                seed: "filled: m=+60s
                       flags: overflow=@2
                       leases: a=waits d=waits
                       ready: a d",
                keys: KEYS,
                args: "10 m n - c@ e@",
                returns: "[0, 0, 1]",
                after: "filled: m=+60s
                        flags: overflow=@2
                        leases: a=waits d=waits
                        ready: a d",
            },
            Case {
                name: "a hint was refused since the line was read: the ids behind its position are left to the next one",
                seed: "filled: m=+60s
                       flags: overflow=@1
                       leases: a=waits
                       readings: 2=@4 n=2
                       ready: a",
                keys: KEYS,
                args: "10 m n 2 b@ c@ d@ e@",
                returns: "[2, 0, 0]",
                after: "filled: m=+60s
                        flags: overflow=@4
                        leases: a=waits b=waits c=waits
                        readings: 2=@4 n=2
                        ready: a b c",
            },
            Case {
                name: "filled too long ago: nothing is done",
                seed: "leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 m n - b@",
                returns: "[0, 0, 1]",
                after: "leases: a=waits
                        ready: a",
            },
            Case {
                name: "paused: nothing is done",
                seed: "filled: m=+60s
                       flags: overflow=1 paused=1
                       leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 m n - b@",
                returns: "[0, 0, 1]",
                after: "filled: m=+60s
                        flags: overflow=1 paused=1
                        leases: a=waits
                        ready: a",
            },
            Case {
                name: "what is pushed is rung for",
                seed: "bell:
                       filled: m=+60s
                       flags: overflow=1",
                keys: KEYS,
                args: "10 m n - a@ b@",
                returns: "[2, 0, 0]",
                after: "bell: 1
                        filled: n=+60s
                        flags: overflow=@2
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "nothing is pushed, and nobody told",
                seed: "bell:
                       filled: m=+60s
                       flags: overflow=1
                       leases: a=+60s",
                keys: KEYS,
                args: "10 m n - a@",
                returns: "[0, 1, 0]",
                after: "bell:
                        filled: n=+60s
                        flags: overflow=@1
                        leases: a=+60s",
            },
        ],
    )
    .await;
}
