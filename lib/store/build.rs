//! The migrations are compiled in; a new file among them must cause that again.
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
