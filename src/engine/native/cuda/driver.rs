//! What is used of CUDA's driver, as values that free themselves.
//!
//! Work on a GPU goes into streams and is done later, in order. Nothing here waits for it but
//! [`Stream::synchronize`], [`Event::synchronize`] and freeing memory.

use std::ffi::{CString, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::slice;
use std::sync::Arc;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys;

use super::CudaError;
use crate::gpu::ComputeCapability;

/// Names the driver's function that failed.
pub fn failed(call: &'static str) -> impl FnOnce(DriverError) -> CudaError {
    move |error| CudaError::Driver { call, code: format!("{:?}", error.0) }
}

/// Values that are the same bytes on the GPU: no padding that matters, no pointers of the processor's.
///
/// # Safety
/// Every pattern of bits is a value.
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
    // SAFETY: the memory of the slice, for as long as it is borrowed; `Plain` has no bytes without value that
    // the GPU reads.
    unsafe { slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// A GPU in use by this process.
#[derive(Debug)]
pub struct Context {
    device: sys::CUdevice,
    raw: sys::CUcontext,
    /// Which code it runs.
    pub compute_capability: ComputeCapability,
    /// Number of its multiprocessors.
    pub multiprocessors: usize,
}

// SAFETY: a context may be used by any thread; the driver locks it.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// The GPU of this number, which [`detect`](crate::gpu::detect) has listed.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn new(gpu: &crate::gpu::Gpu) -> Result<Arc<Self>, CudaError> {
        let index = c_int::try_from(gpu.index).unwrap_or(c_int::MAX);
        let device = result::device::get(index).map_err(failed("cuDeviceGet"))?;
        // SAFETY: the driver has given the device; released in `drop`.
        let raw =
            unsafe { result::primary_ctx::retain(device) }.map_err(failed("cuDevicePrimaryCtxRetain"))?;
        let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        // SAFETY: the driver has given the device.
        let count = unsafe { result::device::get_attribute(device, attribute) };
        let count = count.map_err(failed("cuDeviceGetAttribute"))?;
        Ok(Arc::new(Self {
            device,
            raw,
            compute_capability: gpu.compute_capability,
            multiprocessors: usize::try_from(count).unwrap_or(1).max(1),
        }))
    }

    /// Makes this thread's calls go to this GPU.
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
        // SAFETY: retained once, released once. That it fails only at the end of the process is no concern.
        let _ = unsafe { result::primary_ctx::release(self.device) };
    }
}

/// Work that is done in order.
#[derive(Debug)]
pub struct Stream {
    raw: sys::CUstream,
    context: Arc<Context>,
}

// SAFETY: a stream may be used by any thread, and is used by one at a time.
unsafe impl Send for Stream {}

impl Stream {
    /// A stream that waits for no other.
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

