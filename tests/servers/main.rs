//! The private servers: they start, come back, refuse with a reason, and never outlive who started them.

mod fixture;
mod folder;
mod outlive;
mod postgres;
mod redis_server;
