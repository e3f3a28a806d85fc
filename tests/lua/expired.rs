use crate::state::{Case, check};

#[tokio::test]
async fn expired() {
    const SEED: &str = "leases: a=+60s b=-60s c=waits d=-90s e=-30s";
    check(
        "expired",
        &[
            Case {
                name: "those that ran out, the first one first",
                seed: SEED,
                keys: "leases",
                args: "10",
                returns: "[d, b, e]",
                after: SEED,
            },
            Case { name: "up to the limit", seed: SEED, keys: "leases", args: "2", returns: "[d, b]", after: SEED },
            Case { name: "no leases at all", seed: "", keys: "leases", args: "10", returns: "[]", after: "" },
        ],
    )
    .await;
}
