//! Checks that belong to no single engine: the driver, FFmpeg, containers, the cluster.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Check, Gpus};
use crate::Chain;
use crate::video;

/// Environment variables by which containers tell the programs in them where they are.
const CONTAINER_VARIABLES: [&str; 2] = ["APPTAINER_CONTAINER", "SINGULARITY_CONTAINER"];
/// Programs that run containers without root.
const CONTAINER_PROGRAMS: [&str; 2] = ["apptainer", "singularity"];

/// All of them.
pub fn checks(gpus: Gpus<'_>) -> Vec<Check> {
    let mut checks = driver(gpus);
    checks.push(Check::good("decoder", video::ffmpeg_version()));
    checks.push(container());
    checks.push(slurm());
    checks
}

fn driver(gpus: Gpus<'_>) -> Vec<Check> {
    let driver = match gpus {
        Ok(driver) => driver,
        // `native` does without; for `openpose` it is looked at again.
        Err(error) => return vec![Check::note("NVIDIA driver", Chain(error).to_string())],
    };
    let mut checks = vec![Check::good("NVIDIA driver", format!("supports CUDA up to {}", driver.cuda))];
    checks.extend(driver.gpus.iter().map(|gpu| {
        let gib = gpu.memory as f64 / (1_u64 << 30) as f64;
        let found = format!(
            "{}, compute capability {}, {gib:.0} GiB, {}",
            gpu.name, gpu.compute_capability, gpu.uuid
        );
        Check::good(format!("GPU {}", gpu.index), found)
    }));
    checks
}

fn container() -> Check {
    const NAME: &str = "container";
    if let Some(image) = CONTAINER_VARIABLES.iter().find_map(|variable| env::var(variable).ok()) {
        return Check::good(NAME, format!("inside the image {image}"));
    }
    if Path::new("/.dockerenv").exists() {
        return Check::good(NAME, "inside a Docker container");
    }
    match CONTAINER_PROGRAMS.iter().find_map(|program| version(program)) {
        Some(version) => Check::good(NAME, version),
        None => Check::note(NAME, "neither apptainer nor singularity is on the path")
            .next("only images need one; on a cluster try: module load apptainer"),
    }
}

fn slurm() -> Check {
    const NAME: &str = "SLURM";
    match (env::var("SLURM_JOB_ID"), version("sbatch")) {
        (Ok(job), _) => Check::good(NAME, format!("inside job {job}")),
        (_, Some(version)) => Check::good(NAME, version),
        _ => Check::note(NAME, "no sbatch on the path").next("only jobs on a cluster need it"),
    }
}

/// The first line of a program's version message, if there is such a program.
fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
    let output = output.ok().filter(|output| output.status.success())?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().next().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty())
}
