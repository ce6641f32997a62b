//! Finds the NVIDIA GPUs of this machine by asking the driver. The driver's library is looked up at run time, so programs
//! start on machines without it.

// The driver's functions are foreign code.
#![allow(unsafe_code)]

use std::env;
use std::fmt;

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice, CUdevice_attribute, CUresult};
use libloading::Library;
use serde::Serialize;

/// The environment variable by which users and SLURM choose GPUs. The driver itself honours it.
pub const VISIBLE_DEVICES: &str = "CUDA_VISIBLE_DEVICES";

/// The oldest driver that is asked for its GPUs. Older ones lack functions, and no engine runs with them.
const OLDEST_DRIVER: CudaVersion = CudaVersion { major: 10, minor: 0 };

/// The compute capability of a GPU, which decides what code it runs: 7.0 for a V100, 9.0 for an H100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct ComputeCapability {
    /// The architecture.
    pub major: u32,
    /// Its revision.
    pub minor: u32,
}

impl fmt::Display for ComputeCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A version of CUDA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct CudaVersion {
    /// The 12 in 12.4.
    pub major: u32,
    /// The 4 in 12.4.
    pub minor: u32,
}

impl CudaVersion {
    /// From CUDA's version number: 1000 × major + 10 × minor.
    fn from_number(number: i32) -> Self {
        let number = u32::try_from(number).unwrap_or(0);
        Self { major: number / 1000, minor: number % 1000 / 10 }
    }
}

impl fmt::Display for CudaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// A GPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Gpu {
    /// Its index among the GPUs that this process may use, from 0.
    pub index: usize,
    /// The name of its model: `Tesla V100-SXM2-32GB`.
    pub name: String,
    /// Its compute capability.
    pub compute_capability: ComputeCapability,
    /// Its total memory in bytes.
    pub memory: u64,
    /// Its unique identifier: `GPU-` and 32 hexadecimal digits in five groups.
    pub uuid: String,
}

/// The driver and the GPUs this process may use; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Driver {
    /// The newest CUDA version that it supports.
    pub cuda: CudaVersion,
    /// The GPUs, in the driver's order.
    pub gpus: Vec<Gpu>,
}

impl Driver {
    /// Checks that the driver supports programs built for CUDA `needed`.
    ///
    /// # Errors
    /// It is too old.
    pub fn serves(&self, needed: CudaVersion) -> Result<(), GpuError> {
        if self.cuda < needed { Err(GpuError::DriverTooOld { found: self.cuda, needed }) } else { Ok(()) }
    }
}

/// Why no GPU can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GpuError {
    /// The driver's library was not found, or cannot be loaded.
    #[error(
        "no NVIDIA driver: {reason}; on a machine with a GPU install NVIDIA's driver, give a container access to the GPU, on a cluster request one"
    )]
    NoDriver {
        /// The message of the system's loader.
        reason: String,
    },
    /// The library that was found is the stub that CUDA's toolkit ships for linking.
    #[error(
        "no NVIDIA driver: the libcuda.so found first is a stub for linking; remove CUDA's stubs folder from LD_LIBRARY_PATH"
    )]
    Stub,
    /// The driver is too old.
    #[error(
        "the NVIDIA driver supports CUDA up to {found}, but {needed} or later is needed; install a newer driver"
    )]
    DriverTooOld {
        /// The version that it supports.
        found: CudaVersion,
        /// The version that is needed.
        needed: CudaVersion,
    },
    /// There is a driver, but no GPU.
    #[error("the NVIDIA driver (CUDA {cuda}) shows no GPU; {}", without_gpu(visible.as_deref()))]
    NoDevice {
        /// The version that the driver supports.
        cuda: CudaVersion,
        /// The value of [`VISIBLE_DEVICES`], if it is set.
        visible: Option<String>,
    },
    /// A function of the driver fails.
    #[error(
        "the NVIDIA driver fails: {call} returned {code}; `nvidia-smi` shows whether it works, and a driver that was just updated needs a restart of the machine"
    )]
    Call {
        /// The function.
        call: &'static str,
        /// CUDA's name for the error.
        code: String,
    },
}

fn without_gpu(visible: Option<&str>) -> String {
    match visible {
        Some(value) => format!(
            "{VISIBLE_DEVICES} is \"{value}\": unset it, or name GPUs that exist (`nvidia-smi -L` lists them)"
        ),
        None => "`nvidia-smi` shows whether the machine has one; on a cluster request one".into(),
    }
}

/// Names the driver's function that failed.
fn failed(call: &'static str) -> impl FnOnce(DriverError) -> GpuError {
    move |error| GpuError::Call { call, code: format!("{:?}", error.0) }
}

