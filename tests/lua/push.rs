use crate::state::{Case, check};

const KEYS: &str = "ready leases flags claimed filled bell readings";

#[tokio::test]
async fn push() {
    check(
        "push",
        &[
            Case {
                name: "new hints that belong behind the others go there, in order",
                seed: "leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "10 new b@ c@",
                returns: "[2, 0, 0, 0]",
                after: "leases: a=waits b=waits c=waits
                        ready: a b c",
            },
            Case {
                name: "each new hint goes to its position",
                seed: "leases: b=waits d=waits f=waits
                       ready: b d f",
                keys: KEYS,
                args: "10 new a@ c@ e@ g@",
                returns: "[4, 0, 0, 0]",
                after: "leases: a=waits b=waits c=waits d=waits e=waits f=waits g=waits
                        ready: a b c d e f g",
            },
            Case {
                name: "at the same position, the hint that came first comes first",
                seed: "leases: a=waits@5 b=waits@5 z=waits@9
                       ready: a b z",
                keys: KEYS,
                args: "10 new c@5 d@5",
                returns: "[2, 0, 0, 0]",
                after: "leases: a=waits@5 b=waits@5 c=waits@5 d=waits@5 z=waits@9
                        ready: a b c d z",
            },
            Case {
                name: "many new hints are merged with the others",
                seed: "leases: c=waits@30 m=waits@130 y=waits@130 z=waits@900
                       ready: c m y z",
                keys: KEYS,
                args: "40 new a@10 b@20 d@40 e@50 f@60 g@70 h@80 i@90 j@100 k@110 l@120 n@130 o@140 p@150 q@160 r@170 s@180",
                returns: "[17, 0, 0, 0]",
                after: "leases: a=waits@10 b=waits@20 c=waits@30 d=waits@40 e=waits@50 f=waits@60 g=waits@70 h=waits@80 \
                        i=waits@90 j=waits@100 k=waits@110 l=waits@120 m=waits@130 n=waits@130 o=waits@140 p=waits@150 \
                        q=waits@160 r=waits@170 s=waits@180 y=waits@130 z=waits@900
                        ready: a b c d e f g h i j k l m y n o p q r s z",
            },
            Case {
                name: "what waits, is leased, or is named twice is a double",
                seed: "leases: a=waits b=+60s
                       ready: a",
                keys: KEYS,
                args: "10 new a@ b@ c@ c@",
                returns: "[1, 3, 0, 0]",
                after: "leases: a=waits b=+60s c=waits
                        ready: a c",
            },
            Case {
                name: "the bound is kept: the last ones fall, and the head reaches to the first of them",
                seed: "leases: a=waits
                       ready: a",
                keys: KEYS,
                args: "2 new b@ c@ d@",
                returns: "[3, 0, 2, 0]",
                after: "flags: overflow=@3
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "behind the end of a head that is shorter than the line there is no room, and no id is looked at",
                seed: "filled: m=+60s
                       flags: overflow=@2
                       leases: a=waits b=waits
                       ready: a",
                keys: KEYS,
                args: "10 new b@ c@",
                returns: "[0, 0, 2, 0]",
                after: "filled: m=+60s
                        flags: overflow=@2
                        leases: a=waits b=waits
                        ready: a",
            },
            Case {
                name: "what is refused is written down for the fill that reads the line",
                seed: "flags: overflow=@2
                       readings: n=7",
                keys: KEYS,
                args: "10 new d@ e@",
                returns: "[0, 0, 2, 0]",
                after: "flags: overflow=@2
                        readings: 7=@4 n=7",
            },
            Case {
                name: "the lowest position counts",
                seed: "flags: overflow=@3
                       readings: 7=@5 n=7",
                keys: KEYS,
                args: "10 new a@ d@",
                returns: "[1, 0, 1, 0]",
                after: "flags: overflow=@3
                        leases: a=waits
                        readings: 7=@4 kept:7=a, n=7
                        ready: a",
            },
            Case {
                name: "what falls is written down too",
                seed: "leases: b=waits c=waits
                       readings: n=1
                       ready: b c",
                keys: KEYS,
                args: "2 new a@",
                returns: "[1, 0, 1, 0]",
                after: "flags: overflow=@3
                        leases: a=waits b=waits
                        readings: 1=@3 kept:1=a, n=1
                        ready: a b",
            },
            Case {
                name: "what belongs before waiting hints is written down for the fill that reads the line",
                seed: "leases: d=waits
                       readings: kept:4=a, n=4
                       ready: d",
                keys: KEYS,
                args: "10 new b@ c@",
                returns: "[2, 0, 0, 0]",
                after: "leases: b=waits c=waits d=waits
                        readings: kept:4=a,b,c, n=4
                        ready: b c d",
            },
            Case {
                name: "what belongs behind them is not, while Redis has the whole line",
                seed: "leases: a=waits
                       readings: n=4
                       ready: a",
                keys: KEYS,
                args: "10 new b@ c@",
                returns: "[2, 0, 0, 0]",
                after: "leases: a=waits b=waits c=waits
                        readings: n=4
                        ready: a b c",
            },
            Case {
                name: "what is given back to the front is written down",
                seed: "leases: b=+60s c=waits
                       readings: n=4
                       ready: c",
                keys: KEYS,
                args: "10 return b@-",
                returns: "[1, 0, 0, 0]",
                after: "leases: b=waits@3 c=waits
                        readings: kept:4=b, n=4
                        ready: b c",
            },
            Case {
                name: "before the end of such a head there is room",
                seed: "filled: m=+60s
                       flags: overflow=@4
                       leases: b=waits
                       ready: b",
                keys: KEYS,
                args: "10 new a@ c@ d@",
                returns: "[2, 0, 1, 0]",
                after: "filled: m=+60s
                        flags: overflow=@4
                        leases: a=waits b=waits c=waits
                        ready: a b c",
            },
            Case {
                name: "before the end, even while no hint waits",
                seed: "filled: m=+60s
                       flags: overflow=@4",
                keys: KEYS,
                args: "10 new a@",
                returns: "[1, 0, 0, 0]",
                after: "filled: m=+60s
                        flags: overflow=@4
                        leases: a=waits
                        ready: a",
            },
            Case {
                name: "a head that reaches nowhere takes nothing",
                seed: "flags: overflow=1",
                keys: KEYS,
                args: "10 new a@",
                returns: "[0, 0, 1, 0]",
                after: "flags: overflow=1",
            },
            Case {
                name: "before the others in a full head: the last ones fall, and it is not filled as far any more",
                seed: "filled: m=+60s
                       leases: c=waits d=waits e=waits
                       ready: c d e",
                keys: KEYS,
                args: "3 new a@ b@",
                returns: "[2, 0, 2, 0]",
                after: "flags: overflow=@4
                        leases: a=waits b=waits c=waits
                        ready: a b c",
            },
            Case {
                name: "a head that reached less far still does",
                seed: "flags: overflow=@4
                       leases: b=waits c=waits
                       ready: b c",
                keys: KEYS,
                args: "2 new a@",
                returns: "[1, 0, 1, 0]",
                after: "flags: overflow=@3
                        leases: a=waits b=waits
                        ready: a b",
            },
            Case {
                name: "a new hint does not take a lease away",
                seed: "leases: a=+60s",
                keys: KEYS,
                args: "10 new a@",
                returns: "[0, 1, 0, 0]",
                after: "leases: a=+60s",
            },
            Case {
                name: "given back: leased, in `claimed`, unknown; not what waits",
                seed: "claimed: b
                       leases: a=+60s b=waits d=waits
                       ready: d",
                keys: KEYS,
                args: "10 return a@ b@ c@ d@",
                returns: "[3, 1, 0, 0]",
                after: "leases: a=waits b=waits c=waits d=waits
                        ready: a b c d",
            },
            Case {
                name: "given back between the others",
                seed: "leases: a=waits b=+60s c=waits
                       ready: a c",
                keys: KEYS,
                args: "10 return b@",
                returns: "[1, 0, 0, 0]",
                after: "leases: a=waits b=waits c=waits
                        ready: a b c",
            },
            Case {
                name: "given back to a position where others wait: before them, in order",
                seed: "leases: a=waits@5 b=waits@5 c=+60s d=+60s z=waits@9
                       ready: a b z",
                keys: KEYS,
                args: "10 return c@5 d@5",
                returns: "[2, 0, 0, 0]",
                after: "leases: a=waits@5 b=waits@5 c=waits@5 d=waits@5 z=waits@9
                        ready: c d a b z",
            },
            Case {
                name: "given back to the position of the last one",
                seed: "leases: a=waits@5 c=+60s
                       ready: a",
                keys: KEYS,
                args: "10 return c@5",
                returns: "[1, 0, 0, 0]",
                after: "leases: a=waits@5 c=waits@5
                        ready: c a",
            },
            Case {
                name: "given back to where the head does not reach: forgotten, the line has it",
                seed: "claimed: y
                       flags: overflow=@4
                       leases: a=waits y=waits z=+60s
                       ready: a",
                keys: KEYS,
                args: "10 return y@ z@",
                returns: "[0, 0, 2, 0]",
                after: "flags: overflow=@4
                        leases: a=waits
                        ready: a",
            },
            Case {
                name: "given back without a position: before the others, in the given order, wherever the head reaches to",
                seed: "claimed: y
                       flags: overflow=1
                       leases: c=waits x=+60s y=waits
                       ready: c",
                keys: KEYS,
                args: "10 return y@- x@-",
                returns: "[2, 0, 0, 0]",
                after: "flags: overflow=1
                        leases: c=waits x=waits@3 y=waits@3
                        ready: y x c",
            },
            Case {
                name: "given back without a position to an empty head",
                seed: "leases: x=+60s",
                keys: KEYS,
                args: "10 return x@-",
                returns: "[1, 0, 0, 0]",
                after: "leases: x=waits@?
                        ready: x",
            },
            Case {
                name: "with and without a position",
                seed: "leases: c=waits x=+60s y=+60s
                       ready: c",
                keys: KEYS,
                args: "10 return x@- a@ y@",
                returns: "[3, 0, 0, 0]",
                after: "leases: a=waits c=waits x=waits@1 y=waits
                        ready: x a c y",
            },
            Case {
                name: "given back twice in one call is given back once",
                seed: "leases: a=-60s",
                keys: KEYS,
                args: "10 return a@ a@",
                returns: "[1, 1, 0, 0]",
                after: "leases: a=waits
                        ready: a",
            },
            Case {
                name: "a hint whose position has changed moves to the front",
                seed: "leases: a=waits b=waits c=waits
                       ready: a b c",
                keys: KEYS,
                args: "10 place c@0",
                returns: "[1, 0, 0, 0]",
                after: "leases: a=waits b=waits c=waits@0
                        ready: c a b",
            },
            Case {
                name: "and to the back, behind those of the same position",
                seed: "leases: a=waits b=waits c=waits
                       ready: a b c",
                keys: KEYS,
                args: "10 place a@3",
                returns: "[1, 0, 0, 0]",
                after: "leases: a=waits@3 b=waits c=waits
                        ready: b c a",
            },
            Case {
                name: "many hints move in one pass",
                seed: "leases: a=waits b=waits c=waits d=waits e=waits f=waits g=waits h=waits i=waits j=waits k=waits \
                       l=waits m=waits n=waits o=waits p=waits q=waits r=waits s=waits
                       ready: a b c d e f g h i j k l m n o p q r s",
                keys: KEYS,
                args: "40 place s@1 r@2 q@3 p@4 o@5 n@6 m@7 l@8 k@9 j@10 i@11 h@12 g@13 f@14 e@15 d@16 c@17 b@18",
                returns: "[18, 0, 0, 0]",
                after: "leases: a=waits b=waits@18 c=waits@17 d=waits@16 e=waits@15 f=waits@14 g=waits@13 h=waits@12 i=waits@11 \
                        j=waits k=waits@9 l=waits@8 m=waits@7 n=waits@6 o=waits@5 p=waits@4 q=waits@3 r=waits@2 s=waits@1
                        ready: a s r q p o n m l k j i h g f e d c b",
            },
            Case {
                name: "a hint that is not there is pushed, one that is named twice moves once",
                seed: "leases: b=waits
                       ready: b",
                keys: KEYS,
                args: "10 place a@ b@3 b@3",
                returns: "[2, 1, 0, 0]",
                after: "leases: a=waits b=waits@3
                        ready: a b",
            },
            Case {
                name: "hints that workers have taken, or that are set aside, stay where they are",
                seed: "aside:paint: d
                       asides: paint
                       claimed: b
                       leases: a=+60s b=waits c=waits d=waits
                       ready: c",
                keys: KEYS,
                args: "10 place a@5 b@5 d@5",
                returns: "[0, 3, 0, 0]",
                after: "aside:paint: d
                        asides: paint
                        claimed: b
                        leases: a=+60s b=waits c=waits d=waits
                        ready: c",
            },
            Case {
                name: "a hint that moves behind the end of the head leaves the head, and the fill that reads the line hears of both",
                seed: "flags: overflow=@5
                       leases: a=waits b=waits
                       readings: n=7
                       ready: a b",
                keys: KEYS,
                args: "10 place a@9",
                returns: "[0, 0, 1, 0]",
                after: "flags: overflow=@5
                        leases: b=waits
                        readings: 7=@9 n=7 placed=7
                        ready: b",
            },
            Case {
                name: "a hint from behind the end of the head comes in, and the last one falls",
                seed: "flags: overflow=@5
                       leases: b=waits d=waits
                       ready: b d",
                keys: KEYS,
                args: "2 place z@1",
                returns: "[1, 0, 1, 0]",
                after: "flags: overflow=@4
                        leases: b=waits z=waits@1
                        ready: z b",
            },
            Case {
                name: "paused: nothing moves",
                seed: "flags: paused=1",
                keys: KEYS,
                args: "10 place a@",
                returns: "[0, 0, 0, 1]",
                after: "flags: paused=1",
            },
            Case {
                name: "paused: nothing is pushed",
                seed: "flags: paused=1",
                keys: KEYS,
                args: "10 new a@ b@",
                returns: "[0, 0, 0, 1]",
                after: "flags: paused=1",
            },
            Case {
                name: "paused: what is given back is forgotten",
                seed: "claimed: b
                       flags: paused=1
                       leases: a=+60s b=waits c=+60s",
                keys: KEYS,
                args: "10 return a@ b@-",
                returns: "[0, 0, 0, 1]",
                after: "flags: paused=1
                        leases: c=+60s",
            },
            Case {
                name: "what is pushed is rung for",
                seed: "bell:",
                keys: KEYS,
                args: "10 new a@ b@",
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
                args: "10 new a@",
                returns: "[0, 1, 0, 0]",
                after: "bell:
                        leases: a=+60s",
            },
        ],
    )
    .await;
}
