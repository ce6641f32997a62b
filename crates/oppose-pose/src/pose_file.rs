//! A whole `.pose` file in memory.

use std::fs;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::bytes::Bytes;
use super::walk::{Entry, walk};
use super::{FramePose, Header, PoseError};

/// A `.pose` file in memory: its header and the keypoints of all frames.
///
/// Numbers are reached by name through [`frame`](Self::frame) and [`iter`](Self::iter), or all at once through
/// [`coordinates`](Self::coordinates) and [`confidences`](Self::confidences).
///
/// ```
/// use oppose_pose::{FramePose, Pose, openpose_137};
///
/// # fn main() -> Result<(), oppose_pose::PoseError> {
/// let person = FramePose::new(1, 137, 2);
/// let pose = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[person])?;
/// let read = Pose::from_bytes(&pose.to_bytes()?)?;
/// assert_eq!((read.frames(), read.people(), read.fps), (1, 1, 25.0));
/// assert_eq!(read.header.skeleton.components[0].points[0], "Nose");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Pose {
    /// Version, size and skeleton.
    pub header: Header,
    /// Frames per second.
    pub fps: f32,
    frames: usize,
    people: usize,
    coordinates: Vec<f32>,
    confidences: Vec<f32>,
}

/// The longest file that is read into memory, in bytes: 9 hours of ten people with 137 points at 60 frames per second.
const MAX_FILE: u64 = 1 << 35;
/// The largest number of frames without people, 46 hours at 60 per second: such frames take no bytes, so a short file
/// could claim any number of them.
const MAX_EMPTY_FRAMES: u64 = 10_000_000;
/// The largest size in bytes of everything before the numbers; skeletons of thousands of points fit.
const MAX_BEGINNING: u64 = 1 << 20;
/// More than that size for the skeletons of the engines.
const USUAL_BEGINNING: u64 = 1 << 16;

/// The largest size in memory, in bytes, of the numbers of a file of version 0.0, once every frame has as many rows as the
/// frame with most people. 65,535 frames of two people with 137 points take less.
const MAX_FILLED: u64 = 1 << 28;
/// A file of version 0.0 may exceed that limit up to this multiple of its own length.
const MAX_FILLED_SHARE: u64 = 32;

/// What comes before the numbers.
struct Counts {
    header: Header,
    fps: f32,
    frames: u64,
    people: u64,
}

impl Counts {
    /// `behind` is the number of bytes in the file after `bytes`.
    fn read(bytes: &mut Bytes<'_>, behind: u64) -> Result<Self, PoseError> {
        let header = Header::read(bytes)?;
        let points = header.skeleton.points() as u64;
        let dimensions = header.skeleton.dimensions() as u64;
        if points == 0 {
            return Err(PoseError::NoPoints);
        }
        if header.is_v0_0() {
            let fps = f32::from(bytes.u16("the frame rate")?);
            let frames = u64::from(bytes.u16("the number of frames")?);
            // Each frame has its own number of people.
            return Ok(Self { header, fps, frames, people: 0 });
        }
        let v0_1 = header.is_v0_1();
        let fps = match v0_1 {
            true => f32::from(bytes.u16("the frame rate")?),
            false => bytes.f32("the frame rate")?,
        };
        let counted = match v0_1 {
            true => u64::from(bytes.u16("the number of frames")?),
            false => u64::from(bytes.u32("the number of frames")?),
        };
        let people = u64::from(bytes.u16("the number of people")?);
        let frame_bytes = people.saturating_mul(points).saturating_mul((dimensions + 1) * 4);
        // The 16-bit count of version 0.1 wraps for long videos; the size of the file does not.
        let frames = match (v0_1, frame_bytes) {
            (true, 1..) => (bytes.left() as u64 + behind) / frame_bytes,
            _ => counted,
        };
        if people == 0 && frames > MAX_EMPTY_FRAMES {
            let what = "the number of frames without people";
            return Err(PoseError::TooLarge { what, value: frames, limit: MAX_EMPTY_FRAMES });
        }
        Ok(Self { header, fps, frames, people })
    }
}

