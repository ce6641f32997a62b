//! LiteRT, the runtime of the nets: a shared library looked up at run time and called through its C API.
//!
//! Everything unsafe of this engine is in this file. What leaves it is [`Net`]: a loaded net with inputs
//! and outputs, all of them plain slices of `f32`.

// A foreign library is called here; nothing above this file sees a raw pointer.
#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;

use libloading::Library;

use crate::engine::loader_error;
use crate::engine::models::where_to_get_holistic;

/// What LiteRT calls its handles: pointers to types it doesn't show.
type Handle = *mut c_void;
/// `LiteRtStatus`; 0 is success.
type Status = c_int;

/// `LiteRtRankedTensorType` with its `LiteRtLayout`: 72 bytes, checked below.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct RankedTensorType {
    element_type: c_int,
    /// Seven bits of rank, one bit "has strides".
    rank: u32,
    dimensions: [i32; 8],
    strides: [u32; 8],
}

const _: () = assert!(size_of::<RankedTensorType>() == 72);

/// `LiteRtEnvOption` with its `LiteRtAny` holding a whole number: 24 bytes.
#[repr(C)]
struct EnvironmentOption {
    tag: c_int,
    value_type: c_int,
    _padding: c_int,
    value: i64,
}

const _: () = assert!(size_of::<EnvironmentOption>() == 24);

/// `kLiteRtElementTypeFloat32`.
const FLOAT32: c_int = 1;
/// `kLiteRtHwAcceleratorCpu`.
const CPU: c_int = 1;
/// `kLiteRtAnyTypeInt`.
const ANY_INTEGER: c_int = 2;
/// `kLiteRtEnvOptionTagAutoRegisterAccelerators`: without it, GPU libraries are searched for, with warnings.
const AUTO_REGISTER_ACCELERATORS: c_int = 24;
/// `kLiteRtEnvOptionTagMinLoggerSeverity`.
const MINIMUM_LOG_SEVERITY: c_int = 25;
/// `kLiteRtLogSeverityError`.
const LOG_ERRORS: i64 = 3;
/// Name under which LiteRT's CPU back end looks for its options.
const CPU_OPTIONS: &CStr = c"xnnpack";

/// Why LiteRT cannot be used, or failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LiteRtError {
    /// The shared library does not load.
    #[error("{} does not load as a shared library", path.display())]
    Load {
        /// The file that was tried.
        path: PathBuf,
        /// The loader's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The shared library is not the LiteRT this program was made for.
    #[error(
        "{} has no function {symbol}: it is not LiteRT 2.3.0; {}",
        path.display(),
        where_to_get_holistic()
    )]
    Symbol {
        /// The library.
        path: PathBuf,
        /// The function that is missing.
        symbol: &'static str,
    },
    /// A call failed.
    #[error("LiteRT: {call} failed with status {status}")]
    Call {
        /// Name of the C function.
        call: &'static str,
        /// `LiteRtStatus` as in `litert_common.h`.
        status: i32,
    },
    /// The net is not the one that was expected.
    #[error("the net's {what} is {found}, expected {expected}")]
    Shape {
        /// Which property.
        what: String,
        /// What the file says.
        found: usize,
        /// What this program was made for.
        expected: usize,
    },
}

