use crate::state::{Case, check};

#[tokio::test]
async fn renew() {
    check(
        "renew",
        &[
            Case {
                name: "sets deadlines, known or not, and leaves the others, run out or not",
                seed: "leases: a=+20s b=waits d=-60s e=+20s",
                keys: "leases",
                args: "60000 keep a b c",
                returns: "1",
                after: "leases: a=+60s b=+60s c=+60s d=-60s e=+20s",
            },
            Case {
                name: "drops what ran out, when told to",
                seed: "kinds: a=-60s b=+20s c=-60s",
                keys: "kinds",
                args: "60000 drop c d",
                returns: "1",
                after: "kinds: b=+20s c=+60s d=+60s",
            },
            Case {
                name: "no members",
                seed: "kinds: a=+20s",
                keys: "kinds",
                args: "60000 drop",
                returns: "0",
                after: "kinds: a=+20s",
            },
        ],
    )
    .await;
}