impl Pose {
    /// Reads version 0.0, 0.1 or 0.2.
    ///
    /// Memory is allocated only for numbers that exist: at most a few times the length of `bytes`. Version 0.0 stores only
    /// the people of each frame; rows that are missing in other frames are filled with zeros, up to 256 MiB or 32 times the
    /// length of the file.
    ///
    /// The people of version 0.0 are in the order of the file. (The Python package reads only the first person of each
    /// frame, which is the first row here.)
    ///
    /// # Errors
    /// The bytes are not a `.pose` file, or the file is damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PoseError> {
        let length = bytes.len() as u64;
        let mut bytes = Bytes::new(bytes);
        let Counts { header, fps, frames, people } = Counts::read(&mut bytes, 0)?;
        if header.is_v0_0() {
            return Self::read_v0_0(header, fps, frames as usize, bytes, length);
        }
        let points = header.skeleton.points() as u64;
        let dimensions = header.skeleton.dimensions() as u64;
        let rows = frames.saturating_mul(people).saturating_mul(points);
        // Checked for both before the first is read, so that a false count costs nothing.
        let needed = rows.saturating_mul((dimensions + 1) * 4);
        if needed > bytes.left() as u64 {
            let (offset, available) = (bytes.offset(), bytes.left());
            return Err(PoseError::Truncated { what: "the body", offset, needed, available });
        }
        let coordinates = bytes.floats(rows * dimensions, "the coordinates")?;
        let confidences = bytes.floats(rows, "the confidences")?;
        if bytes.left() > 0 {
            return Err(PoseError::Trailing { bytes: bytes.left() });
        }
        // The numbers come from a slice, so the counts fit; frames without people take no bytes and are limited.
        Ok(Self { header, fps, frames: frames as usize, people: people as usize, coordinates, confidences })
    }

    /// The body of version 0.0: each frame with its own number of people.
    fn read_v0_0(
        header: Header,
        fps: f32,
        frames: usize,
        mut bytes: Bytes<'_>,
        length: u64,
    ) -> Result<Self, PoseError> {
        let (points, dimensions) = (header.skeleton.points(), header.skeleton.dimensions());
        let person_bytes = v0_0_person_bytes(&header);
        // The first pass finds out how many people there are and that the file is complete.
        let body = bytes.clone();
        let mut people = 0;
        for _ in 0..frames {
            let count = bytes.u16(PEOPLE_OF_FRAME)?;
            bytes.take(u64::from(count).saturating_mul(person_bytes), "a frame")?;
            people = people.max(usize::from(count));
        }
        if bytes.left() > 0 {
            return Err(PoseError::Trailing { bytes: bytes.left() });
        }
        let rows = (frames as u64 * people as u64).saturating_mul(points as u64);
        let value = rows.saturating_mul((dimensions as u64 + 1) * 4);
        let limit = MAX_FILLED.max(length.saturating_mul(MAX_FILLED_SHARE));
        if value > limit {
            let what = "the size in bytes of all frames with as many people as the fullest";
            return Err(PoseError::TooLarge { what, value, limit });
        }
        let (mut coordinates, mut confidences) =
            (vec![0.0; rows as usize * dimensions], vec![0.0; rows as usize]);
        let mut bytes = body;
        for frame in 0..frames {
            for person in 0..usize::from(bytes.u16(PEOPLE_OF_FRAME)?) {
                bytes.u16("a person's identity")?;
                let mut place = (frame * people + person) * points;
                for component in &header.skeleton.components {
                    let values = component.format.chars().count();
                    for _ in &component.points {
                        for axis in 0..values - 1 {
                            coordinates[place * dimensions + axis] = bytes.f32("a coordinate")?;
                        }
                        confidences[place] = bytes.f32("a confidence")?;
                        place += 1;
                    }
                }
            }
        }
        Ok(Self { header, fps, frames, people, coordinates, confidences })
    }

    /// Checks that a file is a complete `.pose` file: its header can be read, and it is as long as the header announces.
    /// Returns the number of frames. Reads only the beginning of the file, except in version 0.0.
    ///
    /// # Errors
    /// The file cannot be read, is not a `.pose` file, or is not complete.
    pub fn check_file(path: &Path) -> Result<u64, PoseError> {
        Self::check(path).map_err(|error| error.in_file(path))
    }

    fn check(path: &Path) -> Result<u64, PoseError> {
        // Nearly always enough, and quick for many thousands of files.
        match Self::check_beginning(path, USUAL_BEGINNING) {
            Err(PoseError::Truncated { .. }) => Self::check_beginning(path, MAX_BEGINNING),
            outcome => outcome,
        }
    }

    /// Reads only the header of a file.
    ///
    /// # Errors
    /// The file cannot be read, or is not a `.pose` file.
    pub fn read_header(path: &Path) -> Result<Header, PoseError> {
        let (beginning, behind) = beginning(path, MAX_BEGINNING)?;
        Ok(Counts::read(&mut Bytes::new(&beginning), behind)?.header)
    }

    fn check_beginning(path: &Path, limit: u64) -> Result<u64, PoseError> {
        let (beginning, behind) = beginning(path, limit)?;
        let mut bytes = Bytes::new(&beginning);
        let Counts { header, frames, people, .. } = Counts::read(&mut bytes, behind)?;
        if header.is_v0_0() {
            return check_v0_0(
                path,
                bytes.offset(),
                v0_0_person_bytes(&header),
                frames,
                beginning.len() as u64 + behind,
            );
        }
        let point_bytes = (header.skeleton.dimensions() as u64 + 1) * 4;
        let needed =
            frames.saturating_mul(people).saturating_mul(header.skeleton.points() as u64 * point_bytes);
        let available = bytes.left() as u64 + behind;
        match available.checked_sub(needed) {
            Some(0) => Ok(frames),
            Some(bytes) => Err(PoseError::Trailing { bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }),
            None => {
                let available = usize::try_from(available).unwrap_or(usize::MAX);
                Err(PoseError::Truncated { what: "the body", offset: bytes.offset(), needed, available })
            }
        }
    }

    /// Reads a file. If it is not as long as its header announces, it is refused before the rest is read.
    ///
    /// # Errors
    /// The file cannot be read, or is not a `.pose` file; the error names it.
    pub fn read_file(path: &Path) -> Result<Self, PoseError> {
        let failed =
            |error: io::Error| PoseError::Io { what: "read", path: path.to_owned(), source: error.into() };
        // A pipe can be read only once, and has no length to check.
        if fs::metadata(path).map_err(failed)?.is_file() {
            Self::check_file(path)?;
        }
        Self::read_from(fs::File::open(path).map_err(failed)?, path)
    }

    /// Reads `input` to its end; errors call it `name`. Blocks as long as `input` does.
    ///
    /// # Errors
    /// It cannot be read, or is not a `.pose` file.
    pub fn read_from(input: impl Read, name: &Path) -> Result<Self, PoseError> {
        let mut bytes = Vec::new();
        let failed =
            |error: io::Error| PoseError::Io { what: "read", path: name.to_owned(), source: error.into() };
        let mut input = input.take(MAX_FILE + 1);
        input.by_ref().take(MAX_BEGINNING).read_to_end(&mut bytes).map_err(failed)?;
        // A large file that is not a `.pose` file, or an endless device, is refused before it fills the memory.
        match Counts::read(&mut Bytes::new(&bytes), MAX_FILE) {
            Ok(_) | Err(PoseError::Truncated { .. }) => {}
            Err(error) => return Err(error.in_file(name)),
        }
        input.read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_FILE {
            let value = bytes.len() as u64;
            let error = PoseError::TooLarge { what: "the file's length in bytes", value, limit: MAX_FILE };
            return Err(error.in_file(name));
        }
        Self::from_bytes(&bytes).map_err(|error| error.in_file(name))
    }

    /// Puts frames together. Frames with fewer people than others get rows of zeros.
    ///
    /// `width` and `height` are those of the frames in pixels, `fps` is frames per second.
    ///
    /// # Errors
    /// A frame does not fit the skeleton, or a number does not fit the format.
    pub fn from_frames<'a>(
        skeleton: &super::Skeleton,
        width: u32,
        height: u32,
        fps: f32,
        frames: impl IntoIterator<Item = &'a FramePose> + Clone,
    ) -> Result<Self, PoseError> {
        let header = Header::new(skeleton, width, height)?;
        let people = frames.clone().into_iter().map(FramePose::people).max().unwrap_or(0);
        let (points, dimensions) = (skeleton.points(), skeleton.dimensions());
        let mut pose =
            Self { header, fps, frames: 0, people, coordinates: Vec::new(), confidences: Vec::new() };
        for frame in frames {
            check_shape(frame, points, dimensions)?;
            pose.frames += 1;
            pose.coordinates.extend(frame.coordinates());
            pose.coordinates.resize(pose.frames * people * points * dimensions, 0.0);
            pose.confidences.extend(frame.confidences());
            pose.confidences.resize(pose.frames * people * points, 0.0);
        }
        Ok(pose)
    }

    /// The file as bytes, always in version 0.2: the bytes that the Python package writes for the same numbers.
    ///
    /// # Errors
    /// A number does not fit the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PoseError> {
        let numbers = 4 * (self.coordinates.len() + self.confidences.len());
        let mut out = self.head()?;
        out.reserve_exact(numbers);
        self.write_numbers(&mut out).map_err(PoseError::Write)?;
        Ok(out)
    }

    /// Writes the bytes of [`to_bytes`](Self::to_bytes) without holding them in memory. To write a file that appears complete
    /// or not at all, use [`PoseWriter`](super::PoseWriter).
    ///
    /// # Errors
    /// A number does not fit the format, or writing to `out` fails.
    pub fn write_to(&self, out: impl Write) -> Result<(), PoseError> {
        let head = self.head()?;
        let mut out = BufWriter::new(out);
        out.write_all(&head)
            .and_then(|()| self.write_numbers(&mut out))
            .and_then(|()| out.flush())
            .map_err(PoseError::Write)
    }

    /// What comes before the numbers.
    fn head(&self) -> Result<Vec<u8>, PoseError> {
        let mut head = self.header.to_bytes()?;
        head.extend(body_head(self.fps, self.frames as u64, self.people)?);
        Ok(head)
    }

    fn write_numbers(&self, out: &mut impl Write) -> io::Result<()> {
        self.coordinates
            .iter()
            .chain(&self.confidences)
            .try_for_each(|value| out.write_all(&value.to_le_bytes()))
    }

    /// Number of frames.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// Number of people, which is the same in every frame: the rows of absent people are all zeros.
    pub fn people(&self) -> usize {
        self.people
    }

    /// All coordinates: frames × people × points × dimensions.
    pub fn coordinates(&self) -> &[f32] {
        &self.coordinates
    }

    /// All confidences: frames × people × points. 0 where a point was not found.
    pub fn confidences(&self) -> &[f32] {
        &self.confidences
    }

    /// Copies one frame into `frame`, whose memory is reused. If the file has no such frame, there is nobody in it.
    /// [`frame`](Self::frame) gives the same without copying.
    pub fn copy_frame(&self, index: usize, frame: &mut FramePose) {
        let (points, dimensions) = (self.header.skeleton.points(), self.header.skeleton.dimensions());
        if index >= self.frames {
            return frame.reset(0, points, dimensions);
        }
        frame.reset(self.people, points, dimensions);
        let size = self.people * points;
        frame.confidences_mut().copy_from_slice(&self.confidences[index * size..][..size]);
        let size = size * dimensions;
        frame.coordinates_mut().copy_from_slice(&self.coordinates[index * size..][..size]);
    }
}

