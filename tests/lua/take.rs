use crate::state::{Case, check};

#[tokio::test]
async fn take() {
    check(
        "take",
        &[
            Case {
                name: "takes up to the limit, next one first",
                seed: "leases: a=waits b=waits c=waits
                       ready: a b c",
                keys: "ready claimed leases flags asides bell",
                args: "10 60000 2",
                returns: "[0, 0, [a, b], []]",
                after: "leases: a=+60s b=+60s c=waits
                        ready: c",
            },
            Case {
                name: "nothing there",
                seed: "",
                keys: "ready claimed leases flags asides bell",
                args: "10 60000 5",
                returns: "[0, 0, [], []]",
                after: "",
            },
            Case {
                name: "a limit of nothing only leases what was taken before",
                seed: "claimed: a
                       leases: a=waits b=waits
                       ready: b",
                keys: "ready claimed leases flags asides bell",
                args: "10 60000 0 a",
                returns: "[0, 0, [a], []]",
                after: "leases: a=+60s b=waits
                        ready: b",
            },
            Case {
                name: "what is no longer in `claimed` is somebody else's",
                seed: "claimed: c
                       leases: a=+20s b=waits c=waits
                       ready: b",
                keys: "ready claimed leases flags asides bell",
                args: "10 60000 1 a",
                returns: "[0, 0, [b], []]",
                after: "claimed: c
                        leases: a=+20s b=+60s c=waits",
            },
            Case {
                name: "hints aside and the others come in the order of the line; an empty list is struck off",
                seed: "aside:ink: i
                       aside:oil: o p
                       asides: ink oil
                       leases: a=waits i=waits o=waits p=waits
                       ready: a",
                keys: "ready claimed leases flags asides bell aside:oil aside:ink",
                args: "10 60000 3 oil ink",
                returns: "[0, 0, [a, i, o], [oil]]",
                after: "aside:oil: p
                        asides: oil
                        leases: a=+60s i=+60s o=+60s p=waits",
            },
            Case {
                name: "at the same position, a hint aside comes first",
                seed: "aside:ink: i
                       asides: ink
                       leases: a=waits@5 i=waits@5
                       ready: a",
                keys: "ready claimed leases flags asides bell aside:ink",
                args: "10 60000 1 ink",
                returns: "[0, 0, [i], []]",
                after: "leases: a=waits@5 i=+60s
                        ready: a",
            },
            Case {
                name: "kinds not served stay aside, and are told",
                seed: "aside:ink: i
                       aside:oil: o
                       asides: ink oil
                       leases: a=waits i=waits o=waits
                       ready: a",
                keys: "ready claimed leases flags asides bell aside:oil",
                args: "10 60000 9 oil",
                returns: "[0, 0, [a, o], [ink]]",
                after: "aside:ink: i
                        asides: ink
                        leases: a=+60s i=waits o=+60s",
            },
            Case {
                name: "kinds and ids to adopt are told apart",
                seed: "aside:oil: o
                       asides: oil
                       claimed: c
                       leases: c=waits o=waits",
                keys: "ready claimed leases flags asides bell aside:ink aside:oil",
                args: "10 60000 9 ink oil c",
                returns: "[0, 0, [c, o], []]",
                after: "leases: c=+60s o=+60s",
            },
            Case {
                name: "low: below half of the bound, and the line is longer",
                seed: "flags: overflow=1
                       leases: a=waits b=waits
                       ready: a b",
                keys: "ready claimed leases flags asides bell",
                args: "4 60000 1",
                returns: "[0, 1, [a], []]",
                after: "flags: overflow=1
                        leases: a=+60s b=waits
                        ready: b",
            },
            Case {
                name: "not low: half of the bound is left",
                seed: "flags: overflow=1
                       leases: a=waits b=waits c=waits
                       ready: a b c",
                keys: "ready claimed leases flags asides bell",
                args: "4 60000 1",
                returns: "[0, 0, [a], []]",
                after: "flags: overflow=1
                        leases: a=+60s b=waits c=waits
                        ready: b c",
            },
            Case {
                name: "paused: nothing is taken, and what lay in `claimed` is forgotten",
                seed: "claimed: a
                       flags: overflow=1 paused=1
                       leases: a=waits b=+60s",
                keys: "ready claimed leases flags asides bell",
                args: "10 60000 5 a b",
                returns: "[1, 0, [], []]",
                after: "flags: overflow=1 paused=1
                        leases: b=+60s",
            },
            Case {
                name: "what is left is rung for",
                seed: "bell:
                       leases: a=waits b=waits
                       ready: a b",
                keys: "ready claimed leases flags asides bell",
                args: "10 60000 1",
                returns: "[0, 0, [a], []]",
                after: "bell: 1
                        leases: a=+60s b=waits
                        ready: b",
            },
            Case {
                name: "nothing is left, and nobody told",
                seed: "bell:
                       leases: a=waits
                       ready: a",
                keys: "ready claimed leases flags asides bell",
                args: "10 60000 1",
                returns: "[0, 0, [a], []]",
                after: "bell:
                        leases: a=+60s",
            },
        ],
    )
    .await;
}
