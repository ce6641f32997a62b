//! Code on the GPU.

use std::ffi::{CString, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::ptr;
use std::sync::Arc;

use cudarc::driver::result;
use cudarc::driver::sys;

use super::{Context, Stream, failed};
use crate::cuda::CudaError;

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
    /// The code is not for this GPU.
    pub fn load(context: &Arc<Context>, code: &[u8]) -> Result<Arc<Self>, CudaError> {
        context.bind()?;
        // SAFETY: the compiler produced the code; the driver checks it and copies what it needs.
        let raw =
            unsafe { result::module::load_data(code.as_ptr().cast()) }.map_err(failed("cuModuleLoadData"))?;
        Ok(Arc::new(Self { raw, context: Arc::clone(context) }))
    }

    /// A kernel, with the shared memory that its blocks may use.
    ///
    /// # Errors
    /// There is no such kernel, or not enough shared memory.
    ///
    /// # Safety
    /// The kernel takes one parameter, by value, which is a `P`.
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
            // SAFETY: loaded once, unloaded once; its kernels keep it alive.
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
    /// Enqueues it: `grid` blocks of `threads` threads.
    ///
    /// # Errors
    /// The driver refuses.
    ///
    /// # Safety
    /// The addresses in `parameter` are those of [`DeviceBuffer`]s at least as large as the kernel reads and writes,
    /// which live until the stream has executed it.
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
