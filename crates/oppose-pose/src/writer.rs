//! Writing a `.pose` file frame by frame.

use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::SpooledTempFile;

use super::platform::check_writable;
use super::pose_file::{body_head, check_shape};
use super::{FramePose, Header, PoseError, Skeleton};
use crate::output_file::OutputFile;

/// Writes a `.pose` file of any length in flat memory.
///
/// The format holds all coordinates before all confidences, and the number of people in front, which is
/// known only at the end. So frames are spooled, into memory and from a megabyte on into an unnamed file in the
/// output's folder, and put in order by [`finish`](Self::finish). The output appears complete or not at all;
/// a writer that is dropped, or a process that is killed, leaves nothing behind.
///
/// ```
/// use oppose_pose::{FramePose, Pose, PoseWriter, openpose_137};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("video.pose");
/// let mut writer = PoseWriter::create(&path, openpose_137(), 640, 480, 30000.0 / 1001.0, false)?;
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

/// Bytes of frames kept in memory: more than short clips have. To make one more file and remove it takes file systems
/// longer than a short clip's frames take.
const SPOOLED_IN_MEMORY: usize = 1 << 20;

impl PoseWriter {
    /// Begins a file for pictures of this size in pixels. Nothing is at `path` until it is finished.
    ///
    /// # Errors
    /// There is a file at `path` and `overwrite` is false, `path` is a folder or no name that a file can have,
    /// the folder cannot be written to, or the size does not fit the format.
    pub fn create(
        path: &Path,
        skeleton: &Skeleton,
        width: u32,
        height: u32,
        fps: f32,
        overwrite: bool,
    ) -> Result<Self, PoseError> {
        Self::create_with(path, &Header::new(skeleton, width, height)?, fps, overwrite)
    }

    /// The same with a header that is there already, of which all is kept but the version.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_with(path: &Path, header: &Header, fps: f32, overwrite: bool) -> Result<Self, PoseError> {
        check_free(path, overwrite)?;
        let skeleton = &header.skeleton;
        let header = header.to_bytes()?;
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        // Asked before the work and not after it.
        check_writable(&folder).map_err(|source| PoseError::Io {
            what: "write into the folder",
            path: folder.clone(),
            source,
        })?;
        let spool = SpooledTempFile::new_in(SPOOLED_IN_MEMORY, &folder);
        Ok(Self {
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

    /// Gives the file rows for at least so many people, whoever is in the frames.
    pub fn reserve_people(&mut self, people: usize) {
        self.people = self.people.max(people);
    }

    /// Changes the frame rate: what it is may show only when all frames have been seen.
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
    /// The frame does not fit the skeleton or the format: the file is as if it had not been given. Or the disk
    /// is full: the frames before are whole, but no further one may be written.
    pub fn write(&mut self, frame: &FramePose) -> Result<(), PoseError> {
        check_shape(frame, self.points, self.dimensions)?;
        let (frames, people) = (self.frames + 1, self.people.max(frame.people()));
        body_head(self.fps, frames, people)?;
        self.spool_frame(frame).map_err(|source| self.failed("write", &self.path, source))?;
        (self.frames, self.people) = (frames, people);
        Ok(())
    }

    /// Completes the file and puts it where it belongs. Its bytes are on the disk before its name is there.
    ///
    /// # Errors
    /// The disk is full, or the file has come into being meanwhile and is not to be replaced.
    pub fn finish(self) -> Result<(), PoseError> {
        let path = self.path.clone();
        let overwrite = self.overwrite;
        self.finish_at(&path, overwrite)
    }

    /// Completes the file under another name in the same folder, replacing what is there: for what was
    /// saved of a video that breaks.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish_as(self, path: &Path) -> Result<(), PoseError> {
        self.finish_at(path, true)
    }

    fn finish_at(mut self, path: &Path, overwrite: bool) -> Result<(), PoseError> {
        let file = self.join(path).map_err(|source| self.failed("write", path, source))?;
        file.finish(overwrite).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => PoseError::Exists(path.to_owned()),
            _ => self.failed("write", path, error),
        })
    }

    /// A frame in the spool: number of people, coordinates, confidences.
    fn spool_frame(&mut self, frame: &FramePose) -> io::Result<()> {
        self.spool.write_all(&(frame.people() as u32).to_le_bytes())?;
        for value in frame.coordinates().iter().chain(frame.confidences()) {
            self.spool.write_all(&value.to_le_bytes())?;
        }
        Ok(())
    }

    /// Reads the spool twice, for the coordinates and for the confidences, into a file beside the output.
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

    /// Copies one section of every frame, filled up with zeros to the largest number of people. `before`,
    /// `section` and `after` are bytes a person.
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

    fn failed(&self, what: &'static str, path: &Path, source: io::Error) -> PoseError {
        PoseError::Io { what, path: path.to_owned(), source }
    }
}

/// Whether a file can be put at `path`, asked before the work and not after it. Links are not followed: one
/// that leads nowhere is in the way too.
fn check_free(path: &Path, overwrite: bool) -> Result<(), PoseError> {
    if path.file_name().is_none() {
        return Err(PoseError::IsFolder(path.to_owned()));
    }
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => Err(PoseError::IsFolder(path.to_owned())),
        Ok(_) if !overwrite => Err(PoseError::Exists(path.to_owned())),
        // That its folder is missing is noticed, and said of the folder, when it is asked for.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(PoseError::Io { what: "write", path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}
