//! The journal: one line of JSON per outcome of a video, in the folder of the outputs.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use oppose_pose::walk::is_hidden;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::engine::EngineInfo;
use crate::pipeline::Report;
use crate::video::{self, Colors, Note, RateSource};

/// The journal's name in the folder of the outputs.
pub const NAME: &str = "oppose.jsonl";

/// Longer lines, in bytes, are not entries: an entry has two paths and a reason.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// An entry: the outcome of a video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Entry {
    /// Seconds since 1970.
    pub time: u64,
    /// The video; an absolute path, as far as it is text.
    pub video: PathBuf,
    /// The `.pose` file; an absolute path, as far as it is text.
    pub output: PathBuf,
    /// The state of the video before it was processed; not in the journals of earlier versions.
    #[serde(flatten)]
    pub source: Option<VideoState>,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Version of this program.
    pub version: String,
    /// The number of the worker process, if there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<usize>,
    /// What computed it: that worker's engine. Empty for videos that have not ended, and if no engine was open yet.
    #[serde(default, skip_serializing_if = "is_default")]
    pub engine: EngineInfo,
    /// The matrix by which colours were converted: `auto` or `bt601`. Empty in journals from before there was a
    /// choice, when it was `auto`.
    #[serde(default)]
    pub colors: String,
}

/// Size and age of a video's file, or of all files of a folder of pictures, which show whether it is still the
/// same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoState {
    /// Bytes.
    pub video_bytes: u64,
    /// When it was last changed, in whole seconds since 1970: file systems differ in what they keep beyond that.
    pub video_modified: u64,
}

impl VideoState {
    /// The present state of a video; `None` for standard input, and if the system does not tell.
    pub fn of(video: &Path) -> Option<Self> {
        if video == Path::new(video::STDIN) {
            return None;
        }
        let found = fs::metadata(video).ok()?;
        if !found.is_dir() {
            return Some(Self { video_bytes: found.len(), video_modified: modified(&found) });
        }
        let mut state = Self { video_bytes: 0, video_modified: 0 };
        for entry in fs::read_dir(video).ok()?.flatten() {
            if is_hidden(&entry.path()) {
                continue;
            }
            if let Ok(found) = fs::metadata(entry.path())
                && found.is_file()
            {
                state.video_bytes += found.len();
                state.video_modified = state.video_modified.max(modified(&found));
            }
        }
        Some(state)
    }

    /// What is known about the length of a video without opening it: the bytes of its file, or of all pictures in a
    /// folder; at least 1.
    pub fn work(state: Option<Self>) -> u64 {
        state.map_or(1, |state| state.video_bytes.max(1))
    }

    /// What has changed since `earlier`, as the end of a sentence that begins with the output's name.
    pub fn change_since(&self, earlier: &Self) -> Option<String> {
        if self.video_bytes != earlier.video_bytes {
            let (now, then) = (self.video_bytes, earlier.video_bytes);
            return Some(format!("was made when its video had {then} bytes; it now has {now}"));
        }
        (self.video_modified > earlier.video_modified)
            .then(|| "was made before its video was last changed".to_owned())
    }
}

fn modified(found: &Metadata) -> u64 {
    let since = found.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}

/// How a video ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Outcome {
    /// The file is complete.
    Done {
        /// Frames in it.
        frames: u64,
        /// Frames the video announces.
        announced_frames: Option<u64>,
        /// Frames with at least one person.
        frames_with_people: u64,
        /// Share of the frames in which each component of the skeleton was found, 0 to 1, by its name: body, face,
        /// each hand.
        present: BTreeMap<String, f64>,
        /// The largest number of people in a frame.
        people: usize,
        /// The exact frame rate: `30000/1001`.
        frame_rate: String,
        /// Where that rate comes from.
        #[serde(default)]
        frame_rate_source: RateSource,
        /// Whether the time between frames varies.
        variable_rate: bool,
        /// What else is worth knowing about the video, one sentence each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
        /// Damaged pieces of the video.
        damaged_packets: u64,
        /// How long it took.
        seconds: f64,
    },
    /// It failed.
    Failed {
        /// Why.
        reason: String,
        /// Whether it crashed the engine or its process twice. The next run skips it unless asked to retry.
        #[serde(default, skip_serializing_if = "is_false")]
        crashed: bool,
    },
    /// It was started. If no other outcome follows, the run was killed while processing it.
    Started {
        /// How many videos of the run had not ended then, including this one; not in the journals of earlier
        /// versions.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left: Option<usize>,
    },
    /// The user stopped the run before it was done.
    Stopped,
}

