//! Writing a `.pose` file frame by frame.

use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::SpooledTempFile;

use super::platform::check_writable;
use super::pose_file::{body_head, check_shape};
use super::{FramePose, Header, PoseError};
use crate::output_file::{OutputFile, folder_of};

/// Writes a `.pose` file of any length in constant memory.
///
/// The format stores all coordinates before all confidences, and in front of both the number of people, which is known only
/// at the end. Frames are therefore spooled, in memory and beyond one megabyte in an unnamed file in the output's folder, and
/// put in order by [`finish`](Self::finish). The output appears complete or not at all; a writer that is dropped, or a
/// process that is killed, leaves nothing behind.
///
/// ```
/// use oppose_pose::{FramePose, Header, Pose, PoseWriter, openpose_137};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("video.pose");
/// let header = Header::new(openpose_137(), 640, 480)?;
/// let mut writer = PoseWriter::create(&path, &header, 30000.0 / 1001.0)?;
/// writer.write(&FramePose::new(2, 137, 2))?;
/// writer.write(&FramePose::new(0, 137, 2))?;
/// writer.finish()?;
/// assert_eq!(Pose::read_file(&path)?.people(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct PoseWriter {
    path: PathBuf,
    folder: PathBuf,
    overwrite: bool,
    header: Vec<u8>,
    points: usize,
    dimensions: usize,
    fps: f32,
    spool: BufWriter<SpooledTempFile>,
    frames: u64,
    people: usize,
}

/// Bytes of frames kept in memory: more than short clips have. File systems take longer to create one more file and remove
/// it than the frames of a short clip take.
const SPOOLED_IN_MEMORY: usize = 1 << 20;

/// Options of a [`PoseWriter`]: see [`PoseWriter::options`].
#[derive(Clone, Copy, Debug, Default)]
pub struct WriterOptions {
    overwrite: bool,
}

impl WriterOptions {
    /// Whether a file that exists is replaced once the new one is complete. Without it, an existing file is an error.
    #[must_use]
    pub fn overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// Begins a file at `fps` frames per second. It gets everything in `header` but the version, which will be 0.2. Nothing
    /// appears at `path` until the writer is [finished](PoseWriter::finish).
    ///
    /// # Errors
    /// A file exists at `path` and is not to be replaced, `path` is a folder or not the name of a file, its folder cannot be
    /// written to, or the header does not fit the format.
    pub fn create(self, path: &Path, header: &Header, fps: f32) -> Result<PoseWriter, PoseError> {
        let Self { overwrite } = self;
        check_free(path, overwrite)?;
        let skeleton = &header.skeleton;
        let header = header.to_bytes()?;
        let folder = folder_of(path).to_owned();
        // Checked now, so that nobody learns of it only after the work.
        check_writable(&folder).map_err(|error| PoseError::Io {
            what: "write into the folder",
            path: folder.clone(),
            source: error.into(),
        })?;
        let spool = SpooledTempFile::new_in(SPOOLED_IN_MEMORY, &folder);
        Ok(PoseWriter {
            path: path.to_owned(),
            folder,
            overwrite,
            header,
            points: skeleton.points(),
            dimensions: skeleton.dimensions(),
            fps,
            spool: BufWriter::with_capacity(1 << 18, spool),
            frames: 0,
            people: 0,
        })
    }
}

impl PoseWriter {
    /// Begins a file that must not exist yet: [`WriterOptions::create`] with the default options.
    ///
    /// # Errors
    /// Those of [`WriterOptions::create`].
    pub fn create(path: &Path, header: &Header, fps: f32) -> Result<Self, PoseError> {
        Self::options().create(path, header, fps)
    }

    /// Options to create a writer with: `PoseWriter::options().overwrite(true).create(…)`.
    pub fn options() -> WriterOptions {
        WriterOptions::default()
    }

    /// Gives the file at least this many rows for people, however many the frames have.
    pub fn reserve_people(&mut self, people: usize) {
        self.people = self.people.max(people);
    }

    /// Changes the frame rate, which may be known only when all frames have been seen.
    pub fn set_frame_rate(&mut self, fps: f32) {
        self.fps = fps;
    }

