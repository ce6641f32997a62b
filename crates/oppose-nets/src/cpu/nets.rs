//! OpenPose's three nets as one back end.

use std::iter;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CpuError, Net, Processor};
use crate::assemble::size::Size;
use crate::model;
use crate::{Backend, BackendError, BackendInfo, NativeError};
use oppose_core::EngineInfo;

/// Number of crops processed at once: several faces or hands use the weights while these are in the cache.
const BATCH: usize = 4;
/// Largest number of frames that are processed at once.
pub const MAX_FRAMES: usize = 16;

/// The nets for body, face and hands, sharing one set of threads.
#[derive(Debug)]
pub struct Cpu {
    processor: Arc<Processor>,
    /// Whether a frame is being processed.
    is_busy: bool,
    body: Net,
    face: Net,
    hand: Net,
    model_folder: PathBuf,
}

impl Cpu {
    /// Reads the nets from OpenPose's models folder. By default, `threads` is one per core.
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
            is_busy: false,
            body: read(model::Net::Body25)?,
            face: read(model::Net::Face)?,
            hand: read(model::Net::Hand)?,
            model_folder: model_folder.to_owned(),
            processor,
        })
    }
}

impl Cpu {
    /// Back ends that can be used at the same time, for one frame each, and share weights and threads: this one, and
    /// others like it. Their results are the same as those of a single one.
    ///
    /// An image is split into about ten parts, and at the end of every layer all wait for the slowest of them. With one frame
    /// per thread, each thread processes a frame alone. Each needs memory for its tensors, so there are at most [`MAX_FRAMES`];
    /// if there are more threads, they share frames.
    pub fn for_all_threads(self) -> Vec<Self> {
        let count = self.processor.threads().clamp(1, MAX_FRAMES);
        let others: Vec<Self> = (1..count).map(|_| self.another()).collect();
        iter::once(self).chain(others).collect()
    }

    fn another(&self) -> Self {
        Self {
            processor: Arc::clone(&self.processor),
            is_busy: false,
            body: self.body.another(),
            face: self.face.another(),
            hand: self.hand.another(),
            model_folder: self.model_folder.clone(),
        }
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
        BackendInfo::new(EngineInfo::CPU, "fp32", model_folder)
    }

    fn set_busy(&mut self, is_busy: bool) {
        if self.is_busy != is_busy {
            self.processor.count_frame(is_busy);
            self.is_busy = is_busy;
        }
    }
}

impl Drop for Cpu {
    fn drop(&mut self) {
        self.set_busy(false);
    }
}
