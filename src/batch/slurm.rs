//! Jobs for SLURM: videos distributed over the tasks of an array, and the script that each task runs.
//!
//! All files of a submission are in a folder of its own inside the output folder, so that a later submission never
//! changes what tasks of an earlier one read. The outputs and journals say what is done, not SLURM.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Job, list};
use crate::output_file::write_file;

/// The folder inside the output folder.
pub const FOLDER: &str = ".oppose";

/// What a job requests from the cluster, and what it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Settings {
    /// Number of tasks.
    pub jobs: usize,
    /// Number of tasks that run at a time.
    pub limit: Option<usize>,
    /// The options of `#SBATCH` lines.
    pub sbatch: Vec<String>,
    /// The container image, if one is used.
    pub image: Option<PathBuf>,
    /// This program, if no image is used.
    pub program: PathBuf,
    /// Further options of the program.
    pub options: Vec<String>,
    /// The folder in which it runs; relative paths in the options start there.
    pub working_folder: PathBuf,
    /// Folders that a container has to see besides the outputs and the working folder: inputs, models.
    #[serde(default)]
    pub folders: Vec<PathBuf>,
}

impl Settings {
    /// One task of this program, without further options; relative paths start in `working_folder`.
    pub fn new(program: impl Into<PathBuf>, working_folder: impl Into<PathBuf>) -> Self {
        Self {
            jobs: 1,
            limit: None,
            sbatch: Vec::new(),
            image: None,
            program: program.into(),
            options: Vec::new(),
            working_folder: working_folder.into(),
            folders: Vec::new(),
        }
    }

    /// The same settings with `jobs`.
    #[must_use]
    pub fn with_jobs(self, jobs: usize) -> Self {
        Self { jobs, ..self }
    }

    /// The same settings with `limit`.
    #[must_use]
    pub fn with_limit(self, limit: impl Into<Option<usize>>) -> Self {
        Self { limit: limit.into(), ..self }
    }

    /// The same settings with `sbatch`.
    #[must_use]
    pub fn with_sbatch(self, sbatch: Vec<String>) -> Self {
        Self { sbatch, ..self }
    }

    /// The same settings with `image`.
    #[must_use]
    pub fn with_image(self, image: impl Into<Option<PathBuf>>) -> Self {
        Self { image: image.into(), ..self }
    }

    /// The same settings with `options`.
    #[must_use]
    pub fn with_options(self, options: Vec<String>) -> Self {
        Self { options, ..self }
    }

    /// The same settings with `folders`.
    #[must_use]
    pub fn with_folders(self, folders: Vec<PathBuf>) -> Self {
        Self { folders, ..self }
    }
}

/// One submission.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run {
    /// Its folder.
    pub folder: PathBuf,
}

/// How many seconds before the time limit a task is asked to stop.
const SECONDS_BEFORE_LIMIT: u32 = 120;

