use crate::state::{Case, check};

#[tokio::test]
async fn look() {
    const SEED: &str = "asides: paint\naside:paint: e\nclaimed: d\nflags: overflow=1\nleases: a=waits b=+60s c=-60s d=waits e=waits\nready: a";
    const KEYS: &str = "ready claimed leases flags asides";
    check(
        "look",
        &[
            Case {
                name: "each number is of one key",
                seed: SEED,
                keys: KEYS,
                args: "",
                returns: "[1, 0, 1, 1, 1, 5, 3, 1, 1]",
                after: SEED,
            },
            Case {
                name: "a paused queue",
                seed: "flags: overflow=1 paused=1",
                keys: KEYS,
                args: "",
                returns: "[1, 1, 1, 0, 0, 0, 0, 0, 0]",
                after: "flags: overflow=1 paused=1",
            },
            Case {
                name: "a queue without keys",
                seed: "",
                keys: KEYS,
                args: "",
                returns: "[0, 0, 0, 0, 0, 0, 0, 0, 0]",
                after: "",
            },
        ],
    )
    .await;
}
