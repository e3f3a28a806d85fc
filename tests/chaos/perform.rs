//! Runs scenarios one after the other and reports the results.

use crate::{
    arguments::Arguments,
    dice::Dice,
    progress::Progress,
    scenarios,
    score::{self, Score},
    stage::Stage,
};
use anyhow::{Context as _, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// Runs all requested scenarios. Returns whether all of them held.
pub(crate) async fn all(arguments: &Arguments) -> Result<bool> {
    let names = arguments.names()?;
    let folder = arguments.scorecard.parent().map_or_else(PathBuf::new, PathBuf::from);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let mut scores: Vec<Score> = Vec::new();
    for (nth, name) in names.iter().enumerate() {
        let seed = arguments.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
        let progress = Progress::of(nth + 1, names.len(), name);
        progress.note(&format!("seed {seed}"));
        let its_folder = folder.join(name);
        let minutes = Duration::from_secs_f64(arguments.minutes * 60.0);
        // Each scenario runs in a task of its own: a panic means that this scenario did not hold, and the other
        // scenarios still run.
        let playing = tokio::spawn(one(name, seed, arguments.short, its_folder.clone(), minutes, progress.clone()));
        let score = match playing.await {
            Ok(Ok(score)) => score,
            Ok(Err(error)) => Score::aborted(name, seed, format!("aborted: {error:#}")),
            Err(panic) => Score::aborted(name, seed, format!("aborted: {panic}")),
        };
        progress.end();
        report(&score, &its_folder, arguments.minutes);
        scores.push(score);
        // Written after each scenario, so that an interrupted run keeps its results.
        fs::write(&arguments.scorecard, serde_json::to_string_pretty(&scores)? + "\n")
            .with_context(|| format!("writing {}", arguments.scorecard.display()))?;
    }
    println!("\n{}", score::table(&scores));
    println!("scorecard: {}", arguments.scorecard.display());
    Ok(scores.iter().all(|score| score.held))
}

async fn one(
    name: &'static str,
    seed: u64,
    is_relaxed: bool,
    folder: PathBuf,
    minutes: Duration,
    progress: Progress,
) -> Result<Score> {
    let plan = if is_relaxed { scenarios::plan(name).relaxed() } else { scenarios::plan(name) };
    let mut dice = Dice::of(seed);
    let mut stage = Stage::set_up(plan.shape, &folder, seed, progress).await?;
    stage.window = minutes;
    if is_relaxed {
        stage.minute /= 5;
    }
    stage.steady().await;
    scenarios::play(name, &mut stage, &mut dice).await?;
    let evidence = stage.finish(&plan).await?;
    Ok(Score::of(name, seed, &plan, &evidence))
}

fn report(score: &Score, folder: &Path, minutes: f64) {
    let seconds = score.recovery_s.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds:.1} s"));
    if score.held {
        eprintln!(
            "{}: held. {} accepted, {} finished, recovery {seconds}, rate kept {:.0} %",
            score.scenario,
            score.enqueued_acked,
            score.finished,
            score.rate_kept * 100.0
        );
        return;
    }
    eprintln!("{}: DID NOT HOLD (seed {})", score.scenario, score.seed);
    for wrong in &score.wrong {
        eprintln!("    {wrong}");
    }
    eprintln!("  again: {}", score.replay(minutes));
    eprintln!("  output of the processes: {}", folder.display());
}
