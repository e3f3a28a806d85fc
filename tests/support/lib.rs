//! What the tests stand on: real servers of their own, waits that are on a condition, and a look at all keys.

mod eventually;
mod keys;
mod shared;
mod stores;

pub use eventually::eventually;
pub use keys::{Key, all_keys};
pub use shared::private_folder;
pub use stores::{Database, RedisServer, Stores};