    /// Number of frames written so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Appends a frame.
    ///
    /// # Errors
    /// The frame does not fit the skeleton or the format: it is left out, and the next one may be written. Or the disk is
    /// full: the frames before it are complete, but no further one may be written.
    pub fn write(&mut self, frame: &FramePose) -> Result<(), PoseError> {
        check_shape(frame, self.points, self.dimensions)?;
        let (frames, people) = (self.frames + 1, self.people.max(frame.people()));
        body_head(self.fps, frames, people)?;
        self.spool_frame(frame).map_err(|error| self.failed("write", &self.path, error))?;
        (self.frames, self.people) = (frames, people);
        Ok(())
    }

    /// Completes the file and renames it to its path. Its bytes are on the disk before that. Blocks until then: writing and
    /// syncing a long file takes seconds.
    ///
    /// # Errors
    /// The disk is full, or a file has been created at the path meanwhile and is not to be replaced.
    pub fn finish(self) -> Result<(), PoseError> {
        let path = self.path.clone();
        let overwrite = self.overwrite;
        self.finish_at(&path, overwrite)
    }

    /// Completes the file under another name in the same folder and replaces any file of that name: for the frames of a
    /// video that breaks off.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish_as(self, path: &Path) -> Result<(), PoseError> {
        self.finish_at(path, true)
    }

    fn finish_at(mut self, path: &Path, overwrite: bool) -> Result<(), PoseError> {
        let file = self.join(path).map_err(|error| self.failed("write", path, error))?;
        file.finish(overwrite).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => PoseError::Exists(path.to_owned()),
            _ => self.failed("write", path, error),
        })
    }

    /// Appends a frame to the spool: number of people, coordinates, confidences.
    fn spool_frame(&mut self, frame: &FramePose) -> io::Result<()> {
        self.spool.write_all(&(frame.people() as u32).to_le_bytes())?;
        for value in frame.coordinates().iter().chain(frame.confidences()) {
            self.spool.write_all(&value.to_le_bytes())?;
        }
        Ok(())
    }

    /// Copies the spool to a file beside the output in two passes: coordinates, then confidences.
    fn join(&mut self, path: &Path) -> io::Result<OutputFile> {
        let file = OutputFile::create_in(&self.folder, path)?;
        let mut out = BufWriter::with_capacity(1 << 18, file);
        out.write_all(&self.header)?;
        let head = body_head(self.fps, self.frames, self.people).map_err(io::Error::other)?;
        out.write_all(&head)?;
        self.spool.flush()?;
        let coordinates = self.points * self.dimensions * 4;
        let confidences = self.points * 4;
        self.copy_section(&mut out, 0, coordinates, confidences)?;
        self.copy_section(&mut out, coordinates, confidences, 0)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync()?;
        Ok(file)
    }

    /// Copies one section of every frame, padded with zeros to the largest number of people. `before`, `section` and `after`
    /// are bytes per person.
    fn copy_section(
        &mut self,
        out: &mut impl Write,
        before: usize,
        section: usize,
        after: usize,
    ) -> io::Result<()> {
        self.spool.get_mut().rewind()?;
        let mut spool = BufReader::with_capacity(1 << 18, self.spool.get_mut());
        let mut row = Vec::new();
        for _ in 0..self.frames {
            let mut people = [0; 4];
            spool.read_exact(&mut people)?;
            let people = u32::from_le_bytes(people) as usize;
            spool.seek_relative((people * before) as i64)?;
            row.resize(people * section, 0);
            spool.read_exact(&mut row)?;
            out.write_all(&row)?;
            row.clear();
            row.resize((self.people - people) * section, 0);
            out.write_all(&row)?;
            spool.seek_relative((people * after) as i64)?;
        }
        Ok(())
    }

    fn failed(&self, what: &'static str, path: &Path, error: io::Error) -> PoseError {
        PoseError::Io { what, path: path.to_owned(), source: error.into() }
    }
}

/// Checks before the work that a file can be put at `path`. Links are not followed: one that leads nowhere is in the way
/// too.
fn check_free(path: &Path, overwrite: bool) -> Result<(), PoseError> {
    if path.file_name().is_none() {
        return Err(PoseError::IsFolder(path.to_owned()));
    }
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => Err(PoseError::IsFolder(path.to_owned())),
        Ok(_) if !overwrite => Err(PoseError::Exists(path.to_owned())),
        // A missing folder is reported, with its own name, when the folder is checked.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PoseError::Io { what: "write", path: path.to_owned(), source: error.into() })
        }
        _ => Ok(()),
    }
}