/// Declares the table of C functions and the code that fills it from a library.
macro_rules! functions {
    ($($field:ident = $symbol:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
        struct Functions {
            $($field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Functions {
            fn look_up(library: &Library, path: &Path) -> Result<Self, LiteRtError> {
                Ok(Self {
                    $($field: {
                        // SAFETY: the signature is the one litert/c of LiteRT 2.3 declares for this name;
                        // the library is never unloaded: `Runtime::open`, which alone calls this, forgets it.
                        let found = unsafe { library.get(stringify!($symbol)) };
                        *found.map_err(|_| LiteRtError::Symbol {
                            path: path.to_path_buf(),
                            symbol: stringify!($symbol),
                        })?
                    },)*
                })
            }
        }
    };
}

functions! {
    create_environment = LiteRtCreateEnvironment(c_int, *const EnvironmentOption, *mut Handle) -> Status;
    destroy_environment = LiteRtDestroyEnvironment(Handle);
    create_model = LiteRtCreateModelFromBuffer(Handle, *const c_void, usize, *mut Handle) -> Status;
    destroy_model = LiteRtDestroyModel(Handle);
    main_subgraph = LiteRtGetMainModelSubgraphIndex(Handle, *mut usize) -> Status;
    subgraph = LiteRtGetModelSubgraph(Handle, usize, *mut Handle) -> Status;
    input_count = LiteRtGetNumSubgraphInputs(Handle, *mut usize) -> Status;
    input_tensor = LiteRtGetSubgraphInput(Handle, usize, *mut Handle) -> Status;
    output_count = LiteRtGetNumSubgraphOutputs(Handle, *mut usize) -> Status;
    output_tensor = LiteRtGetSubgraphOutput(Handle, usize, *mut Handle) -> Status;
    tensor_type = LiteRtGetRankedTensorType(Handle, *mut RankedTensorType) -> Status;
    create_options = LiteRtCreateOptions(*mut Handle) -> Status;
    destroy_options = LiteRtDestroyOptions(Handle);
    set_accelerators = LiteRtSetOptionsHardwareAccelerators(Handle, c_int) -> Status;
    create_opaque_options = LiteRtCreateOpaqueOptions(
        *const c_char, *mut c_void, unsafe extern "C" fn(*mut c_void), *mut Handle
    ) -> Status;
    destroy_opaque_options = LiteRtDestroyOpaqueOptions(Handle);
    add_opaque_options = LiteRtAddOpaqueOptions(Handle, Handle) -> Status;
    create_compiled_model = LiteRtCreateCompiledModel(Handle, Handle, Handle, *mut Handle) -> Status;
    destroy_compiled_model = LiteRtDestroyCompiledModel(Handle);
    input_requirements = LiteRtGetCompiledModelInputBufferRequirements(
        Handle, usize, usize, *mut Handle
    ) -> Status;
    output_requirements = LiteRtGetCompiledModelOutputBufferRequirements(
        Handle, usize, usize, *mut Handle
    ) -> Status;
    create_buffer = LiteRtCreateManagedTensorBufferFromRequirements(
        Handle, *const RankedTensorType, Handle, *mut Handle
    ) -> Status;
    destroy_buffer = LiteRtDestroyTensorBuffer(Handle);
    buffer_size = LiteRtGetTensorBufferSize(Handle, *mut usize) -> Status;
    host_memory = LiteRtGetTensorBufferHostMemory(Handle, *mut *mut c_void) -> Status;
    run = LiteRtRunCompiledModel(Handle, usize, usize, *mut Handle, usize, *mut Handle) -> Status;
}

/// LiteRT, loaded.
pub struct Runtime {
    functions: Functions,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

impl Runtime {
    /// Loads LiteRT 2.3.0 from the file `path`.
    ///
    /// # Errors
    /// The file is no shared library for this machine, or lacks a function.
    pub(super) fn open(path: &Path) -> Result<Self, LiteRtError> {
        // SAFETY: loading runs the library's initialisers. `Models::open`, the only caller, has checked the file's SHA-256:
        // it is the published LiteRT, whose initialisers ask nothing of the program.
        let library = unsafe { Library::new(path) }
            .map_err(|error| LiteRtError::Load { path: path.to_path_buf(), source: loader_error(error) })?;
        let functions = Functions::look_up(&library, path)?;
        // It stays loaded: the functions point into it, and a LiteRT that was unloaded before it ran a net
        // crashes the program when that ends.
        std::mem::forget(library);
        Ok(Self { functions })
    }
}

/// A handle together with the function that frees it.
struct Owned {
    handle: Handle,
    free: unsafe extern "C" fn(Handle),
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the handle came from the create function that belongs to `free`, and is freed only here.
        unsafe { (self.free)(self.handle) }
    }
}

/// Turns a status into a result.
fn check(call: &'static str, status: Status) -> Result<(), LiteRtError> {
    if status == 0 { Ok(()) } else { Err(LiteRtError::Call { call, status }) }
}

/// Calls `create` with room for a handle and takes what it leaves there.
fn created(call: &'static str, create: impl FnOnce(*mut Handle) -> Status) -> Result<Handle, LiteRtError> {
    let mut handle: Handle = std::ptr::null_mut();
    check(call, create(&mut handle))?;
    // A success without a handle is none.
    if handle.is_null() { Err(LiteRtError::Call { call, status: 0 }) } else { Ok(handle) }
}

/// Memory for a model file, aligned as flat buffers and LiteRT want it.
#[repr(align(64))]
#[derive(Clone, Copy)]
struct Block([u8; 64]);

/// A tensor's memory, owned by LiteRT: allocated with the alignment and the padding its kernels need.
struct Tensor {
    buffer: Owned,
    values: NonNull<f32>,
    length: usize,
}

impl Tensor {
    fn new(
        functions: &Functions,
        environment: &Owned,
        tensor: Handle,
        requirements: Handle,
        what: &str,
        length: usize,
    ) -> Result<Self, LiteRtError> {
        let mut kind = RankedTensorType::default();
        // SAFETY: `tensor` belongs to the living model; `kind` has the layout LiteRT writes.
        check("LiteRtGetRankedTensorType", unsafe { (functions.tensor_type)(tensor, &mut kind) })?;
        let rank = (kind.rank & 0x7f) as usize;
        let found = kind
            .dimensions
            .get(..rank)
            .and_then(|dimensions| {
                dimensions.iter().try_fold(1usize, |size, &n| size.checked_mul(usize::try_from(n).ok()?))
            })
            .filter(|_| kind.element_type == FLOAT32)
            .unwrap_or(0);
        if found != length {
            let what = format!("number of f32 values of {what}");
            return Err(LiteRtError::Shape { what, found, expected: length });
        }
        // SAFETY: all handles are alive; `kind` is a fully set tensor type.
        let handle = created("LiteRtCreateManagedTensorBufferFromRequirements", |out| unsafe {
            (functions.create_buffer)(environment.handle, &kind, requirements, out)
        })?;
        let buffer = Owned { handle, free: functions.destroy_buffer };
        let mut bytes = 0;
        // SAFETY: the buffer is alive.
        check("LiteRtGetTensorBufferSize", unsafe { (functions.buffer_size)(buffer.handle, &mut bytes) })?;
        if bytes < length * size_of::<f32>() {
            let (found, expected) = (bytes, length * size_of::<f32>());
            return Err(LiteRtError::Shape { what: format!("size in bytes of {what}"), found, expected });
        }
        let memory = created("LiteRtGetTensorBufferHostMemory", |out| {
            // SAFETY: the buffer is alive; one that is not host memory is answered by a status.
            unsafe { (functions.host_memory)(buffer.handle, out) }
        })?;
        let values = NonNull::new(memory.cast::<f32>()).filter(|values| values.is_aligned());
        let values =
            values.ok_or(LiteRtError::Call { call: "LiteRtGetTensorBufferHostMemory", status: 0 })?;
        // SAFETY: the memory holds `length` values (checked above) and nobody else uses it yet. Zeroing makes
        // every later slice one of initialised values.
        unsafe { values.write_bytes(0, length) };
        Ok(Self { buffer, values, length })
    }

    fn values(&self) -> &[f32] {
        // SAFETY: `length` initialised values, alive as long as `buffer`; LiteRT touches them only in
        // `Net::run`, which borrows the net, and so this, mutably.
        unsafe { std::slice::from_raw_parts(self.values.as_ptr(), self.length) }
    }

    fn values_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `values`; the mutable borrow makes it the only slice.
        unsafe { std::slice::from_raw_parts_mut(self.values.as_ptr(), self.length) }
    }
}

/// A loaded net: fill [`input_mut`](Net::input_mut), [`run`](Net::run), read [`output`](Net::output).
///
/// It runs by XNNPACK's kernels on the calling thread and as many others as it was loaded for.
pub struct Net {
    // Fields are dropped in this order: what others refer to comes last.
    compiled: Owned,
    inputs: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// The handles of inputs and outputs, each in a row, as LiteRT takes them.
    input_handles: Vec<Handle>,
    output_handles: Vec<Handle>,
    _model: Owned,
    _environment: Owned,
    /// The model refers to these bytes as long as it lives.
    _bytes: Vec<Block>,
    runtime: Arc<Runtime>,
}

// SAFETY: a net owns all its handles (its own environment included) and LiteRT ties none of them to a thread.
// A mutable reference guarantees exclusive access.
unsafe impl Send for Net {}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net")
            .field("inputs", &self.inputs.iter().map(|input| input.length).collect::<Vec<_>>())
            .field("outputs", &self.outputs.iter().map(|output| output.length).collect::<Vec<_>>())
            .finish()
    }
}