impl Run {
    /// All submissions for an output folder, in order.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn all(outputs: &Path) -> io::Result<Vec<Self>> {
        let folder = outputs.join(FOLDER);
        let run = |number| Self { folder: folder.join(format!("run-{number}")) };
        Ok(Self::numbers(outputs)?.into_iter().map(run).collect())
    }

    /// The numbers of all submissions, in order.
    fn numbers(outputs: &Path) -> io::Result<BTreeSet<u32>> {
        let folder = outputs.join(FOLDER);
        let mut numbers = BTreeSet::new();
        if folder.is_dir() {
            for entry in folder.read_dir()? {
                let name = entry?.file_name();
                let number = name.to_str().and_then(|name| name.strip_prefix("run-"));
                numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
            }
        }
        Ok(numbers)
    }

    /// The number after the largest existing one: numbers of runs that were removed are not used again.
    fn next_number(outputs: &Path) -> io::Result<u32> {
        Ok(Self::numbers(outputs)?.last().unwrap_or(&0).saturating_add(1))
    }

    /// Creates a new submission for `jobs`, each with its share of the work, in a new folder.
    ///
    /// # Errors
    /// Something cannot be written.
    pub fn prepare(outputs: &Path, jobs: &[(Job, u64)], settings: &Settings) -> io::Result<Self> {
        let runs = fs::canonicalize(outputs)?.join(FOLDER);
        fs::create_dir_all(&runs)?;
        let mut number = Self::next_number(outputs)?;
        let run = loop {
            let folder = runs.join(format!("run-{number}"));
            match fs::create_dir(&folder) {
                Ok(()) => break Self { folder },
                // Somebody submits at the same time.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        };
        fs::create_dir(run.folder.join("logs"))?;
        let tasks = share_out(jobs, settings.jobs);
        for (task, jobs) in tasks.iter().enumerate() {
            let mut lines = Vec::new();
            for job in jobs {
                list::add_line(&mut lines, &job.video, &job.output, None);
            }
            write_file(&run.list(task), &lines, false)?;
        }
        write_file(&run.folder.join("settings.json"), &serde_json::to_vec_pretty(settings)?, false)?;
        write_file(&run.script(), &script(&run.folder, tasks.len(), settings), false)?;
        Ok(run)
    }

    /// The script that [`prepare`](Self::prepare) would write now. Nothing is written.
    ///
    /// # Errors
    /// The existing submissions cannot be read.
    pub fn preview(outputs: &Path, jobs: &[(Job, u64)], settings: &Settings) -> io::Result<Vec<u8>> {
        let number = Self::next_number(outputs)?;
        let outputs = fs::canonicalize(outputs).or_else(|_| std::path::absolute(outputs))?;
        let folder = outputs.join(FOLDER).join(format!("run-{number}"));
        Ok(script(&folder, share_out(jobs, settings.jobs).len(), settings))
    }

    /// The script that is submitted.
    pub fn script(&self) -> PathBuf {
        self.folder.join("job.sh")
    }

    /// The videos of a task.
    pub fn list(&self, task: usize) -> PathBuf {
        self.folder.join(format!("task-{task}.list"))
    }

    /// The settings with which it was created.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn settings(&self) -> io::Result<Settings> {
        Ok(serde_json::from_slice(&fs::read(self.folder.join("settings.json"))?)?)
    }

    /// Records SLURM's number of the array.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_array(&self, array: &str) -> io::Result<()> {
        write_file(&self.folder.join("array"), array.as_bytes(), true)
    }

    /// SLURM's number of the array, if it was submitted.
    pub fn array(&self) -> Option<String> {
        fs::read_to_string(self.folder.join("array")).ok().map(|array| array.trim().to_owned())
    }

    /// All its videos.
    ///
    /// # Errors
    /// A list cannot be read.
    pub fn jobs(&self) -> io::Result<Vec<Job>> {
        let mut jobs = Vec::new();
        for task in 0.. {
            let Some(more) = self.jobs_of(task)? else { break };
            jobs.extend(more);
        }
        Ok(jobs)
    }

    /// The videos of a task, if there is such a task.
    ///
    /// # Errors
    /// Its list cannot be read.
    pub fn jobs_of(&self, task: usize) -> io::Result<Option<Vec<Job>>> {
        let bytes = match fs::read(self.list(task)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let jobs = list::lines(&bytes).filter_map(|line| Some(Job::new(line.video, line.output?)));
        Ok(Some(jobs.collect()))
    }

    /// The journals of its tasks.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn journals(&self) -> io::Result<Vec<PathBuf>> {
        let mut journals = Vec::new();
        for entry in self.folder.read_dir()? {
            let path = entry?.path();
            if path.extension().is_some_and(|suffix| suffix == "jsonl") {
                journals.push(path);
            }
        }
        journals.sort();
        Ok(journals)
    }
}

/// Distributes jobs so that all tasks have about the same amount of work: the longest first, each to the task that
/// has least. Within a task they keep the order in which they were given.
fn share_out(jobs: &[(Job, u64)], tasks: usize) -> Vec<Vec<Job>> {
    let tasks = tasks.clamp(1, jobs.len().max(1));
    let mut order: Vec<(usize, u64)> = jobs.iter().map(|(_, work)| *work).enumerate().collect();
    order.sort_by_key(|(_, work)| Reverse(*work));
    let mut shares = vec![Vec::new(); tasks];
    let mut loads: BinaryHeap<Reverse<(u64, usize)>> = (0..tasks).map(|task| Reverse((0, task))).collect();
    for (job, work) in order {
        if let Some(Reverse((load, task))) = loads.pop() {
            shares[task].push(job);
            loads.push(Reverse((load + work.max(1), task)));
        }
    }
    let in_order = |mut share: Vec<usize>| {
        share.sort_unstable();
        share.into_iter().map(|job| jobs[job].0.clone()).collect()
    };
    shares.into_iter().map(in_order).collect()
}

