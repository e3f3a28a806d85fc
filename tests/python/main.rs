//! The Python package `clients/python` and the example `examples/bots`, on real servers that they start themselves.

mod bots;
mod package;
mod tools;
