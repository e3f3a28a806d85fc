//! Support for tests: real servers, waits on conditions, and the content of all keys.

mod backup;
mod binary;
mod callback;
mod clock;
mod cpu;
mod eventually;
mod front;
mod hints;
pub mod keda;
mod keys;
mod leaks;
mod mortal;
mod probe;
mod proxy;
mod reaper;
mod shared;
mod stores;

pub use backup::{copy_server, give_to_owner_of};
pub use binary::leasehold_program;
pub use callback::BatchCallback;
pub use clock::{WrongClock, forget_clock_of};
pub use cpu::cpu_ticks;
pub use eventually::eventually;
pub use front::front;
pub use hints::{hints, unused, urgent};
pub use keys::{Key, all_keys};
pub use leaks::leaks;
pub use leasehold_memory::{
    Broken, Change, Clock, Direct, Entry, KeyLimit, Keys, Link, Lost, MemoryHead, MemoryStore, Mode, NOWHERE,
    Positioned, QueueKeys, Readings, Row, Rows, Score, position_of,
};
pub use mortal::Mortal;
pub use probe::{LogLine, Probe, Step, clock_errors, no_sleep_file, read_log, starts};
pub use proxy::{End, LinkState, Proxy};
pub use reaper::quick_reaper;
pub use shared::{postgres_options, private_folder};
pub use stores::{Database, OwnPgBouncer, RedisServer, Stores};