/// As one word for a shell.
fn quoted(word: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = word.split(|&byte| byte == b'\'').collect();
    [b"'", parts.join(&b"'\\''"[..]).as_slice(), b"'"].concat()
}

fn quoted_path(path: &Path) -> Vec<u8> {
    quoted(path.as_os_str().as_bytes())
}

/// As one word of an `#SBATCH` line: sbatch knows quotes and backslashes there, but no shell reads it.
fn sbatch_word(word: &[u8]) -> Vec<u8> {
    let is_plain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-_=+./:,%@^[]".contains(byte) || *byte >= 128;
    if !word.is_empty() && word.iter().all(is_plain) {
        return word.to_vec();
    }
    let mut quoted = vec![b'"'];
    for &byte in word {
        if byte == b'"' || byte == b'\\' {
            quoted.push(b'\\');
        }
        quoted.push(byte);
    }
    quoted.push(b'"');
    quoted
}

/// An option of sbatch as it was given. `--name=value` keeps its value together; `--name value` are two words, as in a
/// shell.
fn sbatch_option(option: &str) -> Vec<u8> {
    match option.split_once('=') {
        Some((name, value)) if !name.contains(char::is_whitespace) => {
            [name.as_bytes(), b"=", &sbatch_word(value.as_bytes())].concat()
        }
        _ => option.as_bytes().to_vec(),
    }
}

/// The value of `--output` for the logs, or `None` if sbatch cannot take the folder: it reads single lines, and a
/// backslash in a name disables its `%a`.
fn log_pattern(folder: &Path) -> Option<Vec<u8>> {
    let folder = folder.as_os_str().as_bytes();
    if folder.iter().any(|byte| b"\n\r\\".contains(byte)) {
        return None;
    }
    let escaped: Vec<u8> =
        folder.iter().flat_map(|&byte| if byte == b'%' { vec![byte; 2] } else { vec![byte] }).collect();
    Some(sbatch_word(&[&escaped, &b"/logs/%a.log"[..]].concat()))
}

/// The folders that a container has to see, each once, parents first.
fn bound_folders<'a>(folder: &'a Path, settings: &'a Settings) -> BTreeSet<&'a Path> {
    // That of the outputs holds `.oppose/run-N`.
    let outputs = folder.ancestors().nth(2);
    let folders = settings
        .folders
        .iter()
        .map(PathBuf::as_path)
        .chain(outputs)
        .chain([folder, &settings.working_folder]);
    // The host's root over that of the image would be the end of it.
    folders.filter(|folder| folder.parent().is_some()).collect()
}

/// A folder as an option of apptainer and singularity: the same inside as outside.
fn bind_option(folder: &Path) -> Vec<u8> {
    let bytes = folder.as_os_str().as_bytes();
    if !bytes.iter().any(|byte| b":,\\\"\n".contains(byte)) {
        return [b"--bind ", &quoted(bytes)[..]].concat();
    }
    // --bind takes these for its own punctuation; --mount reads fields as CSV does.
    let doubled: Vec<u8> =
        bytes.iter().flat_map(|&byte| if byte == b'"' { vec![byte; 2] } else { vec![byte] }).collect();
    let mount = [b"type=bind,\"source=", &doubled[..], b"\",\"destination=", &doubled, b"\""].concat();
    [b"--mount ", &quoted(&mount)[..]].concat()
}

