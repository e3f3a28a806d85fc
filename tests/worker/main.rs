//! Workers in this process on real stores: what runs, what is told, what is written, and what is given back.

mod exec;
mod fixture;
mod hints;
mod idle;
mod kinds;
mod leases;
mod locks;
mod outages;
mod running;
mod shortage;
mod stopping;