const PEOPLE_OF_FRAME: &str = "the number of people of a frame";

/// The bytes of a person in version 0.0: the identity, and the values of every point in its component's own format.
fn v0_0_person_bytes(header: &Header) -> u64 {
    let values = |component: &super::Component| component.format.chars().count() * component.points.len();
    2 + 4 * header.skeleton.components.iter().map(values).sum::<usize>() as u64
}

/// Checks that the frames of a file of version 0.0, which begin at byte `offset`, end where the file ends. Reads only the
/// number of people of each frame. Returns the number of frames.
fn check_v0_0(
    path: &Path,
    offset: usize,
    person_bytes: u64,
    frames: u64,
    length: u64,
) -> Result<u64, PoseError> {
    let failed =
        |error: io::Error| PoseError::Io { what: "read", path: path.to_owned(), source: error.into() };
    let mut file = BufReader::new(fs::File::open(path).map_err(failed)?);
    file.seek(SeekFrom::Start(offset as u64)).map_err(failed)?;
    let mut offset = offset as u64;
    let cut = |what, offset: u64, needed| PoseError::Truncated {
        what,
        offset: offset as usize,
        needed,
        available: length.saturating_sub(offset) as usize,
    };
    for _ in 0..frames {
        if length < offset + 2 {
            return Err(cut(PEOPLE_OF_FRAME, offset, 2));
        }
        let mut people = [0; 2];
        file.read_exact(&mut people).map_err(failed)?;
        offset += 2;
        let needed = u64::from(u16::from_le_bytes(people)).saturating_mul(person_bytes);
        if length - offset < needed {
            return Err(cut("a frame", offset, needed));
        }
        // At most the length of the file, which fits.
        file.seek_relative(needed as i64).map_err(failed)?;
        offset += needed;
    }
    match length - offset {
        0 => Ok(frames),
        bytes => Err(PoseError::Trailing { bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }),
    }
}