/// The commands of each task. Nothing in them depends on where SLURM copies the script.
fn script(folder: &Path, tasks: usize, settings: &Settings) -> Vec<u8> {
    let limit = settings.limit.map(|limit| format!("%{limit}")).unwrap_or_default();
    let mut lines: Vec<Vec<u8>> = vec![
        b"#!/bin/bash".into(),
        b"#SBATCH --job-name=oppose".into(),
        format!("#SBATCH --array=0-{}{limit}", tasks.saturating_sub(1)).into(),
        b"#SBATCH --requeue".into(),
        b"#SBATCH --open-mode=append".into(),
    ];
    let logs = log_pattern(folder);
    lines.push([b"#SBATCH --output=", logs.as_deref().unwrap_or(b"/dev/null")].concat());
    lines.push(format!("#SBATCH --signal=B:USR1@{SECONDS_BEFORE_LIMIT}").into());
    lines.extend(settings.sbatch.iter().map(|option| [b"#SBATCH ", &sbatch_option(option)[..]].concat()));
    lines.push([b"folder=", &quoted_path(folder)[..]].concat());
    if logs.is_none() {
        lines.push(b"exec >>\"$folder/logs/$SLURM_ARRAY_TASK_ID.log\" 2>&1".into());
    }
    lines.push([b"cd ", &quoted_path(&settings.working_folder)[..], b" || exit 2"].concat());
    match &settings.image {
        None => lines.push([b"program=(", &quoted_path(&settings.program)[..], b")"].concat()),
        Some(image) => {
            lines.push(FIND_CONTAINER.into());
            let mut program: Vec<u8> = b"program=(\"$container\" exec --nv".into();
            for folder in bound_folders(folder, settings) {
                program.extend(b" \\\n    ");
                program.extend(bind_option(folder));
            }
            program.extend(b" \\\n    ");
            program.extend(quoted_path(image));
            program.extend(b" oppose-native)");
            lines.push(program);
        }
    }
    let options: Vec<Vec<u8>> = settings.options.iter().map(|option| quoted(option.as_bytes())).collect();
    lines.push(b"\"${program[@]}\" --list \"$folder/task-$SLURM_ARRAY_TASK_ID.list\" \\".into());
    lines.push(
        [
            b"    --journal \"$folder/journal-$SLURM_ARRAY_TASK_ID.jsonl\" --progress plain ",
            &options.join(&b' ')[..],
            b" &",
        ]
        .concat(),
    );
    lines.push(WAIT.into());
    lines.join(&b'\n')
}

