//! The private servers: they start, restart, refuse with a reason, and never outlive the process that started them.

mod fixture;
mod folder;
mod outlive;
mod postgres;
mod redis_server;
