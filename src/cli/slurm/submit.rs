//! `slurm submit` and `slurm resume`: what is missing becomes an array of jobs.

use std::collections::HashSet;
use std::env;
use std::path::Path;
use std::process::Command;

use oppose::batch::Job;
use oppose::batch::slurm::{Run, Settings};
use oppose::video;
use rayon::prelude::*;

use super::super::plan::{self, Inputs};
use super::super::terminal::{print, printable};
use super::super::{Outcome, done};
use super::{ResumeArguments, SlurmError, SubmitArguments, all_jobs, call, failed, queued, recorded};

pub fn submit(arguments: &SubmitArguments) -> Result<Outcome, SlurmError> {
    let output = &arguments.output;
    std::fs::create_dir_all(output).map_err(failed("create the folder", output))?;
    let output = output.canonicalize().map_err(failed("read", output))?;
    // The lists have whole paths. What does not exist is told of when it is planned.
    let input = [arguments.input.canonicalize().unwrap_or_else(|_| arguments.input.clone())];
    let inputs = Inputs { paths: &input, list: None, recursive: arguments.recursive };
    let jobs = plan::plan(inputs, Some(&output), arguments.keep_suffix)?;
    plan::sweep(&jobs);
    plan::check_outputs(&jobs)?;

    let mut sbatch = vec![
        format!("--partition={}", arguments.partition),
        format!("--time={}", arguments.time),
        format!("--mem={}", arguments.mem),
        format!("--cpus-per-task={}", arguments.cpus),
    ];
    if arguments.gpus != "none" {
        sbatch.push(format!("--gpus={}", arguments.gpus));
    }
    sbatch.extend(arguments.sbatch.iter().cloned());
    let image = match &arguments.sif {
        Some(image) => Some(image.canonicalize().map_err(failed("find the image", image))?),
        None => None,
    };
    let settings = Settings {
        jobs: arguments.jobs as usize,
        limit: arguments.limit.map(|limit| limit as usize),
        sbatch,
        image,
        program: env::current_exe().map_err(failed("find", Path::new("this program")))?,
        options: arguments.options.clone(),
        working_folder: env::current_dir().map_err(failed("find", Path::new("this folder")))?,
    };
    submit_missing(&output, jobs, &settings, arguments.dry_run)
}

pub fn resume(arguments: &ResumeArguments) -> Result<Outcome, SlurmError> {
    let output = arguments.output.canonicalize().map_err(failed("read", &arguments.output))?;
    let runs = Run::all(&output).map_err(failed("read", &output))?;
    let last = runs.last().ok_or_else(|| SlurmError::NoRun(output.clone()))?;
    let settings = last.settings().map_err(failed("read the settings in", &last.folder))?;
    submit_missing(&output, all_jobs(&runs)?, &settings, arguments.dry_run)
}

fn submit_missing(
    output: &Path,
    jobs: Vec<Job>,
    settings: &Settings,
    dry_run: bool,
) -> Result<Outcome, SlurmError> {
    let of = jobs.len();
    if let Some(job) =
        jobs.iter().find(|job| !plan::is_listable(&job.video) || !plan::is_listable(&job.output))
    {
        return Err(SlurmError::Unlistable(job.video.clone()));
    }
    let runs = Run::all(output).map_err(failed("read", output))?;
    let mut sorted = done::sort(jobs, &recorded(output, &runs)?);
    if let Some((_, reason)) = sorted.unknown.first() {
        return Err(SlurmError::Unknown(reason.clone()));
    }
    // What tasks of an earlier submission have before them is not given to others too.
    let mut taken = HashSet::new();
    for run in &runs {
        for task in queued(run).unwrap_or_default() {
            let jobs = run.jobs_of(task.number).map_err(failed("read the lists in", &run.folder))?;
            taken.extend(jobs.into_iter().flatten().map(|job| job.output));
        }
    }
    let before = sorted.left.len();
    sorted.left.retain(|job| !taken.contains(&job.output));
    sorted.in_the_way.retain(|(output, _)| !taken.contains(output));
    if sorted.left.len() < before {
        print(format_args!(
            "{} videos are being worked on by an earlier submission",
            before - sorted.left.len()
        ));
    }
    if !dry_run {
        sorted.set_aside(&|text| print(format_args!("{text}")));
    }
    let missing = sorted.left;
    if missing.is_empty() {
        if before == 0 {
            print(format_args!("all {of} videos are done"));
        }
        return Ok(Outcome::AllDone);
    }
    let count = missing.len();
    let jobs: Vec<(Job, u64)> = missing
        .into_par_iter()
        .map(|job| {
            let work = length(&job.video);
            (job, work)
        })
        .collect();
    let run = Run::prepare(output, &jobs, settings).map_err(failed("write the submission into", output))?;
    let script = run.script();
    if dry_run {
        print!("{}", std::fs::read_to_string(&script).map_err(failed("read", &script))?);
        std::fs::remove_dir_all(&run.folder).map_err(failed("remove", &run.folder))?;
        return Ok(Outcome::AllDone);
    }
    let array = call("sbatch", Command::new("sbatch").arg("--parsable").arg(&script))?;
    let array = array.trim().split(';').next().unwrap_or_default().to_owned();
    run.keep_array(&array).map_err(failed("write into", &run.folder))?;
    print(format_args!(
        "{count} of {of} videos submitted as array {array}; logs in {}",
        printable(&run.folder.join("logs"))
    ));
    print(format_args!("oppose-native slurm status {}", printable(output)));
    Ok(Outcome::AllDone)
}

/// How much there is to do: frames where the file announces them, else its size in what a frame may take.
fn length(path: &Path) -> u64 {
    const BYTES_OF_A_FRAME: u64 = 10_000;
    let announced =
        video::open(path, &video::Options::default()).ok().and_then(|video| video.info().announced_frames);
    announced.unwrap_or_else(|| path.metadata().map_or(1, |file| file.len() / BYTES_OF_A_FRAME))
}
