//! The nets and everything around them on a GPU, compared with the same on the CPU.

#![allow(clippy::unwrap_used)] // Clippy does not recognise tests without the standard harness.

#[path = "common/coloured_people.rs"]
mod coloured_people;
mod common;
#[path = "common/cuda_recording.rs"]
mod cuda_recording;
#[path = "common/made_up_models.rs"]
mod made_up_models;
#[path = "common/meaningful_models.rs"]
mod meaningful_models;
#[path = "common/npy.rs"]
mod npy;
#[path = "common/recording.rs"]
mod recording;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use common::{Need, trial};
use libtest_mimic::Trial;
use oppose::Chain;
use oppose::engine::Engine;
use oppose::engine::native::assemble::size::Size;
use oppose::engine::native::cpu::Cpu;
use oppose::engine::native::cuda::{
    Cuda, CudaNets, CudaOptions, KernelPath, MAX_BATCH, Precision, allocations,
};
use oppose::engine::native::model::Net;
use oppose::engine::native::{Backend, Estimator, Options};
use oppose::gpu;
use oppose::pose::FramePose;
use oppose::video::{self, Frame, FrameRate, VideoInfo};
use recording::Recording;
use tempfile::TempDir;

const PRECISIONS: [Precision; 4] = Precision::ALL;
/// Precisions whose results are as close to OpenPose's as those of two runs of OpenPose.
const EXACT: [Precision; 2] = [Precision::Fp32, Precision::Fp16x3];

fn main() {
    let mut trials = vec![
        trial("a GPU that does not exist", &[Need::Gpu], a_gpu_that_does_not_exist),
        trial("a missing GPU is explained", &[Need::NoGpu], a_missing_gpu_is_explained),
        trial("the error for too large a frame names the batch that fits", &[Need::Gpu], too_large_a_frame),
        trial("dropped in the middle", &[Need::Gpu], dropped_in_the_middle),
        trial("sizes, batches and pauses mix", &[Need::Gpu], sizes_batches_and_pauses_mix),
        trial("a result can be popped without a full batch", &[Need::Gpu], a_result_without_a_full_batch),
        trial("several scales", &[Need::Gpu], several_scales),
        trial("luma and chroma give the same people", &[Need::Gpu], luma_and_chroma_give_the_same_people),
        trial("a warm engine allocates nothing", &[Need::Gpu], a_warm_engine_allocates_nothing),
        trial("drawn people are found in every precision", &[Need::Gpu], drawn_people_are_found),
        trial("drawn people are where fp32 finds them", &[Need::Gpu], drawn_people_are_where_fp32_finds_them),
    ];
    for path in KernelPath::ALL {
        for precision in PRECISIONS {
            let options = CudaOptions::default().with_precision(precision).with_kernels(path).with_batch(3);
            let name = |what: &str| format!("{precision}, {path}: {what}");
            trials.push(trial(&name("full-size nets as on the CPU"), &[Need::Gpu], move || {
                on_path(path, || full_size_nets(options))
            }));
            trials.push(trial(
                &name("convolution kernels of all sizes as on the CPU"),
                &[Need::Gpu],
                move || on_path(path, || kernels_of_all_sizes(options)),
            ));
            trials.push(trial(
                &name("people as from the same heat maps on the CPU"),
                &[Need::Gpu],
                move || on_path(path, || people_as_on_the_cpu(options)),
            ));
        }
    }
    for case in ["s_161x121", "s_210x260", "s_320x240"] {
        let folder = common::repository("tests/data/golden-synthetic").join(case);
        trials.push(golden(case, folder, &[Need::Gpu]));
    }
    // Not the case with two scales, which OpenPose's CPU build refuses.
    for case in [
        "a_640x480",
        "a_640x480_net368",
        "b_480x640",
        "b_480x640_net320x176",
        "c_210x260",
        "d_1280x720",
        "e_101x77",
        "e_101x77_net64",
        "f_320x320",
        "g_500x120",
    ] {
        let folder = common::shared("golden").join(case);
        trials.push(golden(case, folder, &[Need::Gpu, Need::Shared("golden")]));
    }
    for path in KernelPath::ALL {
        for precision in PRECISIONS {
            // In single precision there is only one kernel.
            if precision == Precision::Fp32 && path != KernelPath::Portable {
                continue;
            }
            let needs = [Need::Gpu, Need::Shared("golden"), Need::Shared("golden-cuda")];
            let name = format!("{precision}, {path}: agrees with OpenPose built with CUDA");
            trials.push(trial(&name, &needs, move || {
                on_path(path, || agrees_with_openpose_built_with_cuda(precision, path))
            }));
        }
    }
    common::run_one_at_a_time(trials)
}