    /// Waits until everything is done.
    ///
    /// # Errors
    /// Something of it failed.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.context.bind()?;
        // SAFETY: the stream is alive.
        unsafe { result::stream::synchronize(self.raw) }.map_err(failed("cuStreamSynchronize"))
    }

    /// Lets what follows wait for an event.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn wait(&self, event: &Event) -> Result<(), CudaError> {
        self.context.bind()?;
        let flags = sys::CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: stream and event are alive.
        unsafe { result::stream::wait_event(self.raw, event.raw, flags) }.map_err(failed("cuStreamWaitEvent"))
    }

    /// Copies to the GPU, later.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// More is to be copied than there is, or than fits.
    pub fn upload<T: Plain>(&self, from: &Pinned<T>, count: usize, to: &Memory) -> Result<(), CudaError> {
        assert!(count <= from.len() && count * size_of::<T>() <= to.bytes, "a copy within its memory");
        self.context.bind()?;
        // SAFETY: both are large enough. They outlive the copy: freeing device memory waits for the GPU, and
        // so does freeing pinned memory.
        unsafe { result::memcpy_htod_async(to.address, &from[..count], self.raw) }
            .map_err(failed("cuMemcpyHtoDAsync"))
    }

    /// Copies from the GPU, later: `to` has the values once the stream is done with it.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// More is to be copied than there is, or than fits.
    pub fn download<T: Plain>(
        &self,
        from: &Memory,
        first: usize,
        count: usize,
        to: &mut Pinned<T>,
    ) -> Result<(), CudaError> {
        let end = (first + count) * size_of::<T>();
        assert!(first + count <= to.len() && end <= from.bytes, "a copy within its memory");
        self.context.bind()?;
        let address = from.address + (first * size_of::<T>()) as u64;
        // SAFETY: as in `upload`.
        unsafe { result::memcpy_dtoh_async(&mut to[first..first + count], address, self.raw) }
            .map_err(failed("cuMemcpyDtoHAsync"))
    }

    /// Fills memory with a byte, later.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// There is less memory.
    pub fn fill(&self, memory: &Memory, byte: u8, bytes: usize) -> Result<(), CudaError> {
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
            // What still runs must not outlive the memory it works on, which is often freed next.
            // SAFETY: the stream is alive, and not used after.
            let _ = unsafe { result::stream::synchronize(self.raw) };
            // SAFETY: as above.
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
    /// An event nobody waits for yet.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn new(context: &Arc<Context>) -> Result<Self, CudaError> {
        context.bind()?;
        // Whoever waits for it lets the processor do something else.
        let flags = sys::CUevent_flags::CU_EVENT_BLOCKING_SYNC;
        let raw = result::event::create(flags).map_err(failed("cuEventCreate"))?;
        Ok(Self { raw, context: Arc::clone(context) })
    }

    /// Marks the end of what is in the stream by now.
    ///
    /// # Errors
    /// The driver refuses.
    pub fn record(&self, stream: &Stream) -> Result<(), CudaError> {
        self.context.bind()?;
        // SAFETY: both are alive.
        unsafe { result::event::record(self.raw, stream.raw) }.map_err(failed("cuEventRecord"))
    }

    /// Waits until the GPU has come there.
    ///
    /// # Errors
    /// Something before it failed.
    pub fn synchronize(&self) -> Result<(), CudaError> {
        self.context.bind()?;
        // SAFETY: the event is alive.
        unsafe { result::event::synchronize(self.raw) }.map_err(failed("cuEventSynchronize"))
    }

    /// Milliseconds from another event to this one; both have been reached.
    ///
    /// # Errors
    /// One was not reached.
    pub fn milliseconds_since(&self, start: &Self) -> Result<f32, CudaError> {
        self.context.bind()?;
        // SAFETY: both are alive.
        unsafe { result::event::elapsed(start.raw, self.raw) }.map_err(failed("cuEventElapsedTime"))
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: alive, and not used after.
            let _ = unsafe { result::event::destroy(self.raw) };
        }
    }
}

/// Memory of the GPU.
#[derive(Debug)]
pub struct Memory {
    address: u64,
    bytes: usize,
    context: Arc<Context>,
}

impl Memory {
    /// Memory of any contents.
    ///
    /// # Errors
    /// There is not enough.
    pub fn new(context: &Arc<Context>, bytes: usize) -> Result<Self, CudaError> {
        context.bind()?;
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
    /// There is not enough, or the driver refuses.
    pub fn with<T: Plain>(context: &Arc<Context>, values: &[T]) -> Result<Self, CudaError> {
        let memory = Self::new(context, size_of_val(values))?;
        // SAFETY: as many bytes as there are.
        unsafe { result::memcpy_htod_sync(memory.address, bytes_of(values)) }
            .map_err(failed("cuMemcpyHtoD"))?;
        Ok(memory)
    }

    /// Where it lies, for parameters of kernels.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: allocated once, freed once; the call waits for what the GPU still does.
            let _ = unsafe { result::free_sync(self.address) };
        }
    }
}

/// Memory of the processor's that the GPU reads and writes by itself.
#[derive(Debug)]
pub struct Pinned<T> {
    pointer: *mut T,
    length: usize,
    context: Arc<Context>,
}

// SAFETY: the memory belongs to this value alone.
unsafe impl<T: Plain> Send for Pinned<T> {}

impl<T: Plain> Pinned<T> {
    /// So many values, all bits 0.
    ///
    /// # Errors
    /// There is not enough memory.
    pub fn new(context: &Arc<Context>, length: usize) -> Result<Self, CudaError> {
        context.bind()?;
        let bytes = (length * size_of::<T>()).max(1);
        // SAFETY: a size that is not 0; freed in `drop`.
        let pointer = unsafe { result::malloc_host(bytes, 0) }.map_err(failed("cuMemHostAlloc"))?;
        // SAFETY: just allocated with this size.
        unsafe { ptr::write_bytes(pointer.cast::<u8>(), 0, bytes) };
        Ok(Self { pointer: pointer.cast(), length, context: Arc::clone(context) })
    }
}

impl<T> Deref for Pinned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: allocated with this length, aligned to pages, and every pattern of bits is a value. The GPU
        // writes there only between a `download` and the end of its stream's work, which its caller awaits.
        unsafe { slice::from_raw_parts(self.pointer, self.length) }
    }
}

