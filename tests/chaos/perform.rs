//! Plays scenarios one after the other, and says what came of it.

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

/// Plays all that are asked for. Whether all held.
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
        // In a task of its own: a panic in it is a scenario that does not hold, and no reason to leave out the others.
        let playing = tokio::spawn(one(name, seed, arguments.short, its_folder.clone(), minutes, progress.clone()));
        let score = match playing.await {
            Ok(Ok(score)) => score,
            Ok(Err(error)) => Score::broken_off(name, seed, format!("broken off: {error:#}")),
            Err(panic) => Score::broken_off(name, seed, format!("broken off: {panic}")),
        };
        progress.end();
        report(&score, &its_folder, arguments.minutes);
        scores.push(score);
        // After each: whoever ends this half-way has what was found so far.
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
    is_roomy: bool,
    folder: PathBuf,
    minutes: Duration,
    progress: Progress,
) -> Result<Score> {
    let plan = if is_roomy { scenarios::plan(name).roomy() } else { scenarios::plan(name) };
    let mut dice = Dice::of(seed);
    let mut stage = Stage::set_up(plan.shape, &folder, seed, progress).await?;
    stage.window = minutes;
    if is_roomy {
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
    eprintln!("  what the processes said: {}", folder.display());
}