fn golden(case: &str, folder: PathBuf, needs: &[Need]) -> Trial {
    trial(&format!("agrees with OpenPose on {case}"), needs, move || {
        for precision in EXACT {
            println!("{precision}");
            let options = CudaOptions::default().with_precision(precision).with_batch(8);
            Recording::open(folder.clone()).compare_people(CudaNets::read(SMALL.path(), options).unwrap());
        }
    })
}

fn agrees_with_openpose_built_with_cuda(precision: Precision, path: KernelPath) {
    let mut nearness = cuda_recording::Nearness::default();
    for name in cuda_recording::CASES {
        let (frame, options) = cuda_recording::case(name);
        let cuda = CudaOptions::default().with_precision(precision).with_kernels(path).with_batch(8);
        let mut engine = Cuda::read(SMALL.path(), cuda, options).unwrap();
        let found = estimate(&mut engine, std::slice::from_ref(&frame));
        match EXACT.contains(&precision) {
            true => cuda_recording::compare(name, &found[0], &mut nearness),
            // Different people may be found.
            false => println!("{name}: {} people", found[0].people()),
        }
    }
    if EXACT.contains(&precision) {
        cuda_recording::assert_exact(&format!("{precision}, {path}"), nearness);
    }
}

/// Runs a test that needs certain instructions, if the GPU has them.
fn on_path(path: KernelPath, test: impl FnOnce()) {
    let gpu = gpu::detect().unwrap().gpus[0].compute_capability;
    match path.runs_on(gpu) {
        true => test(),
        false => println!("not run: {path} kernels do not run on compute capability {gpu}"),
    }
}

fn models(write: impl Fn(&Path)) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    folder
}

static SMALL: LazyLock<TempDir> =
    LazyLock::new(|| models(|folder| made_up_models::write(folder, made_up_models::Size::Small)));
static FULL: LazyLock<TempDir> =
    LazyLock::new(|| models(|folder| made_up_models::write(folder, made_up_models::Size::Full)));
static MEANINGFUL: LazyLock<TempDir> =
    LazyLock::new(|| models(|folder| meaningful_models::write(folder, made_up_models::Size::Full)));

/// Different numbers in each run. The seed is printed, so that a failure can be reproduced.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        println!("seed {seed}");
        Self(seed)
    }

    fn next(&mut self) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 56) as u8
    }

    /// Blocks of colour with some noise.
    fn frame(&mut self, index: u64, width: u32, height: u32) -> Frame {
        let blocks: Vec<u8> = (0..3 * 64).map(|_| self.next()).collect();
        let mut pixels = Vec::with_capacity((width * height * 3) as usize);
        for y in 0..height {
            for x in 0..width {
                let block = (y * 8 / height * 8 + x * 8 / width) as usize;
                pixels.extend((0..3).map(|channel| blocks[3 * block + channel] / 2 + self.next() / 4));
            }
        }
        Frame::new(index, None, width, height, pixels).unwrap()
    }
}

/// The distance between two vectors, relative to the length of the second.
fn distance(found: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let square = |value: f64| value * value;
    let off: f64 = found.iter().zip(expected).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    let length: f64 = expected.iter().map(|value| square((*value).into())).sum();
    assert!(off.is_finite(), "some values were not computed");
    (off / length).sqrt()
}

fn full_size_nets(options: CudaOptions) {
    // Sizes that do not fill whole tiles, and more images than a batch.
    let cases = [(Net::Body25, 208, 176, 2), (Net::Face, 112, 112, 4), (Net::Hand, 368, 368, 1)];
    nets_as_on_the_cpu(FULL.path(), options, &cases);
}

/// Models may have convolution kernels of other sizes than OpenPose's. Some are larger than the tensor.
fn kernels_of_all_sizes(options: CudaOptions) {
    let make =
        |net| made_up_models::make_with_kernels(net, made_up_models::Size::Narrow, &[5, 9, 11, 13, 15]);
    let models = models(|folder| made_up_models::write_all(folder, make));
    nets_as_on_the_cpu(models.path(), options, &[(Net::Hand, 144, 112, 2), (Net::Hand, 16, 48, 3)]);
}

