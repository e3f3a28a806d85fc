//! The input: files that every Debian system has, and their expected results.

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Larger files would not test the queue any better.
const SIZE_MAX_BYTES: u64 = 1024 * 1024;

/// Chooses `wanted` regular files, spread evenly over all files, in order of their paths.
pub(crate) fn choose(wanted: usize) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for root in ["/usr/include", "/usr/share"] {
        walk(Path::new(root), &mut found);
    }
    found.sort();
    ensure!(found.len() >= 500, "only {} files under /usr/include and /usr/share", found.len());
    let wanted = wanted.min(found.len());
    Ok((0..wanted).map(|nth| found[nth * found.len() / wanted].clone()).collect())
}

/// Collects files whose paths fit on a line. Unreadable files are skipped.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        let plain = path.to_str().is_some_and(|text| !text.contains('\n'));
        if metadata.is_dir() {
            walk(&path, found);
        } else if metadata.is_file() && metadata.len() <= SIZE_MAX_BYTES && plain && fs::File::open(&path).is_ok() {
            found.push(path);
        }
    }
}

/// The output that the fleet must print for each file: its SHA-256 and its number of lines.
pub(crate) fn expected(paths: &[PathBuf]) -> Result<Vec<String>> {
    paths
        .iter()
        .map(|path| {
            let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            let mut text = String::new();
            for byte in Sha256::digest(&bytes) {
                text.push_str(&format!("{byte:02x}"));
            }
            let lines = bytes.iter().filter(|&&byte| byte == b'\n').count();
            Ok(format!("{text} {lines}"))
        })
        .collect()
}
