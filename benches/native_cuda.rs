//! The full-size nets on a GPU: seconds and TFLOP/s, alone and concurrently.
//!
//! `cargo bench --bench native_cuda [-- nets|table|layers|batches|steady|latency|memory|colors VIDEO...] [fp32|fp16x3|tf32|fp16]
//! [portable|turing|ampere|hopper] [BATCH...]`

#![allow(clippy::unwrap_used)] // A benchmark should end on the first error.

#[path = "../tests/common/coloured_people.rs"]
mod coloured_people;
#[path = "../tests/common/made_up_models.rs"]
mod made_up_models;
#[path = "../tests/common/meaningful_models.rs"]
mod meaningful_models;

use std::env;
use std::path::{Path, PathBuf};
use std::time::Instant;

use oppose::engine::Engine;
use oppose::engine::native::Options;
use oppose::engine::native::assemble::size::Size;
use oppose::engine::native::cuda::{Cuda, CudaNets, CudaOptions, Job, KernelPath, Precision};
use oppose::engine::native::model::{Graph, Net};
use oppose::gpu;
use oppose::pipeline;
use oppose::pose::FramePose;
use oppose::video::{self, Frame};

const BODY: Size = Size { width: 496, height: 368 };
const CROP: Size = Size { width: 368, height: 368 };

fn main() {
    let chosen: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_chosen = |name: &str| chosen.iter().any(|chosen| chosen == name);
    let precision = chosen.iter().find_map(|name| name.parse().ok()).unwrap_or(Precision::Fp16);
    let kernels: Option<KernelPath> = chosen.iter().find_map(|name| name.parse().ok());
    let cuda = CudaOptions::default().with_precision(precision).with_kernels(kernels);
    let folder = tempfile::tempdir().unwrap();
    // Lets several runs share the models.
    let models = env::var_os("OPPOSE_FULL_MODELS").map(PathBuf::from).unwrap_or_else(|| {
        made_up_models::write(folder.path(), made_up_models::Size::Full);
        folder.path().into()
    });
    if is_chosen("layers") {
        layers(&models, cuda, chosen.iter().find_map(|name| name.parse().ok()).unwrap_or(16));
    }
    if is_chosen("table") {
        table(&models);
    }
    if is_chosen("steady") {
        steady(&models, cuda, chosen.iter().find_map(|name| name.parse().ok()).unwrap_or(16));
    }
    if is_chosen("latency") {
        latency(cuda);
    }
    if is_chosen("memory") {
        memory(&models, cuda);
    }
    if is_chosen("colors") {
        colors(chosen.iter().map(Path::new).filter(|path| path.is_file()), cuda);
    }
    if is_chosen("nets") || !chosen.iter().any(|name| OTHERS.contains(&name.as_str())) {
        let batches: Vec<usize> = chosen.iter().filter_map(|name| name.parse().ok()).collect();
        nets(&models, cuda, if batches.is_empty() { &[16] } else { &batches });
    }
    if is_chosen("batches") {
        nets(&models, cuda, &[1, 2, 4, 8, 12, 15, 16, 24, 31, 32]);
    }
}

const OTHERS: [&str; 7] = ["layers", "batches", "steady", "latency", "memory", "colors", "table"];

fn name(cuda: CudaOptions) -> String {
    let kernels = cuda.kernels.map_or("the best kernels".into(), |kernels| format!("{kernels} kernels"));
    format!("{}, {kernels}", cuda.precision)
}

/// Every precision with all kernels that run on the GPU.
fn table(models: &Path) {
    let gpu = &gpu::detect().unwrap().gpus[0];
    println!("\n{}, compute capability {}", gpu.name, gpu.compute_capability);
    for precision in Precision::ALL {
        for kernels in KernelPath::ALL {
            let is_other = precision != Precision::Fp32 || kernels == KernelPath::Portable;
            if kernels.runs_on(gpu.compute_capability) && is_other {
                let cuda = CudaOptions::default().with_precision(precision).with_kernels(kernels);
                nets(models, cuda, &[1, 4, 16]);
            }
        }
    }
}