/// Compares the results of nets for some numbers of images of some widths and heights.
fn nets_as_on_the_cpu(models: &Path, options: CudaOptions, cases: &[(Net, usize, usize, usize)]) {
    let mut random = Random::new();
    let mut gpu = CudaNets::read(models, options).unwrap();
    let mut cpu = Cpu::read(models, None).unwrap();
    // A few times the measured distance; the CPU's own order of summation causes 1e-5.
    let limit = match options.precision {
        Precision::Fp32 | Precision::Fp16x3 => 5e-5,
        _ => 1e-2,
    };
    for &(net, width, height, images) in cases {
        let size = Size { width, height };
        let inputs: Vec<f32> =
            (0..images * 3 * size.pixels()).map(|_| f32::from(random.next()) / 256.0 - 0.5).collect();
        let (mut found, mut expected) = (Vec::new(), Vec::new());
        gpu.run(net, &inputs, size, &mut found).unwrap();
        cpu.run(net, &inputs, size, &mut expected).unwrap();
        let distance = distance(&found, &expected);
        println!("{net:?}: {distance:.2e}");
        assert!(distance < limit, "{net:?}: {distance:.2e} from the CPU's result");
    }
}

fn copy(frame: &Frame) -> Frame {
    Frame::new(frame.index(), None, frame.width(), frame.height(), frame.pixels().to_vec()).unwrap()
}

/// Runs frames through the engine, and returns the people of each.
fn estimate(engine: &mut Cuda, frames: &[Frame]) -> Vec<FramePose> {
    let mut poses = Vec::new();
    let mut pose = FramePose::default();
    for (index, frame) in frames.iter().enumerate() {
        if index - poses.len() == engine.capacity() {
            assert!(engine.pop(&mut pose).unwrap());
            poses.push(pose.clone());
        }
        engine.push(copy(frame)).unwrap();
    }
    engine.flush().unwrap();
    while engine.pop(&mut pose).unwrap() {
        poses.push(pose.clone());
    }
    assert_eq!(poses.len(), frames.len());
    poses
}

/// `pop` does not wait for frames that have not been pushed, whatever the batch.
fn a_result_without_a_full_batch() {
    let mut random = Random::new();
    let options = Options { net_resolution: "-1x176".parse().unwrap(), ..Options::default() };
    let cuda = CudaOptions::default().with_batch(4);
    let mut engine = Cuda::read(SMALL.path(), cuda, options).unwrap();
    let mut pose = FramePose::default();
    assert!(!engine.pop(&mut pose).unwrap());
    for count in [1, 3, 5] {
        for index in 0..count {
            engine.push(random.frame(index, 210, 160)).unwrap();
        }
        for _ in 0..count {
            assert!(engine.pop(&mut pose).unwrap());
        }
        assert!(!engine.pop(&mut pose).unwrap());
    }
}

fn people_as_on_the_cpu(cuda: CudaOptions) {
    let mut random = Random::new();
    let options = Options { net_resolution: "-1x176".parse().unwrap(), ..Options::default() };
    let frames: Vec<Frame> = (0..7).map(|index| random.frame(index, 210, 160)).collect();
    compare_with_cpu(SMALL.path(), cuda, options, &frames);
}

fn compare_with_cpu(models: &Path, cuda: CudaOptions, options: Options, frames: &[Frame]) {
    let mut engine = Cuda::read(models, cuda, options.clone()).unwrap();
    let found = estimate(&mut engine, frames);
    let mut estimator = Estimator::new(CudaNets::read(models, cuda).unwrap(), options).unwrap();
    let mut people = 0;
    for (index, (frame, found)) in frames.iter().zip(&found).enumerate() {
        let mut expected = FramePose::default();
        estimator.estimate(frame, &mut expected).unwrap();
        assert_eq!(found, &expected, "frame {index}");
        people += expected.people();
    }
    println!("{people} people in {} frames", frames.len());
    assert!(people > 0, "no people were found, so nothing was compared");
}

fn several_scales() {
    let mut random = Random::new();
    let options = Options {
        net_resolution: "-1x176".parse().unwrap(),
        scale_number: 3,
        hand_scale_number: 2,
        number_people_max: 3,
        ..Options::default()
    };
    let frames: Vec<Frame> = (0..3).map(|index| random.frame(index, 160, 120)).collect();
    let cuda = CudaOptions::default().with_batch(2);
    compare_with_cpu(SMALL.path(), cuda, options, &frames);
}

