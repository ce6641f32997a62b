//! What runs the nets.

use std::error::Error;
use std::path::PathBuf;

use super::assemble::size::Size;
use super::model::Net;

/// Why a net could not be run; each back end has its own reasons.
pub type BackendError = Box<dyn Error + Send + Sync>;

/// Where a back end runs the nets, and which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendInfo {
    /// `cpu`, or `cuda:0` followed by the GPU's name.
    pub device: String,
    /// The floating-point format it computes in: `fp32`.
    pub precision: String,
    /// The folder that the nets were read from, where they come from files.
    pub model_folder: Option<PathBuf>,
}

/// Runs the nets of an engine: on the CPU, on a GPU.
pub trait Backend: Send {
    /// Runs a net on one or several inputs of the same size.
    ///
    /// `inputs` are inputs × 3 × height × width values; both sides are multiples of 16. What is in
    /// `outputs` is replaced by inputs × channels × height / 8 × width / 8 values; its memory is reused.
    ///
    /// # Errors
    /// The net could not be run; the back end is of no further use.
    fn run(
        &mut self,
        net: Net,
        inputs: &[f32],
        size: Size,
        outputs: &mut Vec<f32>,
    ) -> Result<(), BackendError>;

    /// Says that work on a frame begins, and that it is done: back ends that share a processor share it out by that.
    fn set_busy(&mut self, _is_busy: bool) {}

    /// How many crops of a face or hand it should be given at once; never 0.
    fn batch(&self) -> usize;

    /// Where it runs the nets, and which, for the provenance of results.
    fn info(&self) -> BackendInfo {
        BackendInfo::default()
    }
}