/// How long the whole engine takes from a frame (one person with face and hands, 640x480) to the points, and from the
/// first of several frames pushed together to the points of the last.
fn latency(cuda: CudaOptions) {
    let folder = tempfile::tempdir().unwrap();
    meaningful_models::write(folder.path(), made_up_models::Size::Full);
    let person = coloured_people::Person { x: 320.0, y: 10.0, scale: 1.3 };
    println!(
        "\n{}: milliseconds from frames to points\n| frames | median | minimum | maximum |\n| ---: | ---: | ---: | ---: |",
        name(cuda)
    );
    for batch in [1, 2, 4, 8, 16, 32] {
        let options = cuda.with_batch(batch);
        let mut engine = Cuda::read(folder.path(), options, Options::default()).unwrap();
        let mut pose = FramePose::default();
        let mut times = Vec::new();
        for round in 0..40 {
            let frames: Vec<Frame> =
                (0..batch).map(|_| coloured_people::draw(640, 480, std::slice::from_ref(&person))).collect();
            let start = Instant::now();
            frames.into_iter().for_each(|frame| engine.push(frame).unwrap());
            engine.flush().unwrap();
            while engine.pop(&mut pose).unwrap() {}
            // The first rounds are for warming up.
            if round >= 10 {
                times.push(start.elapsed().as_secs_f64() * 1e3);
            }
        }
        assert_eq!(pose.people(), 1);
        times.sort_by(f64::total_cmp);
        println!(
            "| {batch} | {:.1} | {:.1} | {:.1} |",
            times[times.len() / 2],
            times[0],
            times[times.len() - 1]
        );
    }
}

/// From video file to `.pose`, bodies alone, with the colours converted alternately on the CPU and on the GPU.
fn colors<'a>(videos: impl Iterator<Item = &'a Path>, cuda: CudaOptions) {
    let folder = tempfile::tempdir().unwrap();
    meaningful_models::write(folder.path(), made_up_models::Size::Full);
    let options = Options { faces: false, hands: false, ..Options::default() };
    let mut engine = Cuda::read(folder.path(), cuda, options).unwrap();
    println!(
        "\n{}: frames per second, colours converted on the CPU and on the GPU, and the speedup",
        name(cuda)
    );
    for path in videos {
        let mut cells = Vec::new();
        for round in 0..8 {
            let keep_planes = round % 2 == 1;
            let source = video::open(path, &video::Options::default().with_keep_planes(keep_planes)).unwrap();
            let options = pipeline::Options::default().with_overwrite(true);
            let target = folder.path().join("out.pose");
            let report = pipeline::run(source, &mut engine, &target, &options, &mut |_| {}).unwrap();
            cells.push(report.frames as f64 / report.elapsed.as_secs_f64());
        }
        // The first pair is for warming up.
        let pairs: Vec<String> = cells[2..]
            .chunks_exact(2)
            .map(|pair| format!("{:.0} {:.0} {:.2}", pair[0], pair[1], pair[1] / pair[0]))
            .collect();
        println!("{}: {}", path.display(), pairs.join(", "));
    }
}

/// How much GPU memory frames of some sizes need.
fn memory(models: &Path, cuda: CudaOptions) {
    let sizes = [(210, 260), (640, 480), (1280, 720), (1920, 1080)];
    println!(
        "\n{}: MB for frames, in addition to the nets\n| batch | 210x260 | 640x480 | 1280x720 | 1920x1080 |",
        name(cuda)
    );
    println!("| ---: | ---: | ---: | ---: | ---: |");
    for batch in [1, 4, 16, 32] {
        let options = cuda.with_batch(batch);
        let engine = Cuda::read(models, options, Options::default()).unwrap();
        let cells = sizes.map(|(width, height)| {
            format!("{:.0}", engine.frame_memory(width, height).unwrap() as f64 / 1e6)
        });
        println!("| {batch} | {} |", cells.join(" | "));
    }
}