impl Net {
    /// Loads a net from the bytes of a `.tflite` file that has inputs of `inputs` values and outputs of `outputs`
    /// values. It runs on `threads` threads, from one to [`MAX_THREADS`]; the results do not depend on their number.
    ///
    /// # Errors
    /// The file is damaged, or its input and outputs have other sizes.
    pub(super) fn load(
        runtime: &Arc<Runtime>,
        model: &[u8],
        inputs: &[usize],
        outputs: &[usize],
        threads: usize,
    ) -> Result<Self, LiteRtError> {
        let functions = &runtime.functions;
        let bytes: Vec<Block> = model
            .chunks(size_of::<Block>())
            .map(|chunk| {
                let mut block = Block([0; 64]);
                block.0[..chunk.len()].copy_from_slice(chunk);
                block
            })
            .collect();
        let environment = environment(functions)?;
        // SAFETY: `bytes` holds `model.len()` bytes and, kept in the net, outlives the model.
        let handle = created("LiteRtCreateModelFromBuffer", |out| unsafe {
            (functions.create_model)(environment.handle, bytes.as_ptr().cast(), model.len(), out)
        })?;
        let model = Owned { handle, free: functions.destroy_model };
        let options = options(functions, threads)?;
        // SAFETY: all three handles are alive; the options are copied.
        let handle = created("LiteRtCreateCompiledModel", |out| unsafe {
            (functions.create_compiled_model)(environment.handle, model.handle, options.handle, out)
        })?;
        let compiled = Owned { handle, free: functions.destroy_compiled_model };

        let graph = graph(functions, &model, inputs.len(), outputs.len())?;
        let input = |(i, &length): (usize, &usize)| {
            // SAFETY: the graph belongs to the living model and has an input `i`.
            let tensor =
                created("LiteRtGetSubgraphInput", |out| unsafe { (functions.input_tensor)(graph, i, out) })?;
            // SAFETY: the compiled model is alive.
            let requirements = created("LiteRtGetCompiledModelInputBufferRequirements", |out| unsafe {
                (functions.input_requirements)(compiled.handle, 0, i, out)
            })?;
            Tensor::new(functions, &environment, tensor, requirements, &format!("input {i}"), length)
        };
        let inputs = inputs.iter().enumerate().map(input).collect::<Result<Vec<_>, _>>()?;
        let output = |(i, &length): (usize, &usize)| {
            // SAFETY: the graph belongs to the living model and has an output `i`.
            let tensor = created("LiteRtGetSubgraphOutput", |out| unsafe {
                (functions.output_tensor)(graph, i, out)
            })?;
            // SAFETY: the compiled model is alive.
            let requirements = created("LiteRtGetCompiledModelOutputBufferRequirements", |out| unsafe {
                (functions.output_requirements)(compiled.handle, 0, i, out)
            })?;
            Tensor::new(functions, &environment, tensor, requirements, &format!("output {i}"), length)
        };
        let outputs = outputs.iter().enumerate().map(output).collect::<Result<Vec<_>, _>>()?;
        let handles = |tensors: &[Tensor]| tensors.iter().map(|tensor| tensor.buffer.handle).collect();
        let (input_handles, output_handles) = (handles(&inputs), handles(&outputs));
        Ok(Self {
            compiled,
            inputs,
            outputs,
            input_handles,
            output_handles,
            _model: model,
            _environment: environment,
            _bytes: bytes,
            runtime: Arc::clone(runtime),
        })
    }