const FIND_CONTAINER: &str = "\
# Clusters hide it behind environment modules.
if ! command -v apptainer singularity >/dev/null; then
    for profile in /etc/profile.d/lmod.sh /etc/profile.d/modules.sh; do [ -r \"$profile\" ] && . \"$profile\"; done
    module load apptainer 2>/dev/null || module load singularityce 2>/dev/null
fi
container=$(command -v apptainer || command -v singularity) || { echo 'no apptainer and no singularity on this node' >&2; exit 2; }";

const WAIT: &str = "\
child=$!
# Before the time limit: stop between two frames, and go on in another job.
trap 'kill -TERM \"$child\"; wait \"$child\"; scontrol requeue \"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\"; exit 0' USR1
trap 'kill -TERM \"$child\"; wait \"$child\"; exit 143' TERM
wait \"$child\"
";

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str) -> Job {
        Job::new(name, format!("{name}.pose"))
    }

    #[test]
    fn tasks_have_about_as_much_to_do() {
        let jobs: Vec<(Job, u64)> =
            [9, 1, 1, 5, 4, 1, 1].iter().enumerate().map(|(i, &work)| (job(&i.to_string()), work)).collect();
        let shares = share_out(&jobs, 2);
        let work = |share: &Vec<Job>| -> u64 {
            share.iter().map(|job| jobs.iter().find(|(other, _)| other == job).unwrap().1).sum()
        };
        assert_eq!(shares.iter().map(work).collect::<Vec<_>>(), [11, 11]);
        assert_eq!(share_out(&jobs, 100).len(), 7);
    }

    #[test]
    fn a_submission_never_changes_an_earlier_one() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::new("/opt/it's/oppose-native", "/home/it's me")
            .with_jobs(2)
            .with_limit(1)
            .with_sbatch(vec!["--gpus=V100:1".into()])
            .with_options(vec!["--engine".into(), "native".into()]);
        let jobs = [(job("/v/a b.mp4"), 3), (job("/v/c.mp4"), 2)];
        let first = Run::prepare(folder.path(), &jobs, &settings).unwrap();
        let second = Run::prepare(folder.path(), &jobs[..1], &settings).unwrap();
        assert_ne!(first.folder, second.folder);
        assert_eq!((first.jobs().unwrap().len(), second.jobs().unwrap().len()), (2, 1));
        assert_eq!(first.settings().unwrap(), settings);
        let script = fs::read_to_string(first.script()).unwrap();
        for part in [
            "--array=0-1%1\n",
            "#SBATCH --gpus=V100:1\n",
            r"program=('/opt/it'\''s/oppose-native')",
            "\ncd '/home/it'\\''s me' || exit 2\n",
            "'--engine' 'native' &",
        ] {
            assert!(script.contains(part), "{part}:\n{script}");
        }
        assert_eq!(Run::all(folder.path()).unwrap().len(), 2);
    }

    fn settings() -> Settings {
        Settings::new("p", "/")
    }

    #[test]
    fn a_removed_submission_gives_its_number_to_nobody_who_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let prepare = |name: &str| Run::prepare(folder.path(), &[(job(name), 1)], &settings()).unwrap();
        let (first, second) = (prepare("/a"), prepare("/b"));
        fs::remove_dir_all(&first.folder).unwrap();
        let third = prepare("/c");
        assert_eq!(second.jobs().unwrap(), [job("/b")]);
        assert_eq!(third.jobs().unwrap(), [job("/c")]);
        assert!(third.folder.ends_with("run-3"));
    }

    #[test]
    fn submissions_at_the_same_time_have_folders_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let folders: Vec<PathBuf> = std::thread::scope(|scope| {
            let names: Vec<String> = (0..16).map(|index| format!("/{index}")).collect();
            let outputs = folder.path();
            let start = |name: String| {
                scope.spawn(move || {
                    let run = Run::prepare(outputs, &[(job(&name), 1)], &settings()).unwrap();
                    assert_eq!(run.jobs().unwrap(), [job(&name)]);
                    run.folder
                })
            };
            let threads: Vec<_> = names.into_iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(folders.iter().collect::<BTreeSet<_>>().len(), 16);
        assert_eq!(Run::all(folder.path()).unwrap().len(), 16);
    }

    #[test]
    fn a_preview_is_what_would_be_written_and_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let outputs = folder.path().join("not/there");
        let jobs = [(job("/a"), 1)];
        let text = Run::preview(&outputs, &jobs, &settings()).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        fs::create_dir_all(&outputs).unwrap();
        let run = Run::prepare(&outputs, &jobs, &settings()).unwrap();
        assert_eq!(fs::read(run.script()).unwrap(), text);
    }

    #[test]
    fn every_name_is_quoted() {
        let folder = Path::new("/my poses/100% \"it's\"/.oppose/run-1");
        let mut settings = settings();
        settings.sbatch =
            ["--comment=two \"words\" # here", "--account lab", "--gpus=V100:1"].map(str::to_owned).into();
        let text = String::from_utf8(script(folder, 1, &settings)).unwrap();
        for line in [
            r#"#SBATCH --output="/my poses/100%% \"it's\"/.oppose/run-1/logs/%a.log""#,
            r#"#SBATCH --comment="two \"words\" # here""#,
            "#SBATCH --account lab",
            "#SBATCH --gpus=V100:1",
            r#"folder='/my poses/100% "it'\''s"/.oppose/run-1'"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}:\n{text}");
        }
        // What #SBATCH lines cannot hold.
        for name in ["/two\nlines/.oppose/run-1", r"/back\slash/.oppose/run-1"] {
            let text = String::from_utf8(script(Path::new(name), 1, &settings)).unwrap();
            assert!(
                text.contains("#SBATCH --output=/dev/null\n") && text.contains("\nexec >>\"$folder/logs/"),
                "{text}"
            );
            assert!(text.contains(&format!("folder='{name}'")), "{text}");
        }
    }

    #[test]
    fn a_container_sees_every_folder() {
        let mut settings = settings();
        settings.image = Some("/images/oppose it.sif".into());
        settings.working_folder = "/home/me".into();
        settings.folders = ["/videos", "/models, old:new", "/"].map(PathBuf::from).into();
        let text = String::from_utf8(script(Path::new("/poses/.oppose/run-7"), 1, &settings)).unwrap();
        for option in [
            "--bind '/home/me'",
            "--bind '/poses'",
            "--bind '/poses/.oppose/run-7'",
            "--bind '/videos'",
            "--mount 'type=bind,\"source=/models, old:new\",\"destination=/models, old:new\"'",
            "'/images/oppose it.sif' oppose-native)",
        ] {
            assert!(text.contains(&format!("    {option}")), "{option}:\n{text}");
        }
        assert!(!text.contains("--bind '/'"), "{text}");
    }
}