impl<T> DerefMut for Pinned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.pointer, self.length) }
    }
}

impl<T> Drop for Pinned<T> {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: allocated once, freed once.
            let _ = unsafe { result::free_host(self.pointer.cast()) };
        }
    }
}

/// Loaded code.
#[derive(Debug)]
pub struct Module {
    raw: sys::CUmodule,
    context: Arc<Context>,
}

// SAFETY: as for `Context`.
unsafe impl Send for Module {}
// SAFETY: as for `Context`.
unsafe impl Sync for Module {}

impl Module {
    /// Loads code: machine code for the GPU, or PTX as text that ends with a 0 byte.
    ///
    /// # Errors
    /// It is not for this GPU.
    pub fn load(context: &Arc<Context>, code: &[u8]) -> Result<Arc<Self>, CudaError> {
        context.bind()?;
        // SAFETY: the compiler made it; the driver checks it and copies what it needs.
        let raw =
            unsafe { result::module::load_data(code.as_ptr().cast()) }.map_err(failed("cuModuleLoadData"))?;
        Ok(Arc::new(Self { raw, context: Arc::clone(context) }))
    }

    /// A kernel, with the shared memory a block of it may have.
    ///
    /// # Errors
    /// There is none of this name, or no such memory.
    ///
    /// # Safety
    /// It takes one parameter, by value, which is a `P`.
    pub unsafe fn kernel<P: Copy>(
        self: &Arc<Self>,
        name: &'static str,
        shared_bytes: usize,
    ) -> Result<Kernel<P>, CudaError> {
        self.context.bind()?;
        let text = CString::new(name).unwrap_or_default();
        // SAFETY: the module is loaded.
        let raw =
            unsafe { result::module::get_function(self.raw, text) }.map_err(failed("cuModuleGetFunction"))?;
        if shared_bytes > 0 {
            let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            // SAFETY: the module is loaded.
            unsafe { result::function::set_function_attribute(raw, attribute, shared_bytes as c_int) }
                .map_err(failed("cuFuncSetAttribute"))?;
        }
        Ok(Kernel {
            raw,
            shared_bytes: shared_bytes as c_uint,
            _module: Arc::clone(self),
            parameter: PhantomData,
        })
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        if self.context.bind().is_ok() {
            // SAFETY: loaded once, unloaded once; its kernels hold it.
            let _ = unsafe { result::module::unload(self.raw) };
        }
    }
}

/// A function that runs on the GPU and takes a `P`.
#[derive(Debug)]
pub struct Kernel<P> {
    raw: sys::CUfunction,
    shared_bytes: c_uint,
    _module: Arc<Module>,
    parameter: PhantomData<fn(P)>,
}

// SAFETY: as for `Context`.
unsafe impl<P> Send for Kernel<P> {}
// SAFETY: as for `Context`.
unsafe impl<P> Sync for Kernel<P> {}

impl<P: Copy> Kernel<P> {
    /// Runs it, later: `grid` blocks of so many threads.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Safety
    /// The addresses in `parameter` are those of [`Memory`] as large as the kernel reads and writes, which lives
    /// until the stream has done this.
    pub unsafe fn launch(
        &self,
        stream: &Stream,
        grid: [usize; 3],
        threads: usize,
        parameter: &P,
    ) -> Result<(), CudaError> {
        if grid.contains(&0) {
            return Ok(());
        }
        stream.context.bind()?;
        let mut parameters = [ptr::from_ref(parameter).cast_mut().cast::<c_void>()];
        let [x, y, z] = grid.map(|side| c_uint::try_from(side).unwrap_or(c_uint::MAX));
        let block = (threads as c_uint, 1, 1);
        // SAFETY: the kernel takes one `P`, which the driver copies before it returns; the caller answers for
        // the addresses in it.
        unsafe {
            result::launch_kernel(self.raw, (x, y, z), block, self.shared_bytes, stream.raw, &mut parameters)
        }
        .map_err(failed("cuLaunchKernel"))
    }
}

/// How Hopper's tensor memory accelerator finds a tensor. The kernels take it by value, 64-byte aligned.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
#[derive(Default)]
pub struct TensorMap([u64; 16]);

/// What a tensor consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Single precision.
    Single,
    /// Half precision.
    Half,
}

impl Element {
    /// Bytes of one.
    pub fn bytes(self) -> usize {
        match self {
            Self::Single => 4,
            Self::Half => 2,
        }
    }

    fn raw(self) -> sys::CUtensorMapDataType {
        match self {
            Self::Single => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
            Self::Half => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
        }
    }
}