    /// The values of the first input, to be filled before [`run`](Net::run).
    pub fn input_mut(&mut self) -> &mut [f32] {
        self.inputs_mut(0)
    }

    /// The values of input `i`, to be filled before [`run`](Net::run); empty where there is no such input.
    pub fn inputs_mut(&mut self, i: usize) -> &mut [f32] {
        self.inputs.get_mut(i).map_or(&mut [], Tensor::values_mut)
    }

    /// Computes the outputs from the input.
    ///
    /// # Errors
    /// LiteRT reports a failure.
    pub fn run(&mut self) -> Result<(), LiteRtError> {
        // SAFETY: the handles are alive and belong together; counts are those of the arrays; `&mut self` keeps
        // everybody else from the tensors while LiteRT reads and writes them.
        check("LiteRtRunCompiledModel", unsafe {
            (self.runtime.functions.run)(
                self.compiled.handle,
                0,
                self.input_handles.len(),
                self.input_handles.as_mut_ptr(),
                self.output_handles.len(),
                self.output_handles.as_mut_ptr(),
            )
        })
    }

    /// The values of output `i` after the last [`run`](Net::run); empty where there is no such output.
    pub fn output(&self, i: usize) -> &[f32] {
        self.outputs.get(i).map_or(&[], Tensor::values)
    }
}