fn is_default(engine: &EngineInfo) -> bool {
    *engine == EngineInfo::default()
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Outcome {
    /// The outcome of a video that is done.
    pub fn done(report: &Report) -> Self {
        Self::Done {
            frames: report.frames,
            announced_frames: report.announced_frames,
            frames_with_people: report.frames_with_people,
            present: shares(&report.present, report.frames),
            people: report.people,
            frame_rate: report.frame_rate.to_string(),
            frame_rate_source: report.decoding.rate_source,
            variable_rate: report.decoding.variable_rate.is_some(),
            notes: report.decoding.notes.iter().map(Note::to_string).collect(),
            damaged_packets: report.decoding.damaged_packets,
            seconds: report.elapsed.as_secs_f64(),
        }
    }
}

/// Four digits: nobody reads more.
fn shares(present: &[(String, u64)], of: u64) -> BTreeMap<String, f64> {
    let share = |frames: u64| (frames as f64 / of.max(1) as f64 * 1e4).round() / 1e4;
    present.iter().map(|(name, frames)| (name.clone(), share(*frames))).collect()
}

/// A journal to which lines are appended.
#[derive(Debug)]
pub struct Journal {
    file: File,
    /// The engine of each worker.
    engines: BTreeMap<usize, EngineInfo>,
    has_workers: bool,
    colors: Colors,
    /// Whether the last line may have been written in part.
    is_cut_off: bool,
    /// The videos as they were before they were opened: one that grows meanwhile must not pass for complete.
    states: HashMap<PathBuf, VideoState>,
}

impl Journal {
    /// Opens a journal to append to, or creates one.
    ///
    /// # Errors
    /// It cannot be written, or the existing file is not a journal: a symbolic link, not a regular file, or a file
    /// with other contents, such as a video.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        let mut file = open_regular(options.create(true).append(true).read(true), path)?;
        if !is_journal(&file)? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "it already exists and is not a journal, so it is left as it is",
            ));
        }
        let mut last = [b'\n'];
        if file.seek(SeekFrom::End(0))? > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        let is_cut_off = last != [b'\n'];
        let (engines, states) = (BTreeMap::new(), HashMap::new());
        Ok(Self { file, engines, has_workers: false, colors: Colors::default(), is_cut_off, states })
    }

    /// Records the state of these videos before they are processed.
    pub fn expect(&mut self, states: impl IntoIterator<Item = (PathBuf, VideoState)>) {
        self.states.extend(states);
    }

    /// Records the engine that a worker has from now on.
    pub fn set_engine(&mut self, worker: usize, engine: EngineInfo) {
        self.engines.insert(worker, engine);
        self.has_workers |= worker > 0;
    }

    /// Records the matrix by which colours are converted from now on.
    pub fn set_colors(&mut self, colors: Colors) {
        self.colors = colors;
    }

    /// Appends a line in one piece: several processes may append to one journal.
    ///
    /// # Errors
    /// It cannot be written; the next line can, once there is room again.
    pub fn add(&mut self, worker: usize, video: &Path, output: &Path, outcome: Outcome) -> io::Result<()> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let engine = match outcome {
            Outcome::Started { .. } | Outcome::Stopped => None,
            _ => self.engines.get(&worker).cloned(),
        };
        let entry = Entry {
            time,
            video: absolute(video),
            output: absolute(output),
            source: self.states.get(video).copied(),
            outcome,
            version: env!("CARGO_PKG_VERSION").into(),
            worker: self.has_workers.then_some(worker),
            engine: engine.unwrap_or_default(),
            colors: self.colors.to_string(),
        };
        let mut line = if self.is_cut_off { vec![b'\n'] } else { Vec::new() };
        serde_json::to_writer(&mut line, &entry)?;
        line.push(b'\n');
        self.is_cut_off = true;
        self.file.write_all(&line)?;
        self.is_cut_off = false;
        Ok(())
    }
}

/// A path that means the same in every folder and that JSON can hold: parts that are not text are replaced.
fn absolute(path: &Path) -> PathBuf {
    let is_stdin = path == Path::new(video::STDIN);
    let whole = if is_stdin { None } else { std::path::absolute(path).ok() };
    PathBuf::from(whole.as_deref().unwrap_or(path).to_string_lossy().into_owned())
}

