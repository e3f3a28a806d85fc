//! The example `examples/extraction`, on real stores: submits at once, a cancel against a finish, and the five ways in which a
//! document used to be lost. Each of the five is made on purpose, with SIGKILL at the point, and is revived.

#[path = "../../examples/extraction/documents.rs"]
mod documents;
mod orphans;
mod races;
mod scene;
#[path = "../../examples/extraction/stages.rs"]
#[expect(dead_code, reason = "the workers of the races are other processes")]
mod stages;
