//! From what was requested to what will be done: one job per video, checked before anything starts.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Job, journal, list, slurm};
use crate::Chain;
use crate::output_file::{folder_of, remove_unfinished};
use crate::video::{self, Input, VideoError};

/// A list of a million long paths is shorter.
const MAX_LIST_BYTES: u64 = 1 << 29;

/// Why the plan cannot be carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// An input cannot be used.
    #[error(transparent)]
    Input(#[from] VideoError),
    /// One `.pose` file for several videos.
    #[error("the output {} names one file, but there are {videos} videos: give a folder", .output.display())]
    OneFileForMany {
        /// The file.
        output: PathBuf,
        /// How many videos there are.
        videos: usize,
    },
    /// Standard input without a name for the output.
    #[error("a video on standard input has no name: give the name of its .pose file")]
    NamelessInput,
    /// Two videos with one output.
    #[error(
        "{} and {} would both become {}: keep their suffixes, or process them separately",
        .first.display(), .second.display(), .output.display()
    )]
    Clash {
        /// A video.
        first: PathBuf,
        /// Another video.
        second: PathBuf,
        /// What both would become.
        output: PathBuf,
    },
    /// An input that would be replaced by its own output, such as a `.pose` file named as a video.
    #[error("{} would be replaced by its own output; expected a video", .0.display())]
    OutputIsInput(PathBuf),
    /// A list cannot be read.
    #[error("cannot read the list {}", .list.display())]
    List {
        /// The list.
        list: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A list that is too long to be one.
    #[error("the list {} has more than {limit} bytes: one path per line was expected", .list.display())]
    ListTooLong {
        /// The list.
        list: PathBuf,
        /// In bytes.
        limit: u64,
    },
    /// A list without videos.
    #[error("the list {} names no videos: one path per line was expected", .0.display())]
    ListEmpty(PathBuf),
    /// A line of a list that names no video.
    #[error("line {line} of the list {} begins with a tab: the path of a video was expected before it", .list.display())]
    ListLine {
        /// The list.
        list: PathBuf,
        /// From 1.
        line: usize,
    },
    /// A list in UTF-16, or no list at all.
    #[error("the list {} is not plain text: save it as UTF-8, one path per line", .0.display())]
    ListNotText(PathBuf),
    /// The output is a file of another kind, or a device.
    #[error("the output {} is not a folder; expected a folder, or a name ending in .pose", .0.display())]
    OutputIsFile(PathBuf),
    /// An output folder cannot be created.
    #[error("cannot create the folder {}", .folder.display())]
    CreateFolder {
        /// The folder.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// An output folder cannot be written to.
    #[error("cannot write into the folder {}", .folder.display())]
    NotWritable {
        /// The folder.
        folder: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Which videos to process, and where their `.pose` files go.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Inputs {
    /// Videos, pictures, folders of videos and folders of pictures.
    pub paths: Vec<PathBuf>,
    /// A [list](super::list) of further videos; `-` is standard input.
    pub list: Option<PathBuf>,
    /// Whether to search subfolders too. Their structure is mirrored in the output folder.
    pub recursive: bool,
    /// Where the outputs go: a file for one video, or a folder. If `None`, beside each video.
    pub output: Option<PathBuf>,
    /// Whether `a.mp4` becomes `a.mp4.pose` rather than `a.pose`.
    pub keep_suffix: bool,
    /// The suffixes of the videos to take from folders, with a dot or without. If empty, all.
    pub suffixes: Vec<String>,
}

impl Inputs {
    /// These videos and folders, with each output beside its video.
    pub fn new(paths: impl IntoIterator<Item = impl Into<PathBuf>>) -> Self {
        Self { paths: paths.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The same inputs with `list`.
    #[must_use]
    pub fn with_list(mut self, list: impl Into<Option<PathBuf>>) -> Self {
        self.list = list.into();
        self
    }

    /// The same inputs with `recursive`.
    #[must_use]
    pub fn with_recursive(mut self, recursive: bool) -> Self {
        self.recursive = recursive;
        self
    }

    /// The same inputs, with the outputs in this file or folder.
    #[must_use]
    pub fn with_output(mut self, output: impl Into<PathBuf>) -> Self {
        self.output = Some(output.into());
        self
    }

    /// The same inputs with `keep_suffix`.
    #[must_use]
    pub fn with_keep_suffix(mut self, keep_suffix: bool) -> Self {
        self.keep_suffix = keep_suffix;
        self
    }

    /// The same inputs with `suffixes`.
    #[must_use]
    pub fn with_suffixes(mut self, suffixes: Vec<String>) -> Self {
        self.suffixes = suffixes;
        self
    }

    /// Whether a video that was found in a folder is wanted.
    fn wants(&self, video: &Path) -> bool {
        let ends_in = |suffix: &String| {
            video.extension().is_some_and(|found| found == suffix.strip_prefix('.').unwrap_or(suffix))
        };
        self.suffixes.is_empty() || self.suffixes.iter().any(ends_in)
    }
}

/// What a batch is to do.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Plan {
    /// In the order of the inputs; videos of a folder in natural order.
    pub jobs: Vec<Job>,
    /// Folders that cannot be read and links that lead nowhere, with the reason.
    pub problems: Vec<(PathBuf, String)>,
    /// Where the journal belongs. Several videos, or a list, have one in the folder of their outputs, if all
    /// outputs are in one folder. A list of failed videos continues the journal beside it.
    pub journal: Option<PathBuf>,
    /// Whether the only output was named, so that its folder may contain other things.
    is_named: bool,
}

impl Plan {
    /// Finds the videos, and pairs each with its output. Opens no video and changes nothing.
    ///
    /// # Errors
    /// An input cannot be used, or two videos would have the same output.
    pub fn new(inputs: &Inputs) -> Result<Self, PlanError> {
        let (mut videos, mut problems) = (Vec::new(), Vec::new());
        for input in &inputs.paths {
            if inputs.recursive && input.is_dir() {
                let below = video::videos_below(input)?;
                problems.extend(below.problems.into_iter().map(|error| problem(input, error)));
                let found = |video| Found { root: Some(input.clone()), video, output: None };
                videos.extend(below.videos.into_iter().filter(|video| inputs.wants(video)).map(found));
                continue;
            }
            match Input::classify(input)? {
                Input::Videos(files) => {
                    videos.extend(files.into_iter().filter(|video| inputs.wants(video)).map(Found::alone));
                }
                // Everything else is one video.
                _ => videos.push(Found::alone(input.clone())),
            }
        }
        if let Some(list) = &inputs.list {
            read_list(list, &mut videos)?;
        }
        let target = Target::from(inputs.output.as_deref());
        if let Target::Folder(folder) = &target
            && folder.exists()
            && !folder.is_dir()
        {
            return Err(PlanError::OutputIsFile(folder.clone()));
        }
        if let (Target::File(file), 2..) = (&target, videos.len()) {
            return Err(PlanError::OneFileForMany { output: file.clone(), videos: videos.len() });
        }
        let mut jobs = Vec::with_capacity(videos.len());
        let mut taken: HashMap<PathBuf, PathBuf> = HashMap::new();
        // Inputs that are their own outputs.
        let mut outputs = Vec::new();
        for Found { root, video, output } in videos {
            let output = match output {
                Some(output) => output,
                None => target.output(&video, root.as_deref(), inputs.keep_suffix)?,
            };
            if is_same_file(&video, &output) {
                outputs.push(video);
                continue;
            }
            if let Some(first) = taken.insert(output.clone(), video.clone()) {
                // A video that is named twice is processed once.
                if first == video {
                    continue;
                }
                return Err(PlanError::Clash { first, second: video, output });
            }
            jobs.push(Job { video, output });
        }
        // One of them must not stop the others.
        let refused = |video| (video, "would be replaced by its own output; expected a video".to_owned());
        match (jobs.is_empty(), outputs.pop()) {
            (true, Some(video)) => return Err(PlanError::OutputIsInput(video)),
            (_, last) => problems.extend(outputs.into_iter().chain(last).map(refused)),
        }
        let journal = journal(inputs, &target, &jobs);
        let is_named = inputs.output.as_ref().is_some_and(|output| !output.is_dir()) && jobs.len() == 1;
        Ok(Self { jobs, problems, journal, is_named })
    }

    /// Creates the folders of the outputs, removes what killed processes have left there, and checks that they can
    /// be written to. A [`Batch`](super::Batch) does this itself.
    ///
    /// # Errors
    /// A folder cannot be created or written to.
    pub fn prepare_folders(&self) -> Result<(), PlanError> {
        sweep(self.jobs.iter());
        check_outputs(&self.jobs)
    }

    /// The journals of other runs into the folders of these outputs, with SLURM or without.
    pub(super) fn neighbouring_journals(&self, jobs: &[Job], own: Option<&Path>) -> Vec<PathBuf> {
        let outputs = jobs.iter().filter(|_| !self.is_named).filter_map(|job| job.output.parent());
        // The tasks of a submission keep theirs in FOLDER/.oppose/run-N.
        let submitted = own.into_iter().flat_map(Path::ancestors).find(|path| path.ends_with(slurm::FOLDER));
        let folders: BTreeSet<&Path> = outputs.chain(submitted.and_then(Path::parent)).collect();
        let mut journals = BTreeSet::new();
        for folder in folders {
            // Folders that cannot be read are skipped.
            journals.insert(folder.join(journal::NAME));
            let runs = slurm::Run::all(folder).unwrap_or_default();
            journals.extend(runs.iter().flat_map(|run| run.journals().unwrap_or_default()));
        }
        journals.into_iter().filter(|journal| Some(journal.as_path()) != own).collect()
    }
}

/// Why something inside a folder cannot be read.
fn problem(folder: &Path, error: VideoError) -> (PathBuf, String) {
    match error {
        VideoError::Read { path, source } if path.is_symlink() && !path.exists() => {
            (path, format!("is a link that leads nowhere: {source}"))
        }
        VideoError::Read { path, source } => (path, format!("cannot be read: {source}")),
        other => (folder.to_owned(), Chain(&other).to_string()),
    }
}

fn journal(inputs: &Inputs, target: &Target, jobs: &[Job]) -> Option<PathBuf> {
    if jobs.len() <= 1 && inputs.list.is_none() {
        return None;
    }
    match target {
        Target::File(_) => None,
        Target::Folder(folder) => Some(folder.join(journal::NAME)),
        Target::BesideVideo => journal_of_list(inputs.list.as_deref())
            .or_else(|| Some(common_folder(inputs, jobs)?.join(journal::NAME))),
    }
}

/// The journal of the run that wrote the list of failed videos.
fn journal_of_list(list: Option<&Path>) -> Option<PathBuf> {
    let list = list?;
    let name = list.file_name()?.as_bytes().strip_suffix(b".failed.list")?;
    let journal = list.with_file_name(OsStr::from_bytes(&[name, b".jsonl"].concat()));
    journal.is_file().then_some(journal)
}

/// The folder of all outputs that are beside their videos: the one folder that was given, or the parent of all.
fn common_folder<'a>(inputs: &'a Inputs, jobs: &'a [Job]) -> Option<&'a Path> {
    if let ([folder], None) = (&inputs.paths[..], &inputs.list)
        && folder.is_dir()
    {
        return Some(folder);
    }
    let mut folders = jobs.iter().map(|job| folder_of(&job.output));
    let first = folders.next()?;
    folders.all(|folder| folder == first).then_some(first)
}

/// A video, the folder in which it was found, and its output if one was given with it.
struct Found {
    root: Option<PathBuf>,
    video: PathBuf,
    output: Option<PathBuf>,
}

impl Found {
    fn alone(video: PathBuf) -> Self {
        Self { root: None, video, output: None }
    }
}

/// Adds the videos of a list, in the form of [`list`]. `-` is standard input.
fn read_list(path: &Path, videos: &mut Vec<Found>) -> Result<(), PlanError> {
    let failed = |source| PlanError::List { list: path.to_owned(), source };
    let mut bytes = Vec::new();
    let reader: Box<dyn io::Read> = match path == Path::new(video::STDIN) {
        true => Box::new(io::stdin().lock()),
        false => Box::new(fs::File::open(path).map_err(failed)?),
    };
    reader.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_LIST_BYTES {
        return Err(PlanError::ListTooLong { list: path.to_owned(), limit: MAX_LIST_BYTES });
    }
    // Paths have no zero bytes, but every second byte of UTF-16 is one.
    if bytes.contains(&0) {
        return Err(PlanError::ListNotText(path.to_owned()));
    }
    let before = videos.len();
    for list::Line { number, video, output, .. } in list::lines(&bytes) {
        if video.as_os_str().is_empty() {
            return Err(PlanError::ListLine { list: path.to_owned(), line: number });
        }
        videos.push(Found { root: None, video, output });
    }
    match videos.len() == before {
        true => Err(PlanError::ListEmpty(path.to_owned())),
        false => Ok(()),
    }
}

/// The folders of the outputs, each once.
fn folders<'a>(jobs: impl Iterator<Item = &'a Job>) -> BTreeSet<&'a Path> {
    jobs.map(|job| folder_of(&job.output)).collect()
}

/// Removes what killed processes have left in the folders of the outputs.
pub(super) fn sweep<'a>(jobs: impl Iterator<Item = &'a Job>) {
    folders(jobs).into_iter().for_each(remove_unfinished);
}

/// Creates the output folders, and checks that they can be written to, before anything is computed.
pub(super) fn check_outputs(jobs: &[Job]) -> Result<(), PlanError> {
    for folder in folders(jobs.iter()) {
        fs::create_dir_all(folder)
            .map_err(|source| PlanError::CreateFolder { folder: folder.to_owned(), source })?;
        tempfile::tempfile_in(folder)
            .map_err(|source| PlanError::NotWritable { folder: folder.to_owned(), source })?;
    }
    Ok(())
}

/// Whether two paths lead to one file. Asks the system only about paths that end in the same name.
fn is_same_file(one: &Path, other: &Path) -> bool {
    let is_same_place = || Some(one.canonicalize().ok()? == other.canonicalize().ok()?);
    one == other || (one.file_name() == other.file_name() && is_same_place() == Some(true))
}

/// Where outputs go.
enum Target {
    BesideVideo,
    File(PathBuf),
    Folder(PathBuf),
}

impl From<Option<&Path>> for Target {
    fn from(output: Option<&Path>) -> Self {
        match output {
            None => Self::BesideVideo,
            Some(path) if path.extension() == Some(OsStr::new("pose")) && !path.is_dir() => {
                Self::File(path.to_owned())
            }
            Some(path) => Self::Folder(path.to_owned()),
        }
    }
}

impl Target {
    /// `root` is the folder in which the video was found.
    fn output(&self, video: &Path, root: Option<&Path>, keep_suffix: bool) -> Result<PathBuf, PlanError> {
        if let Self::File(file) = self {
            return Ok(file.clone());
        }
        // `frames/` and `.` have no last component of their own; the real path has one.
        let resolved = match video.file_name() {
            Some(_) => video.to_owned(),
            None => video.canonicalize().unwrap_or_else(|_| video.to_owned()),
        };
        if video == Path::new(video::STDIN) {
            return Err(PlanError::NamelessInput);
        }
        // A folder of pictures has no suffix, though its name may contain a dot.
        let whole = keep_suffix || video.is_dir();
        let name = if whole { resolved.file_name() } else { resolved.file_stem() };
        let mut name = name.ok_or(PlanError::NamelessInput)?.to_owned();
        name.push(".pose");
        Ok(match self {
            Self::Folder(folder) => {
                let below = root.and_then(|root| video.strip_prefix(root).ok()).and_then(Path::parent);
                folder.join(below.unwrap_or(Path::new(""))).join(name)
            }
            _ => resolved.with_file_name(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(target: Option<&str>, video: &str, keep_suffix: bool) -> String {
        let target = Target::from(target.map(Path::new));
        target.output(Path::new(video), None, keep_suffix).unwrap().display().to_string()
    }

    #[test]
    fn outputs_are_named_after_the_video() {
        assert_eq!(output(None, "clips/a.b.mp4", false), "clips/a.b.pose");
        assert_eq!(output(None, "clips/a.mp4", true), "clips/a.mp4.pose");
        assert_eq!(output(Some("out"), "clips/a.mp4", false), "out/a.pose");
        assert_eq!(output(Some("x.pose"), "clips/a.mp4", false), "x.pose");
    }

    #[test]
    fn no_input_becomes_its_own_output() {
        let folder = tempfile::tempdir().unwrap();
        let pose = folder.path().join("a.pose");
        std::fs::write(&pose, "precious").unwrap();
        let detour = folder.path().join(".").join("a.pose");
        for inputs in [
            Inputs::new([&pose]),
            Inputs::new([&pose]).with_output(folder.path()),
            Inputs::new([&pose]).with_output(detour),
        ] {
            assert!(matches!(Plan::new(&inputs), Err(PlanError::OutputIsInput(input)) if input == pose));
        }
        assert!(Plan::new(&Inputs::new([&pose]).with_output("b.pose")).is_ok());
        // Others are processed all the same.
        let video = folder.path().join("b.mp4");
        std::fs::write(&video, "").unwrap();
        let plan = Plan::new(&Inputs::new([&pose, &video])).unwrap();
        assert_eq!([plan.jobs.len(), plan.problems.len()], [1, 1]);
        assert_eq!((&plan.jobs[0].video, &plan.problems[0].0), (&video, &pose));
    }

    #[test]
    fn standard_input_needs_a_name() {
        let target = Target::from(None);
        assert!(matches!(target.output(Path::new("-"), None, false), Err(PlanError::NamelessInput)));
    }
}