/// Opens a file that has to be a regular one, without following a link at the end of its path and without blocking,
/// as opening a pipe does.
fn open_regular(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = options.custom_flags(flags.bits() as i32).open(path).map_err(|error| {
        match error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            true => {
                io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link, which is not followed")
            }
            false => error,
        }
    })?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file")),
    }
}

/// Whether a file is a journal, judged by its beginning: it is empty, or one of its first lines is an entry. A
/// journal whose only line was cut off counts too.
fn is_journal(file: &File) -> io::Result<bool> {
    let mut beginning = Vec::new();
    let mut reader = file;
    reader.seek(SeekFrom::Start(0))?;
    reader.take(MAX_LINE_BYTES).read_to_end(&mut beginning)?;
    let mut lines = beginning.split(|&byte| byte == b'\n');
    Ok(beginning.iter().all(u8::is_ascii_whitespace)
        || ENTRY_BEGINNING.starts_with(&beginning)
        || lines
            .any(|line| line.starts_with(ENTRY_BEGINNING) || serde_json::from_slice::<Entry>(line).is_ok()))
}

/// How every entry begins.
const ENTRY_BEGINNING: &[u8] = b"{\"time\":";

/// What journals say about an output.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Recorded {
    /// The last time that it was completed.
    pub done: Option<RecordedDone>,
    /// The crash, if the video has had no other outcome since.
    pub crash: Option<RecordedCrash>,
    /// How often a run was killed while processing its video, since the last outcome.
    pub interruptions: u32,
}

/// A completed output, as recorded.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RecordedDone {
    /// Frames in it.
    pub frames: u64,
    /// The state of the video that it was computed from.
    pub source: Option<VideoState>,
    /// What computed it.
    pub engine: Arc<EngineInfo>,
}

/// A video that ended the engine or its process, twice.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedCrash {
    /// How.
    pub reason: String,
    /// The state of the video that caused it.
    pub source: Option<VideoState>,
    /// The version of the program that crashed.
    pub version: String,
}

/// Reads several journals as one, sorted by time; within a second, in the order of the journals and their lines.
///
/// # Errors
/// A journal exists and cannot be read, or is a link or not a regular file.
pub fn read_all(journals: &[PathBuf]) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for journal in journals {
        entries.extend(read(journal)?);
    }
    entries.sort_by_key(|entry| entry.time);
    Ok(entries)
}

/// What journals say about the outputs; `entries` are in order of time.
pub fn recorded(entries: impl IntoIterator<Item = Entry>) -> HashMap<PathBuf, Recorded> {
    let mut engines: Vec<Arc<EngineInfo>> = Vec::new();
    let mut recorded: HashMap<PathBuf, Recorded> = HashMap::new();
    for Entry { output, source, outcome, version, engine, .. } in entries {
        let known = recorded.entry(output).or_default();
        match outcome {
            Outcome::Started { .. } => known.interruptions += 1,
            Outcome::Stopped => known.interruptions = known.interruptions.saturating_sub(1),
            Outcome::Done { frames, .. } => {
                // There are few engines and many outputs.
                let engine = match engines.iter().find(|known| ***known == engine) {
                    Some(known) => Arc::clone(known),
                    None => {
                        engines.push(Arc::new(engine));
                        Arc::clone(&engines[engines.len() - 1])
                    }
                };
                *known =
                    Recorded { done: Some(RecordedDone { frames, source, engine }), ..Recorded::default() };
            }
            Outcome::Failed { reason, crashed } => {
                let crash = crashed.then_some(RecordedCrash { reason, source, version });
                *known = Recorded { done: known.done.take(), crash, interruptions: 0 };
            }
        }
    }
    recorded
}

