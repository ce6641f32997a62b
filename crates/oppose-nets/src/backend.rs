//! The trait of everything that runs the nets.

use std::error::Error;
use std::path::PathBuf;

use super::assemble::size::Size;
use super::model::Net;

/// Why a net could not be run; each back end has its own reasons.
pub type BackendError = Box<dyn Error + Send + Sync>;

/// Where a back end runs the nets, and where it got them from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackendInfo {
    /// `cpu`, or `cuda:0` followed by the GPU's name.
    pub device: String,
    /// The floating-point format in which it computes: `fp32`.
    pub precision: String,
    /// The folder that the nets were read from, if they come from files.
    pub model_folder: Option<PathBuf>,
}

impl BackendInfo {
    /// A back end with nets from this folder.
    pub fn new(
        device: impl Into<String>,
        precision: impl Into<String>,
        model_folder: impl Into<Option<PathBuf>>,
    ) -> Self {
        Self { device: device.into(), precision: precision.into(), model_folder: model_folder.into() }
    }
}

/// Runs the nets of an engine, on the CPU or on a GPU. A back end is used by one thread at a time.
pub trait Backend: Send {
    /// Runs a net on one or several inputs of the same size.
    ///
    /// `inputs` are inputs × 3 × height × width values; both sides are multiples of 16. The contents of `outputs` are replaced
    /// by inputs × channels × height / 8 × width / 8 values; its memory is reused. Blocks until they are computed.
    ///
    /// # Errors
    /// The net could not be run, and the back end cannot be used any more.
    fn run(
        &mut self,
        net: Net,
        inputs: &[f32],
        size: Size,
        outputs: &mut Vec<f32>,
    ) -> Result<(), BackendError>;

    /// Called when work on a frame begins and when it has ended. Back ends that share threads distribute the work accordingly.
    fn set_busy(&mut self, _is_busy: bool) {}

    /// How many crops of faces or hands to pass to it at once; never 0.
    fn batch(&self) -> usize;

    /// Where it runs the nets, and where it got them from, for the provenance of results.
    fn info(&self) -> BackendInfo {
        BackendInfo::default()
    }
}
