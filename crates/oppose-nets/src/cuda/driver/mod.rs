//! The parts of CUDA's driver that are used, as types that free what they own.
//!
//! Work on a GPU is enqueued in streams and executed later, in order. Nothing here blocks except
//! [`Stream::synchronize`], [`Event::synchronize`] and freeing memory.

// The driver is foreign code.
#![allow(unsafe_code)]

mod code;
mod graph;
mod memory;
mod nvrtc;
mod tensor_map;

use std::ffi::c_int;
use std::sync::Arc;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

pub use code::{Kernel, Module};
pub use graph::Graph;
pub use memory::{DeviceBuffer, Pinned, Plain, allocations};
pub use nvrtc::{Nvrtc, NvrtcError};
pub use tensor_map::{Element, Pictures, SWIZZLE_BYTES, TensorMap};

use super::CudaError;
use crate::gpu::{ComputeCapability, CudaVersion};

/// The first driver version with all functions that [`Graph`] calls.
const GRAPHS_SINCE: CudaVersion = CudaVersion { major: 11, minor: 4 };

/// Names the driver's function that failed.
pub fn failed(call: &'static str) -> impl FnOnce(DriverError) -> CudaError {
    move |error| CudaError::Driver { call, code: format!("{:?}", error.0) }
}

/// A GPU in use by this process.
#[derive(Debug)]
pub struct Context {
    device: sys::CUdevice,
    raw: sys::CUcontext,
    /// Its compute capability.
    pub compute_capability: ComputeCapability,
    /// Number of its multiprocessors.
    pub multiprocessors: usize,
    /// Whether the driver supports [`Graph`].
    pub has_graphs: bool,
}

// SAFETY: a context may be used by any thread; the driver locks it.
unsafe impl Send for Context {}
// SAFETY: a context may be used by any thread; the driver locks it.
unsafe impl Sync for Context {}

impl Context {
    /// Opens a GPU that [`detect`](crate::gpu::detect) has listed, with the driver version that it reported.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn new(gpu: &crate::gpu::Gpu, driver: CudaVersion) -> Result<Arc<Self>, CudaError> {
        let index = c_int::try_from(gpu.index).unwrap_or(c_int::MAX);
        let device = result::device::get(index).map_err(failed("cuDeviceGet"))?;
        // SAFETY: the driver has returned the device; released in `drop`.
        let raw =
            unsafe { result::primary_ctx::retain(device) }.map_err(failed("cuDevicePrimaryCtxRetain"))?;
        let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        // SAFETY: the driver has returned the device.
        let count = unsafe { result::device::get_attribute(device, attribute) };
        let count = count.map_err(failed("cuDeviceGetAttribute"))?;
        Ok(Arc::new(Self {
            device,
            raw,
            compute_capability: gpu.compute_capability,
            multiprocessors: usize::try_from(count).unwrap_or(1).max(1),
            has_graphs: driver >= GRAPHS_SINCE,
        }))
    }

    /// Directs this thread's calls to this GPU.
    fn bind(&self) -> Result<(), CudaError> {
        // SAFETY: the context is retained.
        unsafe { result::ctx::set_current(self.raw) }.map_err(failed("cuCtxSetCurrent"))
    }

    /// Free bytes of the GPU's memory.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn free_memory(&self) -> Result<u64, CudaError> {
        self.bind()?;
        result::mem_get_info().map(|(free, _)| free as u64).map_err(failed("cuMemGetInfo"))
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once, released once. It fails only at the end of the process, where that does not matter.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// A queue of work that is executed in order.
#[derive(Debug)]
pub struct Stream {
    raw: sys::CUstream,
    context: Arc<Context>,
}

// SAFETY: a stream may be used by any thread, and is used by one at a time.
unsafe impl Send for Stream {}