fn drawn_people_are_found() {
    let person = |x: f32, y: f32, scale: f32| coloured_people::Person { x, y, scale };
    let scenes = [
        vec![person(300.0, 10.0, 1.0)],
        vec![],
        vec![person(200.0, 30.0, 1.3), person(750.0, 40.0, 1.6)],
        (0..5).map(|index| person(110.0 + 220.7 * index as f32, 2.0, 0.9)).collect(),
    ];
    let frames: Vec<Frame> = scenes.iter().map(|scene| coloured_people::draw(1104, 624, scene)).collect();
    for precision in PRECISIONS {
        let cuda = CudaOptions::default().with_precision(precision).with_batch(2);
        let mut engine = Cuda::read(MEANINGFUL.path(), cuda, Options::default()).unwrap();
        for (scene, pose) in scenes.iter().zip(estimate(&mut engine, &frames)) {
            assert_eq!(pose.people(), scene.len(), "{precision}");
            for person in scene {
                let truth = person.keypoints();
                let off = |found: &[f32]| {
                    let places = found.chunks_exact(2).zip(&truth);
                    places.map(|(at, (x, y))| (at[0] - x).abs().max((at[1] - y).abs())).fold(0.0, f32::max)
                };
                let off = pose.coordinates().chunks_exact(2 * 137).map(off).fold(f32::MAX, f32::min);
                assert!(off <= 2.5, "{precision}: a point is off by {off} pixels");
            }
        }
    }
}

/// Checks the default precision with full-size nets that find people.
fn drawn_people_are_where_fp32_finds_them() {
    let frames: Vec<Frame> = (0..24)
        .map(|index| {
            let at = |person: usize| coloured_people::Person {
                x: 120.0 + 240.3 * person as f32 + 1.7 * index as f32,
                y: 4.0 + 0.9 * index as f32,
                scale: 0.9 + 0.1 * person as f32,
            };
            coloured_people::draw(1104, 624, &[at(0), at(1), at(2), at(3)])
        })
        .collect();
    let run = |precision: Precision| {
        let cuda = CudaOptions::default().with_precision(precision).with_batch(8);
        estimate(&mut Cuda::read(MEANINGFUL.path(), cuda, Options::default()).unwrap(), &frames)
    };
    let expected = run(Precision::Fp32);
    for precision in [Precision::Fp16x3, Precision::Tf32, Precision::Fp16] {
        let (mut all, mut near, mut worst) = (0, 0, 0.0f32);
        for (found, expected) in run(precision).iter().zip(&expected) {
            assert_eq!(found.people(), expected.people(), "{precision}");
            let points = found.coordinates().chunks_exact(2).zip(expected.coordinates().chunks_exact(2));
            for (a, b) in points {
                let off = (a[0] - b[0]).abs().max((a[1] - b[1]).abs());
                all += 1;
                near += usize::from(off <= 0.1);
                worst = worst.max(off);
            }
        }
        let share = f64::from(near as u32) / f64::from(all as u32);
        println!("{precision}: {:.3} % of {all} within 0.1 px, worst {worst:.3} px", share * 100.0);
        // OpenPose itself agrees with our fp32 in 99.95 % of the points.
        assert!(precision != Precision::Fp16x3 || share >= 0.999, "{precision}: {share}");
    }
}

fn sizes_batches_and_pauses_mix() {
    let mut random = Random::new();
    let options = Options { net_resolution: "-1x96".parse().unwrap(), ..Options::default() };
    let cuda = CudaOptions::default().with_batch(4);
    let sizes =
        [(160, 120), (160, 120), (90, 160), (200, 100), (200, 100), (200, 100), (200, 100), (200, 100)];
    let frames: Vec<Frame> =
        sizes.iter().zip(0..).map(|(&(width, height), index)| random.frame(index, width, height)).collect();
    let mut engine = Cuda::read(SMALL.path(), cuda, options).unwrap();
    let together = estimate(&mut engine, &frames);
    // The other frames in its batch do not change a frame's result.
    let alone: Vec<FramePose> =
        frames.iter().flat_map(|frame| estimate(&mut engine, std::slice::from_ref(frame))).collect();
    assert_eq!(together, alone);
    assert!(estimate(&mut engine, &[]).is_empty());
}