/// The first bytes of a file, at most `limit`, and how many follow.
fn beginning(path: &Path, limit: u64) -> Result<(Vec<u8>, u64), PoseError> {
    let failed =
        |error: io::Error| PoseError::Io { what: "read", path: path.to_owned(), source: error.into() };
    let file = fs::File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut beginning = Vec::new();
    file.take(limit).read_to_end(&mut beginning).map_err(failed)?;
    let behind = length.saturating_sub(beginning.len() as u64);
    Ok((beginning, behind))
}

/// The `.pose` files of a folder and its subfolders.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct FilesBelow {
    /// `.pose` files, in natural order.
    pub files: Vec<PathBuf>,
    /// Folders that could not be read.
    pub problems: Vec<PoseError>,
}

/// Finds the results in a folder and its subfolders. Leaves out hidden files and what is kept beside results:
/// `NAME.partial.pose` of a video that broke off, `NAME.replaced.pose` of one that was processed again. Follows links to
/// folders, and visits no folder twice.
///
/// # Errors
/// The folder itself cannot be read, or there is nothing in it, not even a problem.
pub fn files_below(folder: &Path) -> Result<FilesBelow, PoseError> {
    let mut below = FilesBelow::default();
    let failed = |path: &Path, error: io::Error| PoseError::Io {
        what: "read",
        path: path.to_owned(),
        source: error.into(),
    };
    let mut visit = |folder: &Path, entries: io::Result<Vec<Entry>>| match entries {
        Ok(entries) => {
            // Opening a link that leads nowhere is an error that says so.
            let is_file = |entry: &Entry| entry.metadata.as_ref().map_or(true, fs::Metadata::is_file);
            let results = entries.into_iter().filter(|entry| is_result(&entry.path) && is_file(entry));
            below.files.extend(results.map(|entry| entry.path));
        }
        Err(error) => below.problems.push(failed(folder, error)),
    };
    walk(folder, &mut visit).map_err(|error| failed(folder, error))?;
    if below.files.is_empty() && below.problems.is_empty() {
        return Err(PoseError::NoFiles(folder.to_owned()));
    }
    below.files.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
    Ok(below)
}

fn is_result(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    name.ends_with(b".pose") && !name.ends_with(b".partial.pose") && !name.ends_with(b".replaced.pose")
}

/// What comes between the header and the numbers: frame rate, number of frames, number of people.
pub(super) fn body_head(fps: f32, frames: u64, people: usize) -> Result<[u8; 10], PoseError> {
    let too_large = |what, value, limit| PoseError::TooLarge { what, value, limit };
    let frames =
        u32::try_from(frames).map_err(|_| too_large("the number of frames", frames, u64::from(u32::MAX)))?;
    let people = u16::try_from(people)
        .map_err(|_| too_large("the number of people", people as u64, u64::from(u16::MAX)))?;
    let mut head = [0; 10];
    head[..4].copy_from_slice(&fps.to_le_bytes());
    head[4..8].copy_from_slice(&frames.to_le_bytes());
    head[8..].copy_from_slice(&people.to_le_bytes());
    Ok(head)
}

pub(super) fn check_shape(frame: &FramePose, points: usize, dimensions: usize) -> Result<(), PoseError> {
    let found = (frame.points(), frame.dimensions());
    if found != (points, dimensions) {
        return Err(PoseError::Shape { found, expected: (points, dimensions) });
    }
    Ok(())
}
