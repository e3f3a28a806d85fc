//! Generates the gRPC service of `proto/`. The compiler of the protocol is a crate, so no `protoc` is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    #[cfg(feature = "v1")]
    {
        println!("cargo:rerun-if-changed=proto");
        let files = protox::compile(["externalscaler.proto"], ["proto"])?;
        tonic_prost_build::configure().build_client(false).compile_fds(files)?;
    }
    Ok(())
}