/// Bytes of a row in shared memory, over which it is swizzled.
pub const SWIZZLE_BYTES: usize = 128;

impl TensorMap {
    /// Rows of [`SWIZZLE_BYTES`] each, of which so many are loaded at once.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// There is less memory.
    pub fn of_rows(
        memory: &Memory,
        element: Element,
        rows: usize,
        rows_at_once: usize,
    ) -> Result<Self, CudaError> {
        assert!(rows * SWIZZLE_BYTES <= memory.bytes, "rows within the memory");
        let columns = SWIZZLE_BYTES / element.bytes();
        let mut map = MaybeUninit::<sys::CUtensorMap>::uninit();
        // SAFETY: the arrays have as many entries as the tensor has dimensions (strides one less).
        let code = unsafe {
            sys::cuTensorMapEncodeTiled(
                map.as_mut_ptr(),
                element.raw(),
                2,
                memory.address as *mut c_void,
                [columns as u64, rows as u64].as_ptr(),
                [SWIZZLE_BYTES as u64].as_ptr(),
                [columns as u32, rows_at_once as u32].as_ptr(),
                [1, 1].as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        code.result().map_err(failed("cuTensorMapEncodeTiled"))?;
        // SAFETY: the call has filled it.
        Ok(Self(unsafe { map.assume_init() }.opaque))
    }

    /// Pictures for a convolution that keeps their size: images × height × width × channels, of which so many
    /// pixels are loaded at once, [`SWIZZLE_BYTES`] of channels each.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// There is less memory, or a kernel side that is even.
    pub fn of_pictures(
        memory: &Memory,
        element: Element,
        shape: Pictures,
        kernel: usize,
        pixels_at_once: usize,
    ) -> Result<Self, CudaError> {
        let Pictures { images, height, width, channels } = shape;
        let pixel = channels * element.bytes();
        assert!(
            images * height * width * pixel <= memory.bytes && kernel % 2 == 1,
            "pictures within the memory"
        );
        let padding = kernel as c_int / 2;
        let mut map = MaybeUninit::<sys::CUtensorMap>::uninit();
        // SAFETY: as in `of_rows`; corners have two entries.
        let code = unsafe {
            sys::cuTensorMapEncodeIm2col(
                map.as_mut_ptr(),
                element.raw(),
                4,
                memory.address as *mut c_void,
                [channels as u64, width as u64, height as u64, images as u64].as_ptr(),
                [pixel as u64, (width * pixel) as u64, (height * width * pixel) as u64].as_ptr(),
                [-padding; 2].as_ptr(),
                [-padding; 2].as_ptr(),
                (SWIZZLE_BYTES / element.bytes()) as u32,
                pixels_at_once as u32,
                [1; 4].as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        code.result().map_err(failed("cuTensorMapEncodeIm2col"))?;
        // SAFETY: the call has filled it.
        Ok(Self(unsafe { map.assume_init() }.opaque))
    }
}

impl TensorMap {
    /// Pictures, of which rectangles of pixels are loaded at once, [`SWIZZLE_BYTES`] of channels each; zeros outside.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Panics
    /// There is less memory.
    pub fn of_tiles(
        memory: &Memory,
        element: Element,
        shape: Pictures,
        tile_width: usize,
        tile_height: usize,
    ) -> Result<Self, CudaError> {
        let Pictures { images, height, width, channels } = shape;
        let pixel = channels * element.bytes();
        assert!(images * height * width * pixel <= memory.bytes, "pictures within the memory");
        let tile = [(SWIZZLE_BYTES / element.bytes()) as u32, tile_width as u32, tile_height as u32, 1];
        let mut map = MaybeUninit::<sys::CUtensorMap>::uninit();
        // SAFETY: as in `of_rows`.
        let code = unsafe {
            sys::cuTensorMapEncodeTiled(
                map.as_mut_ptr(),
                element.raw(),
                4,
                memory.address as *mut c_void,
                [channels as u64, width as u64, height as u64, images as u64].as_ptr(),
                [pixel as u64, (width * pixel) as u64, (height * width * pixel) as u64].as_ptr(),
                tile.as_ptr(),
                [1; 4].as_ptr(),
                sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
                sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
                sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
            )
        };
        code.result().map_err(failed("cuTensorMapEncodeTiled"))?;
        // SAFETY: the call has filled it.
        Ok(Self(unsafe { map.assume_init() }.opaque))
    }
}

/// The shape of a tensor: images × height × width × channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pictures {
    /// How many.
    pub images: usize,
    /// Rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Values of a pixel.
    pub channels: usize,
}