/// A model's main graph, which must have this many inputs and outputs.
fn graph(functions: &Functions, model: &Owned, inputs: usize, outputs: usize) -> Result<Handle, LiteRtError> {
    let (mut main, mut found_inputs, mut found_outputs) = (0, 0, 0);
    // SAFETY: the model is alive.
    check("LiteRtGetMainModelSubgraphIndex", unsafe { (functions.main_subgraph)(model.handle, &mut main) })?;
    // SAFETY: the model is alive and has a graph of this number.
    let graph =
        created("LiteRtGetModelSubgraph", |out| unsafe { (functions.subgraph)(model.handle, main, out) })?;
    // SAFETY: the graph belongs to the living model.
    check("LiteRtGetNumSubgraphInputs", unsafe { (functions.input_count)(graph, &mut found_inputs) })?;
    // SAFETY: the graph belongs to the living model.
    check("LiteRtGetNumSubgraphOutputs", unsafe { (functions.output_count)(graph, &mut found_outputs) })?;
    for (what, found, expected) in [("inputs", found_inputs, inputs), ("outputs", found_outputs, outputs)] {
        if found != expected {
            return Err(LiteRtError::Shape { what: format!("number of {what}"), found, expected });
        }
    }
    Ok(graph)
}

/// An environment that looks for no accelerator beside the CPU and writes only errors to the terminal.
fn environment(functions: &Functions) -> Result<Owned, LiteRtError> {
    let option = |tag, value| EnvironmentOption { tag, value_type: ANY_INTEGER, _padding: 0, value };
    let options =
        [option(AUTO_REGISTER_ACCELERATORS, i64::from(CPU)), option(MINIMUM_LOG_SEVERITY, LOG_ERRORS)];
    // SAFETY: the options have LiteRT's layout and are copied.
    let handle = created("LiteRtCreateEnvironment", |out| unsafe {
        (functions.create_environment)(options.len() as c_int, options.as_ptr(), out)
    })?;
    Ok(Owned { handle, free: functions.destroy_environment })
}

/// The most threads of one net.
pub const MAX_THREADS: usize = 4;

/// Compilation options: the CPU, and this many threads.
fn options(functions: &Functions, threads: usize) -> Result<Owned, LiteRtError> {
    /// The text is a constant of this program: nothing to free.
    unsafe extern "C" fn keep(_: *mut c_void) {}

    // SAFETY: `out` is room for the handle.
    let handle = created("LiteRtCreateOptions", |out| unsafe { (functions.create_options)(out) })?;
    let options = Owned { handle, free: functions.destroy_options };
    // SAFETY: the options are alive.
    check("LiteRtSetOptionsHardwareAccelerators", unsafe {
        (functions.set_accelerators)(options.handle, CPU)
    })?;
    // LiteRT's CPU options travel as a TOML text ended by 0.
    let texts: [&CStr; MAX_THREADS] =
        [c"num_threads = 1\n", c"num_threads = 2\n", c"num_threads = 3\n", c"num_threads = 4\n"];
    let text = texts[threads.clamp(1, MAX_THREADS) - 1];
    // SAFETY: both texts are constants that end in 0; LiteRT only reads them, though C's type says otherwise.
    let handle = created("LiteRtCreateOpaqueOptions", |out| unsafe {
        (functions.create_opaque_options)(CPU_OPTIONS.as_ptr(), text.as_ptr().cast_mut().cast(), keep, out)
    })?;
    let opaque = Owned { handle, free: functions.destroy_opaque_options };
    // SAFETY: both are alive. On success the options own the opaque ones, which are then not freed here.
    check("LiteRtAddOpaqueOptions", unsafe {
        (functions.add_opaque_options)(options.handle, opaque.handle)
    })?;
    std::mem::forget(opaque);
    Ok(options)
}
