//! OpenPose's three nets as one back end.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CpuError, Net, Processor};
use crate::engine::info::CPU;
use crate::engine::native::assemble::size::Size;
use crate::engine::native::model;
use crate::engine::native::{Backend, BackendError, BackendInfo, NativeError};

/// Crops given at once: the faces or hands of several people share the weights while those are in the cache.
const BATCH: usize = 4;

/// The nets for body, face and hands, on one set of threads.
#[derive(Debug)]
pub struct Cpu {
    body: Net,
    face: Net,
    hand: Net,
    model_folder: PathBuf,
}

impl Cpu {
    /// Reads the nets from OpenPose's model folder. `threads` is one for each core where absent.
    ///
    /// # Errors
    /// A file is missing or damaged, or the threads cannot be started.
    pub fn read(model_folder: &Path, threads: Option<NonZeroUsize>) -> Result<Self, NativeError> {
        let threads = threads.map_or(0, NonZeroUsize::get);
        let processor = Processor::new(threads).map_err(|error| NativeError::Backend(error.into()))?;
        let processor = Arc::new(processor);
        let read = |net: model::Net| -> Result<Net, NativeError> {
            Ok(Net::new(net.read(model_folder)?, Arc::clone(&processor)))
        };
        Ok(Self {
            body: read(model::Net::Body25)?,
            face: read(model::Net::Face)?,
            hand: read(model::Net::Hand)?,
            model_folder: model_folder.to_owned(),
        })
    }
}

impl Backend for Cpu {
    fn run(
        &mut self,
        net: model::Net,
        inputs: &[f32],
        size: Size,
        outputs: &mut Vec<f32>,
    ) -> Result<(), BackendError> {
        let net = match net {
            model::Net::Body25 | model::Net::Coco => &mut self.body,
            model::Net::Face => &mut self.face,
            model::Net::Hand => &mut self.hand,
        };
        let batch = inputs.len() / (3 * size.width * size.height).max(1);
        net.run(inputs, batch, size.width, size.height, outputs).map_err(|error: CpuError| error.into())
    }

    fn batch(&self) -> usize {
        BATCH
    }

    fn info(&self) -> BackendInfo {
        let model_folder = Some(self.model_folder.clone());
        BackendInfo { device: CPU.into(), precision: "fp32".into(), model_folder }
    }
}
