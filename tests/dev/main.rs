//! `leasehold dev` from its user's view: it starts, refuses a second instance, replaces dead processes, and leaves
//! nothing behind.

mod comes_and_goes;
mod mends;
mod running;
