//! What each engine needs.

use std::path::Path;
use std::thread;

use super::{Check, EngineReport, Gpus};
use crate::Chain;
use crate::engine::holistic::models::{FURTHER, LoadError, Models, needed};
use crate::engine::holistic::{self, Options};
use crate::engine::models;
use crate::engine::native::cpu::Instructions;
use crate::engine::native::cuda::{self, KernelPath, Nvrtc, Precision};
use crate::engine::openpose::{GpuCode, Installed, OpenPose};
use crate::gpu::Gpu;

/// MediaPipe Holistic: its files, its runtime.
pub fn holistic(explicit: Option<&Path>) -> EngineReport {
    let checks = match models::find(explicit, holistic::FOLDER.as_ref()) {
        Err(error) => {
            let found = format!("no folder {} in {}", holistic::FOLDER, models::listed(&error.searched));
            vec![Check::missing("holistic models", found).next(error.advice())]
        }
        Ok(folder) => {
            let place = folder.join(holistic::FOLDER);
            let options = Options::new();
            match Models::open(&folder, &options) {
                Ok(_) => {
                    let nets = needed(&options).len();
                    let found = format!("{nets} nets in {}, as published (SHA-256)", place.display());
                    let mut checks = vec![
                        Check::good("holistic models", found),
                        Check::good("LiteRT", "2.3.0, as published (SHA-256), loads"),
                    ];
                    checks.extend(FURTHER.iter().map(|(setting, net)| {
                        match net.check(&folder) {
                            Ok(()) => {
                                Check::good(*setting, format!("can be used: {} is as published", net.name()))
                            }
                            Err(problem) => {
                                Check::note(*setting, format!("cannot be used: {}", Chain(&problem)))
                                    .next(models::where_to_get_holistic())
                            }
                        }
                    }));
                    checks
                }
                Err(LoadError::Files(error)) => error
                    .problems
                    .iter()
                    .map(|problem| {
                        Check::missing("holistic models", Chain(problem).to_string())
                            .next(models::where_to_get_holistic())
                    })
                    .collect(),
                Err(error) => vec![
                    Check::missing("LiteRT", Chain(&error).to_string())
                        .next("LiteRT 2.3.0 needs Linux on x86-64 with a C library (glibc) of 2.27 or later"),
                ],
            }
        }
    };
    EngineReport::new("holistic", checks)
}

/// OpenPose's nets without OpenPose.
pub fn native(models: &[Check], gpus: Gpus<'_>) -> EngineReport {
    let instructions = Instructions::best().name();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let mut checks = models.to_vec();
    checks.push(Check::good("processor", format!("{instructions}, {threads} threads")));
    if let Ok(driver) = gpus {
        for gpu in &driver.gpus {
            checks.push(native_on(gpu));
            if cuda::OLDEST_GPU <= gpu.compute_capability {
                checks.push(kernels_for(gpu));
            }
        }
    }
    EngineReport::new("native", checks)
}

/// Where the kernels for a GPU come from.
fn kernels_for(gpu: &Gpu) -> Check {
    let name = format!("kernels for GPU {}", gpu.index);
    let path = KernelPath::best(gpu.compute_capability, Precision::default());
    if cuda::came_with_program(gpu.compute_capability, Precision::default()) {
        return Check::good(name, format!("{path}, came with the program"));
    }
    match Nvrtc::find_for(gpu.compute_capability) {
        Ok(nvrtc) => {
            let (version, place) = (nvrtc.version(), nvrtc.path().display());
            Check::good(name, format!("{path}, compiled once by NVRTC {version}, {place}"))
        }
        Err(error) => Check::note(name, Chain(&error).to_string())
            .next("without it only GPUs that were compiled for before can be used"),
    }
}

/// Whether native can run on a GPU.
fn native_on(gpu: &Gpu) -> Check {
    let name = format!("GPU {} ({})", gpu.index, gpu.name);
    match cuda::OLDEST_GPU <= gpu.compute_capability {
        true => Check::good(name, "native runs on it"),
        false => {
            let found =
                format!("compute capability {}, needed is {}", gpu.compute_capability, cuda::OLDEST_GPU);
            Check::note(name, found).next("native runs on the processor instead")
        }
    }
}

/// OpenPose itself.
pub fn openpose(models: &[Check], gpus: Gpus<'_>) -> EngineReport {
    let mut checks = models.to_vec();
    match OpenPose::installed() {
        // Its words say what to do.
        Err(error) => checks.push(Check::missing("OpenPose", Chain(&error).to_string())),
        Ok(Installed { build, gpu_code }) => {
            checks.push(Check::good("OpenPose", format!("{build}, loads")));
            match gpu_code {
                Some(code) => checks.extend(gpu_checks(&code, gpus)),
                None => checks.push(Check::note("GPU", "this OpenPose was built for the processor").next(
                    "expect 10 seconds and more per frame; --engine native is faster, on a processor too",
                )),
            }
        }
    }
    EngineReport::new("openpose", checks)
}

/// Whether there is a GPU for which OpenPose has code.
fn gpu_checks(code: &GpuCode, gpus: Gpus<'_>) -> Vec<Check> {
    let driver = match gpus {
        Ok(driver) => driver,
        Err(error) => return vec![Check::missing("GPU", Chain(error).to_string())],
    };
    // Code that was not found may still be there.
    let runs = |gpu: &&Gpu| code.is_empty() || code.runs_on(gpu.compute_capability);
    let one_can = driver.gpus.iter().any(|gpu| runs(&gpu));
    let check = |gpu: &Gpu| {
        let name = format!("GPU {} ({})", gpu.index, gpu.name);
        if runs(&gpu) {
            return Check::good(name, "this OpenPose runs on it");
        }
        let found =
            format!("compute capability {}; this OpenPose was built for {code}", gpu.compute_capability);
        let check = if one_can { Check::note(name, found) } else { Check::missing(name, found) };
        check.next("use --engine native on this card, or ask for a V100 (sbatch --gpus=V100:1)")
    };
    driver.gpus.iter().map(check).collect()
}