/// Asks the driver for its version and its GPUs. The first call in a process takes some tenths of a second; no memory of
/// a GPU is used.
///
/// # Errors
/// There is no driver, it is too old or broken, or shows no GPU.
pub fn detect() -> Result<Driver, GpuError> {
    // cudarc panics if the library or one of its functions is missing, so check for each first.
    // SAFETY: loading the driver's library runs its initialisers, which have no preconditions.
    if !unsafe { sys::is_culib_present() } {
        return Err(GpuError::NoDriver { reason: loader_error() });
    }
    // SAFETY: the library is loaded; the function is only looked up, not called.
    if unsafe { sys::culib().get::<unsafe extern "C" fn()>(b"cuDriverGetVersion\0") }.is_err() {
        return Err(GpuError::Stub);
    }
    let mut number = 0;
    // SAFETY: the function exists, may be called before cuInit, and writes one int.
    let version = unsafe { sys::cuDriverGetVersion(&mut number) };
    if version == CUresult::CUDA_ERROR_STUB_LIBRARY {
        return Err(GpuError::Stub);
    }
    version.result().map_err(failed("cuDriverGetVersion"))?;
    let cuda = CudaVersion::from_number(number);
    if cuda < OLDEST_DRIVER {
        return Err(GpuError::DriverTooOld { found: cuda, needed: OLDEST_DRIVER });
    }

    let no_device = || GpuError::NoDevice { cuda, visible: env::var(VISIBLE_DEVICES).ok() };
    match result::init() {
        Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => return Err(no_device()),
        Err(DriverError(CUresult::CUDA_ERROR_STUB_LIBRARY)) => return Err(GpuError::Stub),
        other => other.map_err(failed("cuInit"))?,
    }
    let count = result::device::get_count().map_err(failed("cuDeviceGetCount"))?;
    let gpus = (0..count).map(gpu).collect::<Result<Vec<_>, _>>()?;
    if gpus.is_empty() { Err(no_device()) } else { Ok(Driver { cuda, gpus }) }
}

/// `cuda:0` followed by the name of the GPU with this index, as recorded in journals.
pub fn device_name(number: usize) -> String {
    let name = detect().ok().and_then(|driver| driver.gpus.into_iter().nth(number)).map(|gpu| gpu.name);
    format!("cuda:{number} {}", name.unwrap_or_default()).trim_end().to_owned()
}

/// Why the driver's library cannot be loaded: it is missing, or needs a newer C library than a container has.
fn loader_error() -> String {
    // SAFETY: as in `detect`.
    match unsafe { Library::new("libcuda.so.1") } {
        Err(libloading::Error::DlOpen { source, .. }) => source.to_string(),
        Err(error) => error.to_string(),
        Ok(_) => "libcuda.so.1 could not be loaded at first".into(),
    }
}

fn gpu(index: i32) -> Result<Gpu, GpuError> {
    let device = result::device::get(index).map_err(failed("cuDeviceGet"))?;
    let uuid = result::device::get_uuid(device).map_err(failed("cuDeviceGetUuid"))?;
    // SAFETY: the driver has just returned the device.
    let memory = unsafe { result::device::total_mem(device) }.map_err(failed("cuDeviceTotalMem"))?;
    Ok(Gpu {
        index: usize::try_from(index).unwrap_or(0),
        name: result::device::get_name(device).map_err(failed("cuDeviceGetName"))?,
        compute_capability: ComputeCapability {
            major: attribute(device, CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            minor: attribute(device, CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        },
        memory: memory as u64,
        uuid: uuid_text(uuid.bytes.map(|byte| byte as u8)),
    })
}

fn attribute(device: CUdevice, attribute: CUdevice_attribute) -> Result<u32, GpuError> {
    // SAFETY: the driver has returned the device; the attribute is one of the binding's.
    let value = unsafe { result::device::get_attribute(device, attribute) };
    Ok(u32::try_from(value.map_err(failed("cuDeviceGetAttribute"))?).unwrap_or(0))
}

/// As `nvidia-smi -L` and [`VISIBLE_DEVICES`] spell it.
fn uuid_text(bytes: [u8; 16]) -> String {
    let mut text = String::from("GPU");
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 0 | 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_gpu_gets_an_error_and_no_panic() {
        match detect() {
            Ok(driver) => {
                assert!(driver.cuda >= OLDEST_DRIVER);
                assert!(driver.gpus.iter().all(|gpu| gpu.memory > 0 && gpu.compute_capability.major > 0));
            }
            Err(error) => assert!(error.to_string().contains("NVIDIA driver"), "{error}"),
        }
        assert_eq!(detect(), detect());
    }

    #[test]
    fn cuda_encodes_its_version_in_one_number() {
        assert_eq!(CudaVersion::from_number(10_000).to_string(), "10.0");
        assert_eq!(CudaVersion::from_number(12_040), CudaVersion { major: 12, minor: 4 });
        assert_eq!(CudaVersion::from_number(-1), CudaVersion { major: 0, minor: 0 });
    }

    #[test]
    fn a_driver_supports_only_older_programs() {
        let driver = Driver { cuda: CudaVersion { major: 11, minor: 8 }, gpus: Vec::new() };
        assert_eq!(driver.serves(CudaVersion { major: 10, minor: 0 }), Ok(()));
        let error = driver.serves(CudaVersion { major: 12, minor: 0 }).unwrap_err();
        assert!(error.to_string().contains("up to 11.8, but 12.0"), "{error}");
    }

    #[test]
    fn a_uuid_is_written_as_nvidia_smi_writes_it() {
        let bytes = std::array::from_fn(|i| i as u8 * 17);
        assert_eq!(uuid_text(bytes), "GPU-00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn the_error_for_a_hidden_gpu_names_the_variable() {
        let error = GpuError::NoDevice { cuda: OLDEST_DRIVER, visible: Some("7".into()) };
        assert!(error.to_string().contains("CUDA_VISIBLE_DEVICES is \"7\""), "{error}");
    }
}
