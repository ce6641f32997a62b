//! From what was typed to what will be done: one job a video, checked before anything starts.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use oppose::batch::journal::VideoState;
use oppose::batch::{Job, list};
use oppose::output_file::folder_of;
use oppose::pose::remove_unfinished;
use oppose::video::{self, Input, VideoError};

use super::terminal::printable;

/// A list of a million long paths has less.
const MAX_LIST_BYTES: u64 = 1 << 29;

/// Why the plan cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error(transparent)]
    Input(#[from] VideoError),
    #[error("--output {} names one file, but there are {videos} videos: give a folder", printable(.output))]
    OneFileForMany { output: PathBuf, videos: usize },
    #[error("a video on standard input has no name: give --output FILE.pose")]
    NamelessInput,
    #[error(
        "{} and {} would both become {}: give --keep-suffix, or work on them apart",
        printable(.first), printable(.second), printable(.output)
    )]
    Clash { first: PathBuf, second: PathBuf, output: PathBuf },
    #[error("cannot read the list {}: {source}", printable(.list))]
    List { list: PathBuf, source: io::Error },
    #[error("the list {} has more than {limit} bytes: one path per line was expected", printable(.list))]
    ListTooLong { list: PathBuf, limit: u64 },
    #[error("the list {} names no videos: one path per line was expected", printable(.0))]
    ListEmpty(PathBuf),
    #[error("line {line} of the list {} begins with a tab: the path of a video was expected before it", printable(.list))]
    ListLine { list: PathBuf, line: usize },
    #[error("the list {} is not plain text: save it as UTF-8, one path per line", printable(.0))]
    ListNotText(PathBuf),
    #[error(
        "--output {} is an ordinary file that is there already; expected a folder, or a name ending in .pose",
        printable(.0)
    )]
    OutputIsFile(PathBuf),
    #[error("cannot create the folder {}: {source}", printable(.folder))]
    CreateFolder { folder: PathBuf, source: io::Error },
    #[error("cannot write into the folder {}: {source}; name another with --output", printable(.folder))]
    NotWritable { folder: PathBuf, source: io::Error },
}

/// What is to be worked on, as it was typed.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// Videos, folders.
    pub paths: &'a [PathBuf],
    /// A file with a line a video.
    pub list: Option<&'a Path>,
    /// Whether folders count with all folders in them.
    pub recursive: bool,
}

/// What will be done.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order of the inputs; videos of a folder in natural order.
    pub jobs: Vec<Job>,
    /// What could not be looked at, and why: folders that may not be read, links that lead nowhere.
    pub problems: Vec<(PathBuf, String)>,
}

/// Plans the jobs. Of a folder and the folders in it the tree is kept in the output folder.
pub fn plan(inputs: Inputs<'_>, output: Option<&Path>, keep_suffix: bool) -> Result<Plan, PlanError> {
    let (mut videos, mut problems) = (Vec::new(), Vec::new());
    for input in inputs.paths {
        if inputs.recursive && input.is_dir() {
            let below = video::videos_below(input)?;
            problems.extend(below.problems.into_iter().map(|error| match error {
                VideoError::Read { path, source } if path.is_symlink() && !path.exists() => {
                    (path, format!("is a link that leads nowhere: {source}"))
                }
                VideoError::Read { path, source } => (path, format!("cannot be read: {source}")),
                other => (input.clone(), other.to_string()),
            }));
            videos.extend(below.videos.into_iter().map(|video| Found {
                root: Some(input.clone()),
                video,
                output: None,
            }));
            continue;
        }
        match Input::classify(input)? {
            Input::Video | Input::Pictures => videos.push(Found::alone(input.clone())),
            Input::Videos(files) => videos.extend(files.into_iter().map(Found::alone)),
        }
    }
    if let Some(list) = inputs.list {
        read_list(list, &mut videos)?;
    }
    let target = Target::from(output);
    if let Target::Folder(folder) = &target
        && folder.is_file()
    {
        return Err(PlanError::OutputIsFile(folder.clone()));
    }
    if let (Target::File(file), 2..) = (&target, videos.len()) {
        return Err(PlanError::OneFileForMany { output: file.clone(), videos: videos.len() });
    }
    let mut jobs = Vec::with_capacity(videos.len());
    let mut taken: HashMap<PathBuf, PathBuf> = HashMap::new();
    for Found { root, video, output } in videos {
        let output = match output {
            Some(output) => output,
            None => target.output(&video, root.as_deref(), keep_suffix)?,
        };
        if let Some(first) = taken.insert(output.clone(), video.clone()) {
            // The same video twice is done once.
            if first == video {
                continue;
            }
            return Err(PlanError::Clash { first, second: video, output });
        }
        jobs.push(Job { video, output });
    }
    Ok(Plan { jobs, problems })
}

/// A video, the folder it was found below, and its output where that was given with it.
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

/// What is known of a video's length without opening it: the bytes of its file, or of all pictures of a folder.
pub fn work(state: Option<VideoState>) -> u64 {
    state.map_or(1, |state| state.video_bytes.max(1))
}

/// The folders of the outputs, each once.
fn folders(jobs: &[Job]) -> BTreeSet<&Path> {
    jobs.iter().map(|job| folder_of(&job.output)).collect()
}

/// Removes what killed processes have left in the folders of the outputs.
pub fn sweep(jobs: &[Job]) {
    folders(jobs).into_iter().for_each(remove_unfinished);
}

/// Makes the output folders, and makes sure that they can be written to, before anything is computed.
pub fn check_outputs(jobs: &[Job]) -> Result<(), PlanError> {
    for folder in folders(jobs) {
        fs::create_dir_all(folder)
            .map_err(|source| PlanError::CreateFolder { folder: folder.to_owned(), source })?;
        tempfile::tempfile_in(folder)
            .map_err(|source| PlanError::NotWritable { folder: folder.to_owned(), source })?;
    }
    Ok(())
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
    /// `root` is the folder below which the video was found.
    fn output(&self, video: &Path, root: Option<&Path>, keep_suffix: bool) -> Result<PathBuf, PlanError> {
        if let Self::File(file) = self {
            return Ok(file.clone());
        }
        // `frames/` and `.` have no last component of their own; the real path has.
        let resolved = match video.file_name() {
            Some(_) => video.to_owned(),
            None => video.canonicalize().unwrap_or_else(|_| video.to_owned()),
        };
        if video == Path::new(video::STDIN) {
            return Err(PlanError::NamelessInput);
        }
        // A folder of pictures has no suffix, though its name may hold a dot.
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
    fn standard_input_needs_a_name() {
        let target = Target::from(None);
        assert!(matches!(target.output(Path::new("-"), None, false), Err(PlanError::NamelessInput)));
    }
}
