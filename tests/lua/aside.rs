use crate::state::{Case, check};

const KEYS: &str = "aside:ink asides leases flags";

#[tokio::test]
async fn aside() {
    check(
        "aside",
        &[
            Case {
                name: "leased hints wait for their kind",
                seed: "leases: a=+60s b=+60s c=+60s
                       ready: d",
                keys: KEYS,
                args: "ink 10 a@ b@",
                returns: "[2, 0]",
                after: "aside:ink: a b
                        asides: ink
                        leases: a=waits b=waits c=+60s
                        ready: d",
            },
            Case {
                name: "beyond the bound they are forgotten",
                seed: "aside:ink: x
                       asides: ink
                       leases: a=+60s b=+60s x=waits",
                keys: KEYS,
                args: "ink 2 a@ b@",
                returns: "[1, 1]",
                after: "aside:ink: a x
                        asides: ink
                        leases: a=waits x=waits",
            },
            Case {
                name: "what waits or is unknown is left alone",
                seed: "leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "ink 10 a@ b@",
                returns: "[0, 0]",
                after: "leases: a=waits
                        ready: a",
            },
            Case {
                name: "named twice is set aside once",
                seed: "leases: a=+60s",
                keys: KEYS,
                args: "ink 10 a@ a@",
                returns: "[1, 0]",
                after: "aside:ink: a
                        asides: ink
                        leases: a=waits",
            },
            Case {
                name: "a paused queue keeps nothing",
                seed: "flags: paused=1
                       leases: a=+60s",
                keys: KEYS,
                args: "ink 10 a@",
                returns: "[0, 1]",
                after: "flags: paused=1",
            },
        ],
    )
    .await;
}
