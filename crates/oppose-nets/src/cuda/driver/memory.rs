//! Device buffers, and pinned buffers in host memory that the GPU accesses directly.

use std::cell::Cell;
use std::ptr;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cudarc::driver::result;
use cudarc::driver::sys;

use super::{Context, Event, Stream, failed};
use crate::cuda::CudaError;

/// Number of allocations.
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// How often this process has allocated device buffers or pinned buffers.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// Values that have the same bytes on the GPU: without padding that matters, and without host pointers.
///
/// # Safety
/// Every bit pattern is a valid value.
pub unsafe trait Plain: Copy + Send + 'static {}
// SAFETY: numbers.
unsafe impl Plain for u8 {}
// SAFETY: numbers.
unsafe impl Plain for u16 {}
// SAFETY: numbers.
unsafe impl Plain for i16 {}
// SAFETY: numbers.
unsafe impl Plain for u32 {}
// SAFETY: numbers.
unsafe impl Plain for f32 {}

fn bytes_of<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: the memory of the slice, for as long as it is borrowed; the GPU reads no padding bytes of `Plain` values.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// Memory on the GPU.
#[derive(Debug)]
pub struct DeviceBuffer {
    pub(super) address: u64,
    pub(super) bytes: usize,
    context: Arc<Context>,
}

impl DeviceBuffer {
    /// Uninitialised memory.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, CudaError> {
        context.bind()?;
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: a size that is not 0; freed in `drop`.
        let address = unsafe { result::malloc_sync(bytes.max(1)) };
        let address = address.map_err(|error| match error.0 {
            sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                let free = context.free_memory().unwrap_or(0);
                CudaError::OutOfMemory { wanted: bytes as u64, free }
            }
            _ => failed("cuMemAlloc")(error),
        })?;
        Ok(Self { address, bytes, context: Arc::clone(context) })
    }

    /// Memory with these values.
    ///
    /// # Errors
    /// There is not enough memory, or the driver refuses.
    pub fn with<T: Plain>(context: &Arc<Context>, values: &[T]) -> Result<Self, CudaError> {
        let memory = Self::new(context, size_of_val(values))?;
        // SAFETY: the buffer was allocated with the size of the values.
        unsafe { result::memcpy_htod_sync(memory.address, bytes_of(values)) }
            .map_err(failed("cuMemcpyHtoD"))?;
        Ok(memory)
    }

    /// Its device address, for parameters of kernels.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for DeviceBuffer {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: allocated once, freed once; the call waits for the GPU's work in progress.
            let _ = unsafe { result::free_sync(self.address) };
        }
    }
}

/// Host memory that the GPU reads and writes directly. It is accessible only through [`read`](Self::read) and
/// [`write`](Self::write), which block until the GPU has finished all copies that were started.
#[derive(Debug)]
pub struct Pinned<T> {
    pointer: *mut T,
    length: usize,
    /// The end of the last copy.
    copied: Event,
    /// Whether a copy was started whose end has not been waited for.
    is_copying: Cell<bool>,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl<T: Plain> Send for Pinned<T> {}

impl<T: Plain> Pinned<T> {
    /// `length` values with all bits 0.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn new(context: &Arc<Context>, length: usize) -> Result<Self, CudaError> {
        let copied = Event::new(context)?;
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        let bytes = (length * size_of::<T>()).max(1);
        // SAFETY: a size that is not 0; freed in `drop`.
        let pointer = unsafe { result::malloc_host(bytes, 0) }.map_err(failed("cuMemHostAlloc"))?;
        // SAFETY: just allocated with this size.
        unsafe { ptr::write_bytes(pointer.cast::<u8>(), 0, bytes) };
        Ok(Self { pointer: pointer.cast(), length, copied, is_copying: Cell::new(false) })
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.length
    }

    /// The values; blocks until the copies that were started are done.
    ///
    /// # Errors
    /// Something went wrong on the GPU before that.
    pub fn read(&self) -> Result<&[T], CudaError> {
        self.wait()?;
        // SAFETY: allocated with this length, aligned to pages, and every bit pattern is a valid value. No copy is in
        // progress, and none can be started while this is borrowed.
        Ok(unsafe { slice::from_raw_parts(self.pointer, self.length) })
    }

    /// Like [`read`](Self::read), mutably.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn write(&mut self) -> Result<&mut [T], CudaError> {
        self.wait()?;
        // SAFETY: as in `read`, and borrowed mutably.
        Ok(unsafe { slice::from_raw_parts_mut(self.pointer, self.length) })
    }

    fn wait(&self) -> Result<(), CudaError> {
        if self.is_copying.get() {
            self.copied.synchronize()?;
            self.is_copying.set(false);
        }
        Ok(())
    }

    /// Starts a copy in a stream, after those that were started in others.
    ///
    /// # Errors
    /// The driver refuses.
    pub(super) fn copy(
        &mut self,
        stream: &Stream,
        start: impl FnOnce(*mut T) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        if self.is_copying.get() {
            stream.wait(&self.copied)?;
        }
        // Set before the copy: if anything fails from here on, memory that may still be written is not read.
        self.is_copying.set(true);
        start(self.pointer)?;
        self.copied.record(stream).or_else(|error| stream.synchronize().and(Err(error)))
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        // A copy in progress would continue in memory that then belongs to others. A GPU that has failed no longer copies.
        if self.is_copying.get() {
            let _ = self.copied.synchronize();
        }
        if self.copied.context().bind().is_ok() {
            // SAFETY: allocated once, freed once.
            let _ = unsafe { result::free_host(self.pointer.cast()) };
        }
    }
}
