//! `leasehold dev` as its user meets it: it comes up, refuses a second one, mends itself, and leaves nothing behind.

mod comes_and_goes;
mod mends;
mod running;
