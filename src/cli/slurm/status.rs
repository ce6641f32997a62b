//! `slurm status`: what is done, running, failed and left.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::slice;
use std::time::Duration;

use indicatif::HumanDuration;
use oppose::batch::Job;
use oppose::batch::journal::{self, Entry, VideoState};
use oppose::batch::resume;
use oppose::batch::slurm::Run;
use oppose::report::{Collector, Options, Progress};

use super::super::Outcome;
use super::super::report::{check_name, write_page};
use super::super::terminal::{print, printable};
use super::{SlurmError, Task, all_jobs, entries, failed, queued};

/// Seconds after which a browser loads the page again, as `watch` or cron may write it.
const PAGE_INTERVAL: u64 = 60;

pub fn status(output: &Path, html: Option<&Path>) -> Result<Outcome, SlurmError> {
    html.map(check_name).transpose()?;
    let output = output.canonicalize().map_err(failed("read", output))?;
    let runs = Run::all(&output).map_err(failed("read", &output))?;
    if runs.is_empty() {
        return Err(SlurmError::NoRun(output));
    }
    let jobs = all_jobs(&runs)?;
    let of = jobs.len();
    let entries = entries(&output, &runs)?;
    let last: HashMap<PathBuf, Entry> =
        entries.iter().map(|entry| (entry.output.clone(), entry.clone())).collect();
    let sorted = resume::sort(jobs, &journal::recorded(entries), resume::Options::default());
    let done = sorted.done.len();
    let crashed = sorted.crashed.iter().map(|(job, _)| job);
    let missing: Vec<&Job> =
        sorted.left.iter().chain(crashed).chain(sorted.unknown.iter().map(|(job, _)| job)).collect();
    let (mut failures, mut left) = (Vec::new(), Vec::new());
    for job in missing {
        match last.get(&job.output).map(|entry| &entry.outcome) {
            Some(journal::Outcome::Failed { reason, .. }) => failures.push((job, reason)),
            _ => left.push(job),
        }
    }
    print(format_args!("{done} of {of} videos done, {} failed, {} left", failures.len(), left.len()));
    let tasks: Option<Vec<Task>> =
        runs.iter().map(queued).collect::<Option<Vec<_>>>().map(|tasks| tasks.concat());
    let running = tasks.iter().flatten().filter(|task| task.is_running).count();
    match &tasks {
        Some(tasks) => print(format_args!("{running} tasks running, {} waiting", tasks.len() - running)),
        None => print("squeue cannot be asked here"),
    }
    // What a task does in a second, by the videos that are done.
    let (mut frames, mut bytes, mut seconds) = (0, 0, 0.0);
    for entry in last.values() {
        if let journal::Outcome::Done { frames: more, seconds: longer, .. } = entry.outcome {
            frames += more;
            seconds += longer;
            bytes += VideoState::work(entry.source);
        }
    }
    let mut time_left = None;
    if seconds > 0.0 {
        print(format_args!("{:.1} frames per second per task", frames as f64 / seconds));
        let bytes_left: u64 = left.iter().map(|job| VideoState::work(VideoState::of(&job.video))).sum();
        if running > 0 && bytes_left > 0 {
            let left = seconds * bytes_left as f64 / bytes as f64 / running as f64;
            if let Ok(left) = Duration::try_from_secs_f64(left) {
                time_left = Some(left.as_secs_f64());
                print(format_args!("about {} left with {running} tasks", HumanDuration(left)));
            }
        }
    }
    if let Some(html) = html {
        let progress = Progress {
            every_seconds: PAGE_INTERVAL,
            of: Some(of),
            left: Some(left.len()),
            tasks: tasks.is_some().then_some(running),
            seconds_left: time_left,
        };
        let options = Options { progress: Some(progress), ..Options::default() };
        write_page(&mut Collector::default(), slice::from_ref(&output), &options, html, &|| false)?;
    }
    for (job, reason) in failures {
        print(format_args!("failed: {}: {reason}", printable(&job.video)));
    }
    if done < of && tasks.is_some_and(|tasks| tasks.is_empty()) {
        print(format_args!("nothing is running: oppose-native slurm resume {}", printable(&output)));
    }
    Ok(if done == of { Outcome::AllDone } else { Outcome::SomeFailed })
}