/// A person with face and hands in each frame.
fn jobs(frames: usize) -> [Job; 3] {
    [
        Job { net: Net::Body25, size: BODY, images: frames },
        Job { net: Net::Face, size: CROP, images: frames },
        Job { net: Net::Hand, size: CROP, images: 2 * frames },
    ]
}

fn operations(models: &Path, job: Job) -> f64 {
    let graph: Graph = job.net.read(models).unwrap();
    graph.operations(job.size.width, job.size.height) as f64 * job.images as f64
}

fn nets(models: &Path, cuda: CudaOptions, batches: &[usize]) {
    println!("\n{}: milliseconds per frame with one person (and TFLOP/s)", name(cuda));
    println!("| batch | body | face | hands | one after another | concurrently | frames per second |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    let per_frame = jobs(1).map(|job| operations(models, job));
    for &batch in batches {
        let options = cuda.with_batch(batch);
        let mut nets = CudaNets::read(models, options).unwrap();
        let jobs = jobs(batch);
        let rounds = (64 / batch).max(4);
        let mut time = |jobs: &[Job]| {
            nets.measure(jobs, 2).unwrap();
            let mut times: Vec<f32> = (0..5).map(|_| nets.measure(jobs, rounds).unwrap()).collect();
            times.sort_by(f32::total_cmp);
            times[2] / (rounds * batch) as f32
        };
        let alone = jobs.map(|job| time(&[job]));
        let together = time(&jobs);
        let cell =
            |time: f32, operations: f64| format!("{time:.3} ({:.0})", operations / f64::from(time) / 1e9);
        let cells: Vec<String> = alone.iter().zip(per_frame).map(|(&time, work)| cell(time, work)).collect();
        let sum: f32 = alone.iter().sum();
        let all: f64 = per_frame.iter().sum();
        println!(
            "| {batch} | {} | {} | {} | {} | {} | {:.0} |",
            cells[0],
            cells[1],
            cells[2],
            cell(sum, all),
            cell(together, all),
            1000.0 / together
        );
    }
}

/// All nets concurrently for two seconds, so that most of it is measured after the GPU has reached its power limit and lowered
/// its clock.
fn steady(models: &Path, cuda: CudaOptions, batch: usize) {
    let mut nets = CudaNets::read(models, cuda.with_batch(batch)).unwrap();
    let per_frame: f64 = jobs(1).map(|job| operations(models, job)).iter().sum();
    let jobs = jobs(batch);
    nets.measure(&jobs, 2).unwrap();
    let rounds = 400_usize.div_ceil(batch);
    let mut cells = Vec::new();
    let start = Instant::now();
    while start.elapsed().as_secs() < 2 {
        let time = f64::from(nets.measure(&jobs, rounds).unwrap()) / (rounds * batch) as f64;
        cells.push(format!("{:.0} ({:.0})", 1000.0 / time, per_frame / time / 1e9));
    }
    println!(
        "\n{}, batch {batch}: frames per second (and TFLOP/s), one after another: {}",
        name(cuda),
        cells.join(", ")
    );
}

fn layers(models: &Path, cuda: CudaOptions, batch: usize) {
    let options = cuda.with_batch(batch);
    let mut nets = CudaNets::read(models, options).unwrap();
    for job in jobs(batch) {
        println!("\n{:?}, {} images, {}", job.net, job.images, name(cuda));
        println!("| layer | microseconds | TFLOP/s |\n| --- | ---: | ---: |");
        for (name, operations, time) in nets.measure_layers(job, 5).unwrap() {
            println!("| {name} | {:.0} | {:.0} |", time * 1e3, operations as f64 / f64::from(time) / 1e9);
        }
    }
}
