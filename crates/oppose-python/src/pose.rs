//! `.pose` files as plain values of Python: dictionaries, lists, and numbers as bytes, little-endian as in the file.

use std::io;
use std::path::PathBuf;

use oppose::output_file;
use oppose::pose::{self, Pose, PoseError, Skeleton};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

use crate::errors;

/// A header, as `oppose.Header` has its fields.
#[derive(FromPyObject, IntoPyObject)]
pub struct Header {
    version: f32,
    width: u16,
    height: u16,
    depth: u16,
    components: Vec<Component>,
}

/// A component, as `oppose.Component` has its fields.
#[derive(FromPyObject, IntoPyObject)]
struct Component {
    name: String,
    format: String,
    points: Vec<String>,
    limbs: Vec<(u16, u16)>,
    colors: Vec<(u16, u16, u16)>,
}

impl Header {
    fn new(header: &pose::Header) -> Self {
        let component = |component: &pose::Component| Component {
            name: component.name.clone(),
            format: component.format.clone(),
            points: component.points.clone(),
            limbs: component.limbs.clone(),
            colors: component.colors.iter().map(|&color| color.into()).collect(),
        };
        Self {
            version: header.version,
            width: header.width,
            height: header.height,
            depth: header.depth,
            components: header.skeleton.components.iter().map(component).collect(),
        }
    }

    fn into_rust(self) -> Result<pose::Header, PoseError> {
        let component = |component: Component| pose::Component {
            name: component.name,
            format: component.format,
            points: component.points,
            limbs: component.limbs,
            colors: component.colors.into_iter().map(Into::into).collect(),
        };
        let skeleton = Skeleton { components: self.components.into_iter().map(component).collect() };
        let mut header = pose::Header::new(&skeleton, self.width.into(), self.height.into())?;
        header.version = self.version;
        header.depth = self.depth;
        Ok(header)
    }
}

/// A `.pose` file.
#[derive(IntoPyObject)]
pub struct Numbers {
    header: Header,
    fps: f32,
    frames: usize,
    people: usize,
    coordinates: Py<PyByteArray>,
    confidences: Py<PyByteArray>,
}

impl Numbers {
    /// Copies a file's numbers into memory of Python.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn new(python: Python<'_>, pose: &Pose) -> PyResult<Self> {
        Ok(Self {
            header: Header::new(&pose.header),
            fps: pose.fps,
            frames: pose.frames(),
            people: pose.people(),
            coordinates: bytes(python, pose.coordinates())?,
            confidences: bytes(python, pose.confidences())?,
        })
    }
}

fn bytes(python: Python<'_>, values: &[f32]) -> PyResult<Py<PyByteArray>> {
    let bytes = PyByteArray::new_with(python, size_of_val(values), |bytes| {
        for (bytes, value) in bytes.chunks_exact_mut(4).zip(values) {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        Ok(())
    })?;
    Ok(bytes.unbind())
}

/// Reads a file.
#[pyfunction]
pub fn read(python: Python<'_>, path: PathBuf) -> PyResult<Numbers> {
    let pose = python.detach(|| Pose::read_file(&path)).map_err(|error| errors::pose(&error))?;
    Numbers::new(python, &pose)
}

/// Reads what a file holds.
#[pyfunction]
pub fn read_bytes(python: Python<'_>, bytes: &[u8]) -> PyResult<Numbers> {
    let pose = Pose::from_bytes(bytes).map_err(|error| errors::pose(&error))?;
    Numbers::new(python, &pose)
}

/// What stands before the numbers, in version 0.2.
#[pyfunction]
pub fn header_bytes<'py>(python: Python<'py>, header: Header) -> PyResult<Bound<'py, PyBytes>> {
    let bytes =
        header.into_rust().and_then(|header| header.to_bytes()).map_err(|error| errors::pose(&error))?;
    Ok(PyBytes::new(python, &bytes))
}

/// Writes a file that appears whole or not at all.
#[pyfunction]
pub fn write_file(python: Python<'_>, path: PathBuf, bytes: &[u8], overwrite: bool) -> PyResult<()> {
    let written = python.detach(|| output_file::write_file(&path, bytes, overwrite));
    written.map_err(|error| {
        errors::pose(&match error.kind() {
            io::ErrorKind::AlreadyExists => PoseError::Exists(path),
            _ => PoseError::Io { what: "write", path, source: error.into() },
        })
    })
}
