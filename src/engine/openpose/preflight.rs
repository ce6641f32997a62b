//! What can be known before OpenPose is started. Caffe ends the whole process if something is wrong, so that
//! whatever can be found out beforehand becomes an error message instead.

use std::fs;
use std::path::{Path, PathBuf};

use super::OpenPoseError;
use super::gpu_code::GpuCode;
use crate::engine::native::model::Net;
use crate::gpu::Driver;

/// Reads all nets as the engine `native` would: each file exists, is complete, and is what it should be.
pub(super) fn models(folder: &Path) -> Result<(), OpenPoseError> {
    for net in Net::OF_A_PERSON {
        net.read(folder)?;
    }
    Ok(())
}

/// The nets whose values are not those that OpenPose's authors published. That is right for nets of your own, and
/// otherwise a sign of damage that leaves the file readable. A file that cannot be read is not among them.
pub fn unpublished(folder: &Path) -> Vec<Net> {
    let is_other = |net: &Net| net.md5(folder).is_ok_and(|(_, md5)| md5 != net.published_md5());
    Net::OF_A_PERSON.into_iter().filter(is_other).collect()
}

/// Checks that the GPU exists and that the OpenPose that has been loaded has code for it.
pub(super) fn gpu(driver: &Driver, index: usize) -> Result<(), OpenPoseError> {
    let gpus = driver.gpus.len();
    let gpu = driver.gpus.get(index).ok_or(OpenPoseError::NoSuchGpu { index, gpus })?;
    let code = gpu_code();
    if code.is_empty() || code.runs_on(gpu.compute_capability) {
        return Ok(());
    }
    Err(OpenPoseError::NoCode {
        gpu: gpu.name.clone(),
        found: gpu.compute_capability,
        code: code.to_string(),
    })
}

/// The GPU code of OpenPose's and Caffe's libraries in this process.
pub(super) fn gpu_code() -> GpuCode {
    let mut code = GpuCode::default();
    for library in loaded_libraries() {
        // One that cannot be read hides its code; what the others have may still be enough.
        if let Ok(bytes) = fs::read(library) {
            code.add(&bytes);
        }
    }
    code
}

/// OpenPose's and Caffe's libraries in this process.
fn loaded_libraries() -> Vec<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let paths = maps.lines().filter_map(|line| line.find('/').map(|start| PathBuf::from(&line[start..])));
    let is_theirs = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("libopenpose.so") || name.starts_with("libcaffe.so")
    };
    let mut libraries: Vec<PathBuf> = paths.filter(is_theirs).collect();
    libraries.dedup();
    libraries
}
