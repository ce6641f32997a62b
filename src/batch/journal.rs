//! The journal: a line of JSON for each video that was worked on, in the folder of the outputs.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::engine::Description;
use crate::pipeline::Report;
use crate::video::{self, Colors, Note, RateSource};

/// The journal's name in the folder of the outputs.
pub const NAME: &str = "oppose.jsonl";

/// Longer lines, in bytes, are not ours: an entry has two paths and a reason.
const LONGEST_LINE: u64 = 1 << 20;

/// What became of a video.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Seconds since 1970.
    pub time: u64,
    /// The video; an absolute path, as far as it is text.
    pub video: PathBuf,
    /// The `.pose` file; an absolute path, as far as it is text.
    pub output: PathBuf,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Version of this program.
    pub version: String,
    /// What estimated.
    pub engine: Description,
    /// By which matrix colours were converted: `auto` or `bt601`. Empty in journals from before there was a choice,
    /// when it was `auto`.
    #[serde(default)]
    pub colors: String,
}

/// How a video ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// The file is complete.
    Done {
        /// Frames in it.
        frames: u64,
        /// Frames the video announces.
        announced_frames: Option<u64>,
        /// Frames with somebody in them.
        frames_with_people: u64,
        /// Share of the frames in which each component of the skeleton was found, 0 to 1, by its name: body, face,
        /// each hand.
        present: BTreeMap<String, f64>,
        /// The most people of a frame.
        people: usize,
        /// Exactly: `30000/1001`.
        frame_rate: String,
        /// Where that rate comes from.
        #[serde(default)]
        frame_rate_source: RateSource,
        /// Whether the time between frames varies.
        variable_rate: bool,
        /// What else is worth knowing of the video, a sentence each.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
        /// Damaged pieces of the video.
        damaged_packets: u64,
        /// How long it took.
        seconds: f64,
    },
    /// It did not work out.
    Failed {
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// That of a video that is done.
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

/// To four digits: nobody reads more.
fn shares(present: &[(String, u64)], of: u64) -> BTreeMap<String, f64> {
    let share = |frames: u64| (frames as f64 / of.max(1) as f64 * 1e4).round() / 1e4;
    present.iter().map(|(name, frames)| (name.clone(), share(*frames))).collect()
}

/// A journal that lines are added to.
#[derive(Debug)]
pub struct Journal {
    file: File,
    engine: Description,
    colors: Colors,
    /// Whether the last line may have been written in part.
    is_cut_off: bool,
}

impl Journal {
    /// Opens a journal to add to, or begins one.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Self { file, engine: Description::default(), colors: Colors::default(), is_cut_off: false })
    }

    /// Says what estimates from now on.
    pub fn set_engine(&mut self, engine: Description) {
        self.engine = engine;
    }

    /// Says by which matrix colours are converted from now on.
    pub fn set_colors(&mut self, colors: Colors) {
        self.colors = colors;
    }

    /// Adds a line, whole: several processes may add to one journal.
    ///
    /// # Errors
    /// It cannot be written; the next one can, when there is room again.
    pub fn add(&mut self, video: &Path, output: &Path, outcome: Outcome) -> io::Result<()> {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let entry = Entry {
            time,
            video: absolute(video),
            output: absolute(output),
            outcome,
            version: env!("CARGO_PKG_VERSION").into(),
            engine: self.engine.clone(),
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

/// A path that is the same from every folder, and that JSON can hold: what is no text in it is replaced.
fn absolute(path: &Path) -> PathBuf {
    let is_stdin = path == Path::new(video::STDIN);
    let whole = if is_stdin { None } else { std::path::absolute(path).ok() };
    PathBuf::from(whole.as_deref().unwrap_or(path).to_string_lossy().into_owned())
}

/// How many frames the outputs have by the word of journals, each by its last one.
///
/// # Errors
/// A journal is there and cannot be read.
pub fn recorded_frames(journals: &[PathBuf]) -> io::Result<HashMap<PathBuf, u64>> {
    let mut recorded = HashMap::new();
    for journal in journals {
        for entry in read(journal)? {
            if let Outcome::Done { frames, .. } = entry.outcome {
                recorded.insert(entry.output, frames);
            }
        }
    }
    Ok(recorded)
}

/// Reads a journal; none is an empty one. Lines that are no entries, as one that was cut off, are left out.
///
/// # Errors
/// It is there and cannot be read.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    match File::open(path) {
        Ok(file) => read_from(BufReader::new(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// [`read`], of a journal that is open. Whatever is in it, what is no entry costs no other.
///
/// # Errors
/// It cannot be read.
pub fn read_from(mut journal: impl BufRead) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut line = Vec::new();
    while journal.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? > 0 {
        entries.extend(serde_json::from_slice::<Entry>(&line).ok());
        line.clear();
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_survives_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        assert_eq!(read(&path).unwrap(), []);
        let failed = Outcome::Failed { reason: "no \"video\"\nat all".into() };
        let mut journal = Journal::open(&path).unwrap();
        journal.add(Path::new("a.mp4"), Path::new("a.pose"), failed.clone()).unwrap();
        // The end of a line that was cut off, and what a broken disk may leave.
        let damage = b"{\"time\": 12, \"vid\n\xff\xfe\0\n";
        File::options().append(true).open(&path).unwrap().write_all(damage).unwrap();
        Journal::open(&path).unwrap().add(Path::new("/b"), Path::new("/c"), failed.clone()).unwrap();
        let entries = read(&path).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!((&entries[0].outcome, entries[1].video.as_path()), (&failed, Path::new("/b")));
        assert!(entries[0].output.is_absolute());
    }
}
