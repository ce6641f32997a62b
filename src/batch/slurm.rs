//! Jobs for SLURM: videos shared out to the tasks of an array, and the script that each task runs.
//!
//! All of it lies in a folder of its own below that of the outputs, one for each submission, so that a later one never
//! changes what tasks of an earlier one read. What is done is told by the outputs and journals, not by SLURM.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Job;

/// The folder below that of the outputs.
pub const FOLDER: &str = ".oppose";

/// What a job asks of the cluster, and what it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Tasks.
    pub jobs: usize,
    /// Tasks that run at a time.
    pub limit: Option<usize>,
    /// `#SBATCH` lines, without the word.
    pub sbatch: Vec<String>,
    /// The container image, where one is used.
    pub image: Option<PathBuf>,
    /// This program, where none is.
    pub program: PathBuf,
    /// Further options of the program.
    pub options: Vec<String>,
    /// The folder in which it runs, from which relative paths in the options start.
    pub working_folder: PathBuf,
}

/// One submission.
#[derive(Clone, Debug)]
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
        let mut numbers = Vec::new();
        if folder.is_dir() {
            for entry in folder.read_dir()? {
                let name = entry?.file_name();
                numbers.extend(
                    name.to_string_lossy().strip_prefix("run-").and_then(|number| number.parse::<u32>().ok()),
                );
            }
        }
        numbers.sort_unstable();
        Ok(numbers.into_iter().map(|number| Self { folder: folder.join(format!("run-{number}")) }).collect())
    }

    /// Writes the lists and the script of a new submission for `jobs`, each with its share of the work.
    ///
    /// # Errors
    /// Something cannot be written.
    pub fn prepare(outputs: &Path, jobs: &[(Job, u64)], settings: &Settings) -> io::Result<Self> {
        let number = Self::all(outputs)?.len() + 1;
        let folder = fs::canonicalize(outputs)?.join(FOLDER).join(format!("run-{number}"));
        fs::create_dir_all(folder.join("logs"))?;
        let run = Self { folder };
        let tasks = share_out(jobs, settings.jobs);
        for (task, jobs) in tasks.iter().enumerate() {
            let mut list = fs::File::create(run.list(task))?;
            for job in jobs {
                let line = [job.video.as_os_str().as_bytes(), job.output.as_os_str().as_bytes()].join(&b'\t');
                list.write_all(&line)?;
                list.write_all(b"\n")?;
            }
        }
        fs::write(run.folder.join("settings.json"), serde_json::to_vec_pretty(settings)?)?;
        fs::write(run.script(), script(&run.folder, tasks.len(), settings))?;
        Ok(run)
    }

    /// The script that is submitted.
    pub fn script(&self) -> PathBuf {
        self.folder.join("job.sh")
    }

    /// The videos of a task.
    pub fn list(&self, task: usize) -> PathBuf {
        self.folder.join(format!("task-{task}.list"))
    }

    /// The settings it was made with.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn settings(&self) -> io::Result<Settings> {
        Ok(serde_json::from_slice(&fs::read(self.folder.join("settings.json"))?)?)
    }

    /// Keeps SLURM's number of the array.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep_array(&self, array: &str) -> io::Result<()> {
        fs::write(self.folder.join("array"), array)
    }

    /// SLURM's number of the array, where it was submitted.
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

    /// The videos of a task, where there is such a task.
    ///
    /// # Errors
    /// Its list cannot be read.
    pub fn jobs_of(&self, task: usize) -> io::Result<Option<Vec<Job>>> {
        let bytes = match fs::read(self.list(task)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let path = |bytes: &[u8]| PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
        let jobs = bytes.split(|&byte| byte == b'\n').filter_map(|line| {
            let tab = line.iter().position(|&byte| byte == b'\t')?;
            Some(Job { video: path(&line[..tab]), output: path(&line[tab + 1..]) })
        });
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

/// Shares jobs out so that all tasks have about as much to do: the longest first, each to whoever has least.
fn share_out(jobs: &[(Job, u64)], tasks: usize) -> Vec<Vec<Job>> {
    let tasks = tasks.clamp(1, jobs.len().max(1));
    let mut order: Vec<&(Job, u64)> = jobs.iter().collect();
    order.sort_by_key(|(_, work)| Reverse(*work));
    let mut shares = vec![Vec::new(); tasks];
    let mut loads: BinaryHeap<Reverse<(u64, usize)>> = (0..tasks).map(|task| Reverse((0, task))).collect();
    for (job, work) in order {
        if let Some(Reverse((load, task))) = loads.pop() {
            shares[task].push(job.clone());
            loads.push(Reverse((load + work.max(&1), task)));
        }
    }
    shares
}

/// As one word for a shell.
fn quoted(word: &[u8]) -> String {
    format!("'{}'", String::from_utf8_lossy(word).replace('\'', "'\\''"))
}

/// What each task runs. Nothing in it depends on where SLURM copies it.
fn script(folder: &Path, tasks: usize, settings: &Settings) -> String {
    let place = quoted(folder.as_os_str().as_bytes());
    let limit = settings.limit.map(|limit| format!("%{limit}")).unwrap_or_default();
    let mut lines = vec![
        "#!/bin/bash".to_owned(),
        "#SBATCH --job-name=oppose".into(),
        format!("#SBATCH --array=0-{}{limit}", tasks - 1),
        "#SBATCH --requeue".into(),
        "#SBATCH --open-mode=append".into(),
        format!("#SBATCH --output={}/logs/%a.log", folder.display()),
        format!("#SBATCH --signal=B:USR1@{SECONDS_BEFORE_LIMIT}"),
    ];
    lines.extend(settings.sbatch.iter().map(|option| format!("#SBATCH {option}")));
    lines.push(format!("folder={place}"));
    lines.push(format!("cd {} || exit 2", quoted(settings.working_folder.as_os_str().as_bytes())));
    match &settings.image {
        None => lines.push(format!("program=({})", quoted(settings.program.as_os_str().as_bytes()))),
        Some(image) => lines.push(format!(
            "# Clusters hide it behind environment modules.\n\
             if ! command -v apptainer singularity >/dev/null; then\n    \
             for profile in /etc/profile.d/lmod.sh /etc/profile.d/modules.sh; do [ -r \"$profile\" ] && . \"$profile\"; done\n    \
             module load apptainer 2>/dev/null || module load singularityce 2>/dev/null\n\
             fi\n\
             container=$(command -v apptainer || command -v singularity) || {{ echo 'no apptainer and no singularity on this node' >&2; exit 2; }}\n\
             program=(\"$container\" exec --nv {} oppose-native)",
            quoted(image.as_os_str().as_bytes())
        )),
    }
    let options: Vec<String> = settings.options.iter().map(|option| quoted(option.as_bytes())).collect();
    lines.push(format!(
        "\"${{program[@]}}\" --list \"$folder/task-$SLURM_ARRAY_TASK_ID.list\" \\\n    \
         --journal \"$folder/journal-$SLURM_ARRAY_TASK_ID.jsonl\" --progress plain {} &\n\
         child=$!\n\
         # Before the time limit: stop between two frames, and go on in another job.\n\
         trap 'kill -TERM \"$child\"; wait \"$child\"; scontrol requeue \"${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID\"; exit 0' USR1\n\
         trap 'kill -TERM \"$child\"; wait \"$child\"; exit 143' TERM\n\
         wait \"$child\"",
        options.join(" ")
    ));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str) -> Job {
        Job { video: name.into(), output: format!("{name}.pose").into() }
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
        let settings = Settings {
            jobs: 2,
            limit: Some(1),
            sbatch: vec!["--gpus=V100:1".into()],
            image: None,
            program: "/opt/it's/oppose-native".into(),
            options: vec!["--engine".into(), "native".into()],
            working_folder: "/home/it's me".into(),
        };
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
}
