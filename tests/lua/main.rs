//! Every script of `lua/`, called as it is: all keys of a queue are seeded, the script is called, and all
//! keys of the server are compared with what they should be. See `state` for how they are written. Each case is also one
//! for the keys that simulations hold in memory (`in_memory`).

mod ack;
mod adopt;
mod aside;
mod expired;
mod extend;
mod fill;
mod in_memory;
mod look;
mod push;
mod renew;
mod state;
mod sweep;
mod take;
