use crate::state::{Case, check};

#[tokio::test]
async fn ack() {
    check(
        "ack",
        &[
            Case {
                name: "forgets leases, and what a blocking take left",
                seed: "claimed: b c
                       leases: a=+60s b=waits c=waits d=+60s
                       ready: a",
                keys: "leases claimed",
                args: "a b x",
                returns: "2",
                after: "claimed: c
                        leases: c=waits d=+60s
                        ready: a",
            },
            Case {
                name: "from every list named, every mention",
                seed: "aside:ink: c a
                       asides: ink
                       claimed: a
                       leases: a=waits b=waits c=waits
                       ready: a b a",
                keys: "leases claimed ready aside:ink",
                args: "a",
                returns: "1",
                after: "aside:ink: c
                        asides: ink
                        leases: b=waits c=waits
                        ready: b",
            },
        ],
    )
    .await;
}
