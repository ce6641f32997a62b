//! Work that is recorded once and then started with one call.

use std::sync::Arc;

use cudarc::driver::result;
use cudarc::driver::sys;

use super::{Context, Stream, failed};
use crate::cuda::CudaError;

/// Recorded work of a stream, which takes one call however many kernels it consists of.
#[derive(Debug)]
pub struct Graph {
    raw: sys::CUgraphExec,
    context: Arc<Context>,
}

// SAFETY: a graph may be used by any thread, and is used by one at a time.
unsafe impl Send for Graph {}

impl Graph {
    /// Records what `work` enqueues in the stream, without executing it.
    ///
    /// # Errors
    /// The driver refuses, or those of `work`.
    pub fn record(stream: &Stream, work: impl FnOnce() -> Result<(), CudaError>) -> Result<Self, CudaError> {
        stream.context.bind()?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is alive; its recording ends below whatever happens.
        unsafe { result::stream::begin_capture(stream.raw, mode) }.map_err(failed("cuStreamBeginCapture"))?;
        let worked = work();
        // SAFETY: the recording was begun on this stream.
        let recorded =
            unsafe { result::stream::end_capture(stream.raw) }.map_err(failed("cuStreamEndCapture"));
        let recorded = match (worked, recorded) {
            (Ok(()), recorded) => recorded?,
            (Err(error), recorded) => {
                if let Ok(recorded) = recorded {
                    // SAFETY: just recorded, not used afterwards. The first error is the one that is reported.
                    let _ = unsafe { result::graph::destroy(recorded) };
                }
                return Err(error);
            }
        };
        let flags = sys::CUgraphInstantiate_flags(0);
        // SAFETY: the driver has just returned the graph.
        let raw = unsafe { result::graph::instantiate(recorded, flags) }
            .map_err(failed("cuGraphInstantiateWithFlags"));
        // SAFETY: not used afterwards; the executable graph does not need it. A leak is no reason to fail.
        let _ = unsafe { result::graph::destroy(recorded) };
        Ok(Self { raw: raw?, context: Arc::clone(&stream.context) })
    }

    /// Enqueues the recorded work.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Safety
    /// What was true of the work when it was recorded is true again: the memory that it reads and writes exists, and
    /// lives until the stream has executed it.
    pub unsafe fn launch(&self, stream: &Stream) -> Result<(), CudaError> {
        self.context.bind()?;
        // SAFETY: both are alive; the caller answers for the memory.
        unsafe { result::graph::launch(self.raw, stream.raw) }.map_err(failed("cuGraphLaunch"))
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: created once, destroyed once; the driver keeps what is still being executed.
            let _ = unsafe { result::graph::exec_destroy(self.raw) };
        }
    }
}
