//! OpenPose's nets as they are stored on disk: a prototxt that describes the layers, a caffemodel with the
//! trained values. Both are read without Caffe or protoc, and become a [`Graph`].

mod caffemodel;
mod error;
mod graph;
mod join;
mod net;
mod prototxt;
mod published;
mod text;
mod wire;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use error::{CaffemodelError, GraphError, ModelError, PrototxtError};
pub use graph::{Activation, Convolution, Graph, Layer, Operation, Tensor};
pub use net::Net;

/// Largest size of a prototxt; OpenPose's have at most 55 kB.
const MAX_PROTOTXT_BYTES: u64 = 1 << 20;
/// Largest size of a caffemodel; OpenPose's have at most 209 MB.
const MAX_CAFFEMODEL_BYTES: u64 = 1 << 30;

impl Graph {
    /// Reads a net from its two files.
    ///
    /// # Errors
    /// A file is missing, too large or damaged, or the two do not form a net; the error names the file
    /// and, where there is one, the layer.
    pub fn read(prototxt: &Path, caffemodel: &Path) -> Result<Self, ModelError> {
        let text = read_file(prototxt, MAX_PROTOTXT_BYTES)?;
        let values = read_file(caffemodel, MAX_CAFFEMODEL_BYTES)?;
        Self::from_bytes(&text, &values).map_err(|error| match error {
            BytesError::Prototxt(error) => ModelError::Prototxt { path: prototxt.into(), source: error },
            BytesError::Caffemodel(error) => {
                ModelError::Caffemodel { path: caffemodel.into(), source: error }
            }
            BytesError::Graph(error) => ModelError::Graph {
                prototxt: prototxt.into(),
                caffemodel: caffemodel.into(),
                source: error.into(),
            },
        })
    }

    /// Reads a net from the contents of its two files.
    ///
    /// # Errors
    /// One of them is damaged, or the two do not form a net.
    pub fn from_bytes(prototxt: &[u8], caffemodel: &[u8]) -> Result<Self, BytesError> {
        let text = std::str::from_utf8(prototxt).map_err(|_| PrototxtError::NotText)?;
        let net = prototxt::parse(text)?;
        let model = caffemodel::Caffemodel::parse(caffemodel)?;
        Ok(join::join(&net, &model)?)
    }
}

/// Why the contents of two files are not a net: [`ModelError`] without the names of the files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BytesError {
    /// The prototxt is damaged.
    #[error("the prototxt is not the description of a net")]
    Prototxt(#[from] PrototxtError),
    /// The caffemodel is damaged.
    #[error("this is not a caffemodel, or it is damaged")]
    Caffemodel(#[from] CaffemodelError),
    /// The two do not fit each other, or form a net that cannot be run.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

/// The whole file, if it is not larger than `limit`. A map would save the copy of the values, but files
/// that others can change while they are mapped cannot be read safely.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, ModelError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ModelError::Missing(path.into()),
        _ => ModelError::Io { path: path.into(), source: error },
    };
    let file = File::open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?.len();
    if found > limit {
        return Err(ModelError::TooLarge { path: path.into(), found, limit });
    }
    let mut bytes = Vec::with_capacity(found as usize);
    // A file that grows, or one without a length, is not read beyond the limit either.
    file.take(limit).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
