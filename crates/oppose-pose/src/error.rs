//! What can be wrong with a `.pose` file, and with writing one.

use std::io;
use std::path::{Path, PathBuf};

/// Why a `.pose` file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoseError {
    /// The file ends inside something.
    #[error("the .pose file is cut off: {what} needs {needed} bytes at byte {offset}, {available} are left")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Where it begins.
        offset: usize,
        /// Bytes it takes.
        needed: u64,
        /// Bytes there are.
        available: usize,
    },
    /// The file is something else.
    #[error("this is not a .pose file: {0}")]
    NotPose(&'static str),
    /// The version is none that is known.
    #[error("version {0} of the .pose format is unknown; 0.0, 0.1 and 0.2 can be read")]
    Version(f32),
    /// A name is no text.
    #[error("a name in the header, at byte {offset}, is not UTF-8")]
    Name {
        /// Where it begins.
        offset: usize,
    },
    /// A component's format is not one letter a coordinate and a `C`.
    #[error(
        "component {component} has the point format {format:?}; expected letters ending in C, for example XYC"
    )]
    Format {
        /// Name of the component.
        component: String,
        /// What stands there.
        format: String,
    },
    /// A limb joins a point that does not exist.
    #[error("limb {limb:?} of component {component} names a point that is not there; it has {points} points")]
    Limb {
        /// Name of the component.
        component: String,
        /// The pair of points.
        limb: (u16, u16),
        /// Number of points of the component.
        points: usize,
    },
    /// The header names no point, so a frame would take no space and their number could be anything.
    #[error("the header names no points")]
    NoPoints,
    /// Something follows the last number.
    #[error("{bytes} bytes follow the last frame; the header and the body do not belong together")]
    Trailing {
        /// How many.
        bytes: usize,
    },
    /// A number does not fit the field that the format has for it.
    #[error("{what} is {value}; a .pose file holds at most {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The largest that fits.
        limit: u64,
    },
    /// A frame belongs to another skeleton.
    #[error("a frame has {found:?} points and dimensions, the file's skeleton {expected:?}")]
    Shape {
        /// Points and dimensions of the frame.
        found: (usize, usize),
        /// Points and dimensions of the skeleton.
        expected: (usize, usize),
    },
    /// There is nothing to look at.
    #[error("{} holds no .pose file", .0.display())]
    NoFiles(PathBuf),
    /// The file is there already.
    #[error("{} exists already and would be replaced; ask for that (--overwrite), or name another", .0.display())]
    Exists(PathBuf),
    /// There is a folder where the file is to be.
    #[error("{} is a folder; name a file in it", .0.display())]
    IsFolder(PathBuf),
    /// What is wrong with the file of this name.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<PoseError>,
    },
    /// What a pose is written to takes no more.
    #[error("cannot write the pose: {0}")]
    Write(#[source] io::Error),
    /// The system refuses.
    #[error("cannot {what} {}: {source}{}", .path.display(), advice(.source.kind()))]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl PoseError {
    /// The same error with the name of the file it is about, where it does not name one already.
    pub fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Io { .. } | Self::File { .. } => self,
            error => Self::File { path: path.to_owned(), source: Box::new(error) },
        }
    }
}

/// What to do about the commonest refusals of the system.
fn advice(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room (writing takes twice the file's size) or write elsewhere"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; ask for the permission or name a folder of your own"
        }
        io::ErrorKind::NotFound => "; check the path",
        io::ErrorKind::InvalidFilename => "; give it a shorter name",
        _ => "",
    }
}