/// Reads a journal; one that does not exist is empty. Lines that are not entries, such as one that was cut off, are
/// skipped.
///
/// # Errors
/// It exists and cannot be read, or is a link or not a regular file.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    match open_regular(File::options().read(true), path) {
        Ok(file) => read_from(BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Like [`read`], for a journal that is open. Something that is not an entry costs no other entry.
///
/// # Errors
/// It cannot be read.
pub fn read_from(mut journal: impl BufRead) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut line = Vec::new();
    while journal.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? > 0 {
        entries.extend(serde_json::from_slice::<Entry>(&line).ok());
        line.clear();
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn failed() -> Outcome {
        Outcome::Failed { reason: "no \"video\"\nat all".into(), crashed: false }
    }

    #[test]
    fn a_journal_survives_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        assert_eq!(read(&path).unwrap(), []);
        let failed = failed();
        let mut journal = Journal::open(&path).unwrap();
        journal.add(0, Path::new("a.mp4"), Path::new("a.pose"), failed.clone()).unwrap();
        // The end of a line that was cut off, and what a broken disk may leave.
        let damage = b"{\"time\": 12, \"vid\n\xff\xfe\0\n";
        File::options().append(true).open(&path).unwrap().write_all(damage).unwrap();
        Journal::open(&path).unwrap().add(0, Path::new("/b"), Path::new("/c"), failed.clone()).unwrap();
        let entries = read(&path).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!((&entries[0].outcome, entries[1].video.as_path()), (&failed, Path::new("/b")));
        assert!(entries[0].output.is_absolute());
    }

    #[test]
    fn a_line_that_was_cut_off_swallows_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        for cut in [&b"{\"ti"[..], b"{\"time\":12,\"vid"] {
            fs::write(&path, cut).unwrap();
            let mut journal = Journal::open(&path).unwrap();
            journal.add(0, Path::new("/a"), Path::new("/a.pose"), failed()).unwrap();
            journal.add(0, Path::new("/b"), Path::new("/b.pose"), failed()).unwrap();
            drop(journal);
            Journal::open(&path).unwrap().add(0, Path::new("/c"), Path::new("/c.pose"), failed()).unwrap();
            assert_eq!(read(&path).unwrap().len(), 3);
            assert!(!fs::read(&path).unwrap().windows(2).any(|pair| pair == b"\n\n"));
        }
    }

    #[test]
    fn what_is_no_journal_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for contents in [&b"\0\0\0\x20ftypisom\n\0"[..], b"notes of mine\n", b"{\"a\":1}\n", b"[]"] {
            fs::write(path("other"), contents).unwrap();
            let error = Journal::open(&path("other")).unwrap_err();
            assert!(error.to_string().contains("is not a journal"), "{error}");
            assert_eq!(fs::read(path("other")).unwrap(), contents);
        }
        fs::write(path("target"), b"").unwrap();
        symlink(path("target"), path("link")).unwrap();
        symlink(path("absent"), path("dangling")).unwrap();
        // `mkfifo`, on which a plain `open` blocks.
        let fifo = std::process::Command::new("mkfifo").arg(path("pipe")).status();
        assert!(fifo.unwrap().success());
        for (name, reason) in [
            ("link", "symbolic link"),
            ("dangling", "symbolic link"),
            ("pipe", "regular file"),
            ("/dev/null", "regular file"),
        ] {
            for error in [Journal::open(&path(name)).unwrap_err(), read(&path(name)).unwrap_err()] {
                assert!(error.to_string().contains(reason), "{name}: {error}");
            }
        }
        assert!(!path("absent").exists());
    }

    #[test]
    fn entries_tell_what_the_video_was_like_and_old_ones_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let (path, video) = (folder.path().join(NAME), folder.path().join("a.mp4"));
        fs::write(&video, b"12345").unwrap();
        let mut journal = Journal::open(&path).unwrap();
        journal.expect([(video.clone(), VideoState::of(&video).unwrap())]);
        // It grows while it is processed: what is recorded is its state before.
        fs::write(&video, b"1234567").unwrap();
        journal.add(0, &video, Path::new("/a.pose"), failed()).unwrap();
        let recorded = read(&path).unwrap()[0].source.unwrap();
        assert_eq!(recorded.video_bytes, 5);
        let now = VideoState::of(&video).unwrap();
        assert!(now.change_since(&recorded).unwrap().contains("had 5 bytes; it now has 7"));
        assert_eq!(now.change_since(&now), None);
        let newer = VideoState { video_modified: now.video_modified + 1, ..now };
        assert!(newer.change_since(&now).is_some() && now.change_since(&newer).is_none());

        let text = fs::read_to_string(&path).unwrap();
        let mut old: serde_json::Value = serde_json::from_str(&text).unwrap();
        let fields = old.as_object_mut().unwrap();
        assert!(fields.remove("video_bytes").is_some() && fields.remove("video_modified").is_some());
        fs::write(&path, old.to_string() + "\n").unwrap();
        assert_eq!(read(&path).unwrap()[0].source, None);
    }
}
