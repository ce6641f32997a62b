//! `slurm submit` and `slurm resume`: what is missing becomes an array of jobs.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use oppose::batch::journal::{self, VideoState};
use oppose::batch::resume;
use oppose::batch::slurm::{Run, Settings};
use oppose::batch::{Inputs, Job, Plan};

use oppose::output_file::folder_of;

use super::super::Outcome;
use super::super::terminal::{print, printable, say};
use super::{ResumeArguments, SlurmError, SubmitArguments, all_jobs, call, entries, failed, queued};

pub fn submit(arguments: &SubmitArguments) -> Result<Outcome, SlurmError> {
    let output = &arguments.output;
    if !arguments.dry_run {
        fs::create_dir_all(output).map_err(failed("create the folder", output))?;
        say(format_args!("looking for videos in {}", printable(&arguments.input)));
    }
    let output = whole_path(output).map_err(failed("read", output))?;
    // The lists have whole paths. What does not exist is reported when it is planned.
    let input = [arguments.input.canonicalize().unwrap_or_else(|_| arguments.input.clone())];
    let inputs = Inputs::new(&input)
        .with_output(&output)
        .with_recursive(arguments.recursive)
        .with_keep_suffix(arguments.keep_suffix)
        .with_suffixes(arguments.video_suffixes.clone());
    let plan = Plan::new(&inputs)?;
    for (path, reason) in &plan.problems {
        say(format_args!("{}: {reason}", printable(path)));
    }
    if !arguments.dry_run {
        plan.prepare_folders()?;
    }
    let Plan { jobs, problems, .. } = plan;

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
    if let Some(option) = sbatch.iter().find(|option| option.contains(['\n', '\r'])) {
        return Err(SlurmError::LineBreak(option.clone()));
    }
    let image = match &arguments.sif {
        Some(image) => Some(image.canonicalize().map_err(failed("find the image", image))?),
        None => None,
    };
    let working_folder = env::current_dir().map_err(failed("find", Path::new("this folder")))?;
    let folders = match &image {
        Some(_) => folders_of(&input, &jobs, &arguments.options, &working_folder),
        None => Vec::new(),
    };
    let program = env::current_exe().map_err(failed("find", Path::new("this program")))?;
    let settings = Settings::new(program, working_folder)
        .with_jobs(arguments.jobs as usize)
        .with_limit(arguments.limit.map(|limit| limit as usize))
        .with_sbatch(sbatch)
        .with_image(image)
        .with_options(arguments.options.clone())
        .with_folders(folders);
    let outcome = submit_missing(&output, jobs, &settings, arguments.dry_run, arguments.retry_crashed)?;
    Ok(if problems.is_empty() { outcome } else { Outcome::SomeFailed })
}

/// The real path of something that may not exist yet: that of its nearest existing parent, and the rest.
fn whole_path(path: &Path) -> io::Result<PathBuf> {
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Err(error), Some(_), Some(name)) if error.kind() == io::ErrorKind::NotFound => {
            Ok(whole_path(folder_of(path))?.join(name))
        }
        (real, ..) => real,
    }
}

/// The folders that a container has to see: those of the videos, wherever links lead, of the models, and of
/// whatever else the options name.
fn folders_of(inputs: &[PathBuf], jobs: &[Job], options: &[String], working_folder: &Path) -> Vec<PathBuf> {
    let visible_folder =
        |path: PathBuf| if path.is_dir() { Some(path) } else { path.parent().map(Path::to_owned) };
    let mut folders: Vec<PathBuf> = inputs.iter().cloned().filter_map(visible_folder).collect();
    for job in jobs {
        let Ok(real) = job.video.canonicalize() else { continue };
        if !folders.iter().any(|folder| real.starts_with(folder)) {
            folders.extend(visible_folder(real));
        }
    }
    let values =
        options.iter().map(|option| option.split_once('=').map_or(option.as_str(), |(_, value)| value));
    let is_given = |name: &str| options.iter().any(|option| option.split('=').next() == Some(name));
    let models = match is_given("--model-folder") || is_given("--model_folder") {
        true => None,
        false => env::var_os("OPPOSE_MODELS").map(PathBuf::from),
    };
    let named = values.map(PathBuf::from).chain(models);
    for path in
        named.map(|path| working_folder.join(path)).filter(|path| path.exists() && path != working_folder)
    {
        let real = path.canonicalize().ok();
        folders.extend([Some(path), real].into_iter().flatten().filter_map(visible_folder));
    }
    folders.sort();
    folders.dedup();
    folders
}

pub fn resume(arguments: &ResumeArguments) -> Result<Outcome, SlurmError> {
    let output = arguments.output.canonicalize().map_err(failed("read", &arguments.output))?;
    let runs = Run::all(&output).map_err(failed("read", &output))?;
    let last = runs.last().ok_or_else(|| SlurmError::NoRun(output.clone()))?;
    let mut settings = last.settings().map_err(failed("read the settings in", &last.folder))?;
    let jobs = all_jobs(&runs)?;
    if settings.image.is_some() {
        // Links may lead elsewhere by now, and videos of several submissions come together.
        settings.folders = folders_of(&settings.folders, &jobs, &settings.options, &settings.working_folder);
    }
    submit_missing(&output, jobs, &settings, arguments.dry_run, arguments.retry_crashed)
}

fn submit_missing(
    output: &Path,
    jobs: Vec<Job>,
    settings: &Settings,
    dry_run: bool,
    retry_crashed: bool,
) -> Result<Outcome, SlurmError> {
    let of = jobs.len();
    let runs = Run::all(output).map_err(failed("read", output))?;
    if !dry_run {
        say(format_args!("{of} videos found; checking which of them are done"));
    }
    let options = resume::Options::new(false, retry_crashed);
    let recorded = journal::recorded(entries(output, &runs)?);
    let mut sorted = resume::sort(jobs, &recorded, options);
    for (job, reason) in &sorted.crashed {
        print(format_args!("{}: left out: {reason}", printable(&job.video)));
    }
    if let Some((_, reason)) = sorted.unknown.first() {
        return Err(SlurmError::Unknown(reason.to_string()));
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
        sorted.set_aside(&mut |output, reason, aside| {
            print(format_args!(
                "{} {reason}; renamed to {} and will be made again",
                printable(output),
                printable(aside)
            ));
        });
    }
    let missing = sorted.left;
    if missing.is_empty() {
        if before == 0 {
            print(format_args!("all {of} videos are done"));
        }
        return Ok(Outcome::AllDone);
    }
    let count = missing.len();
    // By the sizes of the files: to open all videos would keep the login node busy.
    let mut jobs: Vec<(Job, u64)> = missing
        .into_iter()
        .map(|job| {
            let work = VideoState::work(VideoState::of(&job.video));
            (job, work)
        })
        .collect();
    jobs.sort_by_key(|(job, work)| (resume::interruptions(job, &recorded), Reverse(*work)));
    if dry_run {
        let script = Run::preview(output, &jobs, settings).map_err(failed("read", output))?;
        // A reader that has gone away has read enough.
        let _ = io::stdout().write_all(&script);
        return Ok(Outcome::AllDone);
    }
    say(format_args!("submitting {count} videos"));
    let run = Run::prepare(output, &jobs, settings).map_err(failed("write the submission into", output))?;
    let script = run.script();
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