impl Stream {
    /// A stream that does not wait for other streams.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        context.bind()?;
        let raw = result::stream::create(result::stream::StreamKind::NonBlocking);
        Ok(Self { raw: raw.map_err(failed("cuStreamCreate"))?, context: Arc::clone(context) })
    }

    /// Its GPU.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    /// Blocks until all enqueued work is done.
    ///
    /// # Errors
    /// Some of the work failed.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.context.bind()?;
        // SAFETY: the stream is alive.
        unsafe { result::stream::synchronize(self.raw) }.map_err(failed("cuStreamSynchronize"))
    }

    /// Makes all work enqueued from now on wait for an event.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn wait(&self, event: &Event) -> Result<(), CudaError> {
        self.context.bind()?;
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: stream and event are alive.
        unsafe { result::stream::wait_event(self.raw, event.raw, flags) }.map_err(failed("cuStreamWaitEvent"))
    }

    /// Enqueues a copy to the GPU.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// The copy exceeds one of the two buffers.
    pub fn upload<T: Plain>(
        &self,
        from: &mut Pinned<T>,
        count: usize,
        to: &DeviceBuffer,
    ) -> Result<(), CudaError> {
        assert!(count <= from.len() && count * size_of::<T>() <= to.bytes, "a copy within its memory");
        self.context.bind()?;
        from.copy(self, |pointer| {
            // SAFETY: both are large enough, and outlive the copy: freeing device memory waits for the GPU, and freeing
            // pinned memory for its last copy. The pinned memory cannot be accessed before the copy has ended.
            unsafe { sys::cuMemcpyHtoDAsync_v2(to.address, pointer.cast(), count * size_of::<T>(), self.raw) }
                .result()
                .map_err(failed("cuMemcpyHtoDAsync"))
        })
    }

    /// Enqueues a copy from the GPU.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// The copy exceeds one of the two buffers.
    pub fn download<T: Plain>(
        &self,
        from: &DeviceBuffer,
        first: usize,
        count: usize,
        to: &mut Pinned<T>,
    ) -> Result<(), CudaError> {
        let end = (first + count) * size_of::<T>();
        assert!(first + count <= to.len() && end <= from.bytes, "a copy within its memory");
        self.context.bind()?;
        let address = from.address + (first * size_of::<T>()) as u64;
        to.copy(self, |pointer| {
            // SAFETY: as in `upload`; the range was checked above.
            unsafe {
                sys::cuMemcpyDtoHAsync_v2(
                    pointer.add(first).cast(),
                    address,
                    count * size_of::<T>(),
                    self.raw,
                )
            }
            .result()
            .map_err(failed("cuMemcpyDtoHAsync"))
        })
    }

    /// Enqueues filling memory with a byte.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// `bytes` is more than the memory has.
    pub fn fill(&self, memory: &DeviceBuffer, byte: u8, bytes: usize) -> Result<(), CudaError> {
        assert!(bytes <= memory.bytes, "within the memory");
        self.context.bind()?;
        // SAFETY: the memory is large enough and outlives the call, as in `upload`.
        unsafe { result::memset_d8_async(memory.address, byte, bytes, self.raw) }
            .map_err(failed("cuMemsetD8Async"))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // Work in progress must not outlive the memory that it uses, which is often freed next.
            // SAFETY: the stream is alive.
            let _ = unsafe { result::stream::synchronize(self.raw) };
            // SAFETY: the stream is not used afterwards.
            let _ = unsafe { result::stream::destroy(self.raw) };
        }
    }
}

/// A point in a stream's work.
#[derive(Debug)]
pub struct Event {
    raw: sys::CUevent,
    context: Arc<Context>,
}

// SAFETY: as for `Stream`.
unsafe impl Send for Event {}

impl Event {
    /// A new event.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        context.bind()?;
        // Waiting for it does not keep a CPU core busy.
        let flags = sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC;
        let raw = result::event::create(flags).map_err(failed("cuEventCreate"))?;
        Ok(Self { raw, context: Arc::clone(context) })
    }

    /// Its GPU.
    pub(super) fn context(&self) -> &Context {
        &self.context
    }

    /// Marks the end of the work that has been enqueued so far.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn record(&self, stream: &Stream) -> Result<(), CudaError> {
        self.context.bind()?;
        // SAFETY: both are alive.
        unsafe { result::event::record(self.raw, stream.raw) }.map_err(failed("cuEventRecord"))
    }

    /// Blocks until the GPU has reached this event.
    ///
    /// # Errors
    /// Some of the work before it failed.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.context.bind()?;
        // SAFETY: the event is alive.
        unsafe { result::event::synchronize(self.raw) }.map_err(failed("cuEventSynchronize"))
    }

    /// Milliseconds from another event to this one; both must have been reached.
    ///
    /// # Errors
    /// One of them has not been reached.
    pub fn milliseconds_since(&self, start: &Self) -> Result<f32, CudaError> {
        self.context.bind()?;
        // SAFETY: both are alive.
        unsafe { result::event::elapsed(start.raw, self.raw) }.map_err(failed("cuEventElapsedTime"))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: the event is alive, and not used afterwards.
            let _ = unsafe { result::event::destroy(self.raw) };
        }
    }
}
