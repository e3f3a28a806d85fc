use crate::state::{Case, check};

const KEYS: &str = "ready leases flags filled bell readings";

#[tokio::test]
async fn fill() {
    check(
        "fill",
        &[
            Case {
                name: "into an empty head, in the order of the line",
                seed: "",
                keys: KEYS,
                args: "10 0 m 30000 - a@ b@ c@",
                returns: "[3, 0, 0]",
                after: "leases: a=waits b=waits c=waits
                        ready: a b c",
            },
            Case {
                name: "nothing is missing: only `overflow` is put right",
                seed: "filled: l=+60s
                       flags: overflow=1
                       leases: a=waits b=+60s
                       ready: a",
                keys: KEYS,
                args: "10 0 m 30000 - a@ b@",
                returns: "[0, 2, 0]",
                after: "leases: a=waits b=+60s
                        ready: a",
            },
            Case {
                name: "the line goes on",
                seed: "leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 1 m 30000 - a@ b@",
                returns: "[1, 1, 0]",
                after: "filled: m=+30s
                        flags: overflow=@2
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "the line goes on, and up to another place than before",
                seed: "filled: l=+60s
                       flags: overflow=1
                       leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 1 m 30000 - a@ b@",
                returns: "[1, 1, 0]",
                after: "filled: m=+30s
                        flags: overflow=@2
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "nothing is missing up to this place: it is still filled as far as before",
                seed: "filled: z=+60s
                       flags: overflow=1
                       leases: a=waits b=+60s
                       ready: a",
                keys: KEYS,
                args: "10 1 m 30000 - a@ b@",
                returns: "[0, 2, 0]",
                after: "filled: z=+30s
                        flags: overflow=@2
                        leases: a=waits b=+60s
                        ready: a",
            },
            Case {
                name: "nothing is missing up to this place, and it was not known how far it is filled",
                seed: "leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 1 m 30000 - a@",
                returns: "[0, 1, 0]",
                after: "filled: m=+30s
                        flags: overflow=@1
                        leases: a=waits
                        ready: a",
            },
            Case {
                name: "the line goes on, up to a place that is not known",
                seed: "filled: l=+60s",
                keys: KEYS,
                args: "10 1 - 30000 - a@",
                returns: "[1, 0, 0]",
                after: "flags: overflow=@1
                        leases: a=waits
                        ready: a",
            },
            Case {
                name: "the line goes on, and not all before it has room",
                seed: "filled: l=+60s
                       leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "2 1 m 30000 - a@ b@ c@",
                returns: "[1, 1, 0]",
                after: "flags: overflow=@3
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "the line goes on, and what waits before it has no room any more",
                seed: "leases: a=waits c=waits
                       ready: a c",
                keys: KEYS,
                args: "2 1 m 30000 - a@ b@ c@",
                returns: "[1, 2, 0]",
                after: "flags: overflow=@3
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "each to its position",
                seed: "leases: b=waits c=+60s d=waits x=waits
                       ready: b d x",
                keys: KEYS,
                args: "10 0 m 30000 - a@ b@ c@ d@ e@",
                returns: "[2, 3, 0]",
                after: "leases: a=waits b=waits c=+60s d=waits e=waits x=waits
                        ready: a b d e x",
            },
            Case {
                name: "what waits moves to the position that the line has for it",
                seed: "leases: a=waits@9 b=waits c=waits@? x=waits@4
                       ready: c b x a",
                keys: KEYS,
                args: "10 0 m 30000 - a@ b@ c@",
                returns: "[0, 3, 0]",
                after: "leases: a=waits b=waits c=waits x=waits@4
                        ready: a b c x",
            },
            Case {
                name: "moved and missing",
                seed: "aside:ink: d
                       asides: ink
                       leases: b=waits@9 d=waits@9
                       ready: b",
                keys: KEYS,
                args: "10 1 m 30000 - a@ b@ c@ d@",
                returns: "[2, 2, 0]",
                after: "aside:ink: d
                        asides: ink
                        filled: m=+30s
                        flags: overflow=@4
                        leases: a=waits b=waits c=waits d=waits
                        ready: a b c",
            },
            Case {
                name: "at the same position, in the order of the line",
                seed: "leases: b=waits@5 x=waits@5
                       ready: x b",
                keys: KEYS,
                args: "10 0 m 30000 - a@5 b@5 c@5",
                returns: "[2, 1, 0]",
                after: "leases: a=waits@5 b=waits@5 c=waits@5 x=waits@5
                        ready: a b c x",
            },
            Case {
                name: "behind what is leased",
                seed: "leases: a=+60s b=waits
                       ready: b",
                keys: KEYS,
                args: "10 0 m 30000 - b@ a@ c@",
                returns: "[1, 2, 0]",
                after: "leases: a=+60s b=waits c=waits
                        ready: b c",
            },
            Case {
                name: "no room for all at the end",
                seed: "filled: l=+60s
                       leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "2 0 m 30000 - a@ b@ c@",
                returns: "[1, 1, 0]",
                after: "flags: overflow=@3
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "no room at the end: hints from further back make place",
                seed: "filled: l=+60s
                       leases: w=waits x=waits y=waits z=waits
                       ready: w x y z",
                keys: KEYS,
                args: "4 1 m 30000 - x@ a@ b@",
                returns: "[2, 1, 0]",
                after: "flags: overflow=@2
                        leases: a=waits b=waits w=waits x=waits
                        ready: a b w x",
            },
            Case {
                name: "no room at the end, and all that waits is from further back",
                seed: "flags: overflow=1
                       leases: w=waits x=waits y=waits
                       ready: w x y",
                keys: KEYS,
                args: "3 1 m 30000 - a@ b@",
                returns: "[2, 0, 0]",
                after: "flags: overflow=@2
                        leases: a=waits b=waits w=waits
                        ready: a b w",
            },
            Case {
                name: "no room in the middle: the last ones make place",
                seed: "filled: l=+60s
                       leases: b=waits c=waits
                       ready: b c",
                keys: KEYS,
                args: "2 0 m 30000 - a@ b@ c@ d@",
                returns: "[1, 2, 0]",
                after: "flags: overflow=@3
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "no room in the middle: all that is missing fits, what waits does not",
                seed: "filled: l=+60s
                       leases: a=waits c=waits
                       ready: a c",
                keys: KEYS,
                args: "2 0 m 30000 - a@ b@ c@",
                returns: "[1, 2, 0]",
                after: "flags: overflow=@3
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "what is leased in between does not matter",
                seed: "leases: b=+60s c=waits
                       ready: c",
                keys: KEYS,
                args: "10 0 m 30000 - a@ b@ c@",
                returns: "[1, 2, 0]",
                after: "leases: a=waits b=+60s c=waits
                        ready: a c",
            },
            Case {
                name: "a hint that waits twice does not make others come twice",
                seed: "leases: b=waits
                       ready: b b",
                keys: KEYS,
                args: "10 0 m 30000 - a@ b@",
                returns: "[1, 1, 0]",
                after: "leases: a=waits b=waits
                        ready: a b b",
            },
            Case {
                name: "a head over its bound loses its last ones when a hint is missing",
                seed: "leases: a=waits b=waits c=waits
                       ready: a b c",
                keys: KEYS,
                args: "2 0 m 30000 - a@ b@ c@ d@",
                returns: "[0, 3, 0]",
                after: "flags: overflow=@3
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "no room, and a hint that came since the line was read: it keeps its position",
                seed: "flags: overflow=@9
                       leases: a=waits c=waits d=waits
                       readings: kept:5=a, n=6
                       ready: a c d",
                keys: KEYS,
                args: "3 1 m 30000 5 b@ c@ d@",
                returns: "[1, 2, 0]",
                after: "flags: overflow=@4
                        leases: a=waits b=waits c=waits
                        readings: kept:5=a, n=6
                        ready: a b c",
            },
            Case {
                name: "no room, and an older hint without a job at its place: only this hint goes, and the head can be extended",
                seed: "flags: overflow=@9
                       leases: a=waits c=waits d=waits
                       readings: kept:4=a, n=6
                       ready: a c d",
                keys: KEYS,
                args: "3 1 m 30000 5 b@ c@ d@",
                returns: "[1, 2, 0]",
                after: "filled: m=+30s
                        flags: overflow=@4
                        leases: b=waits c=waits d=waits
                        readings: kept:4=a, n=6
                        ready: b c d",
            },
            Case {
                name: "the notes of a reading long ago are deleted",
                seed: "readings: 5=@3 7=@9 kept:5=a,b, n=105",
                keys: KEYS,
                args: "10 1 m 30000 105 a@ b@",
                returns: "[2, 0, 0]",
                after: "filled: m=+30s
                        flags: overflow=@2
                        leases: a=waits b=waits
                        readings: 7=@9 n=105
                        ready: a b",
            },
            Case {
                name: "a list that is out of order is sorted, also hints that are not of the front",
                seed: "leases: a=waits b=waits c=waits x=waits
                       ready: x c b a",
                keys: KEYS,
                args: "10 0 m 30000 - a@ b@ c@",
                returns: "[0, 3, 0]",
                after: "leases: a=waits b=waits c=waits x=waits
                        ready: a b c x",
            },
            Case {
                name: "a hint was refused since the line was read: the ids behind its position are left to the next fill",
                seed: "filled: l=+60s
                       flags: overflow=@1
                       leases: d=+60s
                       readings: 3=@3 4=@9 n=4",
                keys: KEYS,
                args: "10 1 m 30000 3 a@ b@ c@ d@ e@",
                returns: "[2, 1, 0]",
                after: "flags: overflow=@3
                        leases: a=waits b=waits d=+60s
                        readings: 3=@3 4=@9 n=4
                        ready: a b",
            },
            Case {
                name: "hints were moved since the line was read: this fill may know their old positions and moves none",
                seed: "leases: a=waits@9 b=waits
                       readings: n=4 placed=3
                       ready: b a",
                keys: KEYS,
                args: "10 0 m 30000 3 a@ b@ c@",
                returns: "[1, 2, 0]",
                after: "leases: a=waits@9 b=waits c=waits
                        readings: n=4 placed=3
                        ready: b c a",
            },
            Case {
                name: "hints were moved before the line was read: their positions count",
                seed: "leases: a=waits@9 b=waits
                       readings: n=4 placed=3
                       ready: b a",
                keys: KEYS,
                args: "10 0 m 30000 4 a@ b@",
                returns: "[0, 2, 0]",
                after: "leases: a=waits b=waits
                        readings: n=4 placed=3
                        ready: a b",
            },
            Case {
                name: "a hint behind all of these ids was refused",
                seed: "readings: 3=@3 4=@9 n=4",
                keys: KEYS,
                args: "10 1 m 30000 4 a@ b@",
                returns: "[2, 0, 0]",
                after: "filled: m=+30s
                        flags: overflow=@2
                        leases: a=waits b=waits
                        readings: 3=@3 4=@9 n=4
                        ready: a b",
            },
            Case {
                name: "a hint was refused behind what was the end of the line: the line is longer now",
                seed: "readings: 3=@3 4=@9 n=4",
                keys: KEYS,
                args: "10 0 m 30000 4 a@ b@",
                returns: "[2, 0, 0]",
                after: "flags: overflow=@9
                        leases: a=waits b=waits
                        readings: 3=@3 4=@9 n=4
                        ready: a b",
            },
            Case {
                name: "an empty line ends the overflow",
                seed: "filled: l=+60s
                       flags: overflow=1
                       leases: a=+60s",
                keys: KEYS,
                args: "10 0 m 30000 -",
                returns: "[0, 0, 0]",
                after: "leases: a=+60s",
            },
            Case {
                name: "paused: nothing is done",
                seed: "flags: overflow=1 paused=1",
                keys: KEYS,
                args: "10 0 m 30000 - a@",
                returns: "[0, 0, 1]",
                after: "flags: overflow=1 paused=1",
            },
            Case {
                name: "what is pushed is rung for",
                seed: "bell:",
                keys: KEYS,
                args: "10 0 - 30000 - a@ b@",
                returns: "[2, 0, 0]",
                after: "bell: 1
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "nothing is pushed, and nobody told",
                seed: "bell:
                       leases: a=+60s",
                keys: KEYS,
                args: "10 0 - 30000 - a@",
                returns: "[0, 1, 0]",
                after: "bell:
                        leases: a=+60s",
            },
        ],
    )
    .await;
}
