//! What each engine needs.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::thread;

use super::{Check, EngineReport, Gpus};
use crate::engine::holistic;
use crate::engine::holistic::models::{ALL, LoadError, Models};
use crate::engine::models;
use crate::engine::native::cpu::Instructions;
use crate::gpu::code::DeviceCode;
use crate::gpu::{ComputeCapability, Gpu};

/// The environment variable that names the folder of OpenPose.
const OPENPOSE_VARIABLE: &str = "OPENPOSE_DIR";
/// Where the container image has OpenPose.
const OPENPOSE_FOLDER: &str = "/openpose";
/// The library between this program and OpenPose, beside the program.
const SHIM: &str = "liboppose_openpose.so";
/// OpenPose's libraries with code for GPUs, in its folder.
const OPENPOSE_LIBRARIES: [&str; 2] = ["build/src/openpose/libopenpose.so", "build/caffe/lib/libcaffe.so"];

/// MediaPipe Holistic: its files, its runtime.
pub fn holistic(explicit: Option<&Path>) -> EngineReport {
    let checks = match models::find(explicit, holistic::FOLDER.as_ref()) {
        Err(error) => {
            let looked: Vec<String> =
                error.looked.iter().map(|folder| folder.display().to_string()).collect();
            let found = format!("no folder {} in {}", holistic::FOLDER, looked.join(", "));
            vec![Check::missing("holistic models", found).next("run scripts/fetch-models.sh")]
        }
        Ok(folder) => {
            let place = folder.join(holistic::FOLDER);
            match Models::open(&folder) {
                Ok(_) => vec![
                    Check::good(
                        "holistic models",
                        format!("{} nets in {}, as published (SHA-256)", ALL.len(), place.display()),
                    ),
                    Check::good("LiteRT", "2.3.0, as published (SHA-256), loads"),
                ],
                Err(LoadError::Files(error)) => error
                    .problems
                    .iter()
                    .map(|problem| {
                        Check::missing("holistic models", problem.to_string())
                            .next("run scripts/fetch-models.sh to fetch them again")
                    })
                    .collect(),
                Err(error) => vec![
                    Check::missing("LiteRT", error.to_string())
                        .next("LiteRT 2.3.0 needs Linux on x86-64 with a C library (glibc) of 2.27 or later"),
                ],
            }
        }
    };
    EngineReport::new("holistic", checks)
}

/// OpenPose's nets without OpenPose.
pub fn native(models: &[Check]) -> EngineReport {
    let instructions = match Instructions::best() {
        Instructions::Avx512 => "AVX-512",
        Instructions::Avx2 => "AVX2",
        Instructions::Portable => "no vector instructions in use",
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut checks = models.to_vec();
    checks.push(Check::good("processor", format!("{instructions}, {threads} threads")));
    EngineReport::new("native", checks)
}

/// OpenPose itself.
pub fn openpose(models: &[Check], gpus: Gpus<'_>) -> EngineReport {
    let folder = env::var_os(OPENPOSE_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| OPENPOSE_FOLDER.into());
    let mut checks = models.to_vec();
    let libraries = OPENPOSE_LIBRARIES.map(|library| folder.join(library));
    let code = libraries.iter().map(|library| (library, DeviceCode::read(library)));
    match code.map(|(library, code)| code.map_err(|error| (library, error))).collect::<Result<Vec<_>, _>>() {
        Err((library, error)) => checks.push(
            Check::missing("OpenPose", format!("{}: {error}", library.display())).next(format!(
                "use the container image (docs/container.md), or name the folder OpenPose was built in with {OPENPOSE_VARIABLE}"
            )),
        ),
        Ok(code) => {
            checks.push(Check::good("OpenPose", folder.display().to_string()));
            checks.extend(device_checks(&code, gpus));
        }
    }
    let shim = env::current_exe().ok().and_then(|program| program.parent().map(|folder| folder.join(SHIM)));
    checks.push(match shim {
        Some(path) if path.exists() => Check::good("shim", path.display().to_string()),
        _ => Check::missing("shim", format!("no {SHIM} beside the program")).next(format!(
            "build the program where OpenPose is ({OPENPOSE_VARIABLE} names it), or use the container image"
        )),
    });
    EngineReport::new("openpose", checks)
}

/// Whether there is a GPU that runs all of OpenPose's libraries.
fn device_checks(code: &[DeviceCode], gpus: Gpus<'_>) -> Vec<Check> {
    if code.iter().all(DeviceCode::is_empty) {
        return vec![Check::note("GPU", "none needed: this OpenPose was built without CUDA").next(
            "expect 10 seconds and more for a frame; --engine native is faster on a processor and on a GPU",
        )];
    }
    let driver = match gpus {
        Ok(driver) => driver,
        Err(error) => return vec![Check::missing("GPU", error.to_string())],
    };
    let runs = |gpu: &Gpu| code.iter().all(|code| code.is_empty() || code.runs_on(gpu.compute_capability));
    let (able, unable): (Vec<&Gpu>, Vec<&Gpu>) = driver.gpus.iter().partition(|gpu| runs(gpu));
    let held = code.iter().map(held).collect::<Vec<_>>().join("; ");
    let good = able.iter().map(|gpu| Check::good(title(gpu), "this OpenPose runs on it"));
    // One card that can is enough.
    let state = if able.is_empty() { Check::missing } else { Check::note };
    let bad = unable.iter().map(|gpu| {
        let found =
            format!("compute capability {}, but this OpenPose holds code for {held}", gpu.compute_capability);
        state(title(gpu), found)
            .next("use --engine native on this card, or ask for a V100 (sbatch --gpus=V100:1)")
    });
    good.chain(bad).collect()
}

fn title(gpu: &Gpu) -> String {
    format!("GPU {} ({})", gpu.index, gpu.name)
}

/// What a library holds code for, in words.
fn held(code: &DeviceCode) -> String {
    let list = |set: &BTreeSet<ComputeCapability>| {
        set.iter().map(ComputeCapability::to_string).collect::<Vec<_>>().join(", ")
    };
    if code.ptx.is_empty() {
        list(&code.machine)
    } else {
        format!("{} and, from {} on, any", list(&code.machine), list(&code.ptx))
    }
}
