//! The example `examples/fraud-pipeline`, run as its guide says: real Parquet batches, pods that are killed, and a reset.

use crate::fixture::{Scene, run};
use leasehold_tests::leasehold_program;
use std::{path::Path, process::Command};

#[tokio::test(flavor = "multi_thread")]
async fn no_batch_is_lost_or_scored_twice_and_no_race_is_logged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/fraud-pipeline");
    let mut setup = Command::new("sh");
    setup.arg(folder.join("setup.sh"));
    // The environment with pyarrow is kept beside the build, so only the first run needs PyPI.
    setup.env("FRAUD_PIPELINE_VENV", leasehold_program().with_file_name("fraud-pipeline-venv"));
    let ready = run(setup, b"");
    assert_eq!(ready.code, 0, "this test needs Python 3 with venv, and pyarrow from PyPI: {}", ready.stderr);
    let python = ready.succeeded();

    let scene = Scene::start().await;
    let mut command = Command::new(python);
    command.arg(folder.join("measure.py")).args(["--batches", "12", "--rows", "20000", "--pods", "3"]);
    command.env("LEASEHOLD", leasehold_program()).current_dir(scene.folder());
    command.env("LEASEHOLD_DATABASE_URL", &scene.stores.database.url);
    command.env("LEASEHOLD_REDIS_URL", &scene.stores.redis.url);
    let ran = run(command, b"");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("lost 0, double 0, rows_wrong 0, race_lines 0, left 0"), "{ran:?}");
}
