//! Compiles the kernels of the engine native ahead of time with NVRTC, for GPUs that this machine need not have. They are
//! shipped with the program, which then needs no compiler. `scripts/build-kernels.sh` fetches NVRTC.
//!
//! `cargo run --example compile_kernels -- FOLDER [7.0 8.6 ...]`

use std::env;
use std::error::Error;
use std::path::PathBuf;

use oppose::engine::native::cuda::{AHEAD, compile_ahead};
use oppose::gpu::ComputeCapability;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let folder =
        PathBuf::from(arguments.next().ok_or("usage: compile_kernels FOLDER [COMPUTE_CAPABILITY...]")?);
    let mut gpus = arguments.map(|text| parse(&text)).collect::<Result<Vec<_>, _>>()?;
    if gpus.is_empty() {
        gpus.extend(AHEAD);
    }
    for gpu in gpus {
        println!("{gpu}: {} files", compile_ahead(&folder, gpu)?);
    }
    Ok(())
}

fn parse(text: &str) -> Result<ComputeCapability, String> {
    let number =
        |text: &str| text.parse().map_err(|_| format!("{text} is not a compute capability such as 8.6"));
    let (major, minor) =
        text.split_once('.').ok_or(format!("{text} is not a compute capability such as 8.6"))?;
    Ok(ComputeCapability { major: number(major)?, minor: number(minor)? })
}