fn luma_and_chroma_give_the_same_people() {
    let frames = |keep_planes: bool| -> Vec<Frame> {
        let options = video::Options::default().with_keep_planes(keep_planes);
        let mut frames = Vec::new();
        for clip in ["h264_25.mp4", "crop_322x242.mp4", "mpeg2_2997.mpg"] {
            let path = common::repository("tests/clips").join(clip);
            let mut video = video::open(&path, &options).unwrap();
            frames.extend((0..5).map(|_| video.next_frame().unwrap().unwrap()));
        }
        assert!(frames.iter().all(|frame| frame.planes().is_some() == keep_planes));
        frames
    };
    let options = Options { net_resolution: "-1x176".parse().unwrap(), ..Options::default() };
    let cuda = CudaOptions::default().with_batch(3);
    let mut engine = Cuda::read(SMALL.path(), cuda, options).unwrap();
    assert!(engine.takes_planes());
    let mut run = |frames: Vec<Frame>| {
        let mut poses = Vec::new();
        for frame in frames {
            engine.push(frame).unwrap();
            engine.flush().unwrap();
            let mut pose = FramePose::default();
            assert!(engine.pop(&mut pose).unwrap());
            poses.push(pose);
        }
        poses
    };
    let (pixels, planes) = (run(frames(false)), run(frames(true)));
    assert_eq!(pixels, planes);
    let people: usize = planes.iter().map(FramePose::people).sum();
    assert!(people > 0, "no people were found, so nothing was compared");
    // Frames of both kinds in turn, which never share a batch.
    let mixed =
        frames(true).into_iter().zip(frames(false)).map(|(a, b)| if a.index() % 2 == 0 { a } else { b });
    assert_eq!(run(mixed.collect()), pixels);
}

fn a_warm_engine_allocates_nothing() {
    let mut random = Random::new();
    let options = Options { net_resolution: "-1x176".parse().unwrap(), ..Options::default() };
    let frames: Vec<Frame> = (0..12).map(|index| random.frame(index, 210, 160)).collect();
    let cuda = CudaOptions::default().with_batch(4);
    let mut engine = Cuda::read(SMALL.path(), cuda, options).unwrap();
    for _ in 0..3 {
        estimate(&mut engine, &frames);
    }
    let warm = allocations();
    assert!(warm > 0);
    for _ in 0..3 {
        estimate(&mut engine, &frames);
    }
    assert_eq!(allocations() - warm, 0);
}

fn dropped_in_the_middle() {
    let mut random = Random::new();
    let cuda = CudaOptions::default().with_batch(2);
    let mut engine = Cuda::read(SMALL.path(), cuda, Options::default()).unwrap();
    for index in 0..engine.capacity() as u64 {
        engine.push(random.frame(index, 160, 120)).unwrap();
    }
    let error = engine.push(random.frame(99, 160, 120)).unwrap_err();
    assert!(error.to_string().contains("in flight already"), "{error}");
}

fn too_large_a_frame() {
    let cuda = CudaOptions::default().with_batch(64);
    let options = Options { net_resolution: "4096x4096".parse().unwrap(), ..Options::default() };
    let mut engine = Cuda::read(SMALL.path(), cuda, options).unwrap();
    let frame_rate = FrameRate::new(25, 1).unwrap();
    let info = VideoInfo::new(4096, 4096, frame_rate);
    match engine.start_video(&info) {
        // With the small nets, it may fit on a large GPU.
        Ok(()) => println!("fits"),
        Err(error) => {
            let error = Chain(&error).to_string();
            assert!(error.contains("frames of 4096x4096") && error.contains("in batches of 64"), "{error}");
        }
    }
    for batch in [0, MAX_BATCH + 1] {
        let cuda = cuda.with_batch(batch);
        let expected = format!("batch is {batch}, expected 1 to 128");
        let error = Cuda::read(SMALL.path(), cuda, Options::default()).unwrap_err();
        assert!(error.to_string().contains(&expected), "{error}");
        let error = CudaNets::read(SMALL.path(), cuda).unwrap_err();
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

fn a_gpu_that_does_not_exist() {
    let count = gpu::detect().unwrap().gpus.len();
    let options = CudaOptions::default().with_gpu(count);
    let error = CudaNets::read(SMALL.path(), options).unwrap_err();
    assert!(error.to_string().contains(&format!("GPU {count} does not exist: there are {count}")), "{error}");
}

fn a_missing_gpu_is_explained() {
    let error = CudaNets::read(SMALL.path(), CudaOptions::default()).unwrap_err();
    assert!(error.to_string().contains("NVIDIA driver"), "{error}");
}
