//! What can go wrong when `.pose` files are read and written.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a `.pose` file cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoseError {
    /// The file ends too early.
    #[error(
        "the .pose file is cut off: {what} needs {needed} bytes at byte {offset}, {available} are left; copy it again, or estimate its video again"
    )]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// The byte at which it begins.
        offset: usize,
        /// How many bytes it takes.
        needed: u64,
        /// How many bytes are left.
        available: usize,
    },
    /// The file is something else.
    #[error("this is not a .pose file: {0}")]
    NotPose(&'static str),
    /// The version is unknown.
    #[error("version {0} of the .pose format is unknown; 0.0, 0.1 and 0.2 can be read")]
    Version(f32),
    /// A name is not text.
    #[error("a name in the header, at byte {offset}, is not UTF-8")]
    Name {
        /// The byte at which it begins.
        offset: usize,
    },
    /// A component's format is not one letter per coordinate followed by a `C`.
    #[error(
        "component {component} has the point format {format:?}; expected letters ending in C, for example XYC"
    )]
    Format {
        /// Name of the component.
        component: String,
        /// The format in the file.
        format: String,
    },
    /// A limb joins a point that does not exist.
    #[error(
        "limb {limb:?} of component {component} names a point that does not exist; it has {points} points"
    )]
    Limb {
        /// Name of the component.
        component: String,
        /// The pair of points.
        limb: (u16, u16),
        /// Number of points of the component.
        points: usize,
    },
    /// The header names no points, so frames would take no space and their number could be anything.
    #[error("the header names no points")]
    NoPoints,
    /// The file continues after the last number.
    #[error("{bytes} bytes follow the last frame; the header and the body do not belong together")]
    Trailing {
        /// By how many bytes.
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
    #[error("a frame has {found:?} points and dimensions, its skeleton {expected:?}")]
    Shape {
        /// Points and dimensions of the frame.
        found: (usize, usize),
        /// Points and dimensions of the skeleton.
        expected: (usize, usize),
    },
    /// There is nothing to look at.
    #[error("{} holds no .pose file; name the folder that a run wrote them to", .0.display())]
    NoFiles(PathBuf),
    /// The file exists, and it was not asked to replace it.
    #[error("{} exists already; allow it to be replaced, or name another file", .0.display())]
    Exists(PathBuf),
    /// There is a folder where the file is to be.
    #[error("{} is a folder; name a file in it", .0.display())]
    IsFolder(PathBuf),
    /// The file cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<PoseError>,
    },
    /// Writing to a stream fails.
    #[error("cannot write the pose")]
    Write(#[source] io::Error),
    /// The system refuses.
    #[error("cannot {what} {}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The system's error.
        source: SystemError,
    },
}

/// An error of the operating system. Prints as that error, with what to do about the most common ones.
#[derive(Debug)]
pub struct SystemError(io::Error);

impl SystemError {
    /// What kind of error it is.
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }
}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for SystemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, advice(self.kind()))
    }
}

impl std::error::Error for SystemError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // This error prints as the system's own, so the chain continues after that.
        self.0.source()
    }
}

impl PoseError {
    /// The same error with the name of the file it is about, unless it names one already.
    pub fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Io { .. } | Self::File { .. } => self,
            error => Self::File { path: path.to_owned(), source: Box::new(error) },
        }
    }
}

/// What to do about the most common system errors.
fn advice(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room (writing takes twice the file's size) or write elsewhere"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; ask for permission or choose another folder"
        }
        io::ErrorKind::NotFound => "; check the path",
        io::ErrorKind::InvalidFilename => "; give it a shorter name",
        _ => "",
    }
}
