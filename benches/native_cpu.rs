//! Seconds and GFLOP/s of the full-size nets on this machine's CPU, compared with its peak.
//!
//! `cargo bench --bench native_cpu [-- body|face|hand|load|sizes|batches|memory|frames]`, with `OPPOSE_INSTRUCTIONS=avx2` or
//! `portable` for other instructions than the best available. GFLOP/s count the operations of a direct convolution, so
//! they can exceed the peak.

// The peak is measured with intrinsics.
#![allow(unsafe_code, clippy::unwrap_used)]

#[path = "../tests/common/coloured_people.rs"]
mod coloured_people;
#[path = "../tests/common/made_up_models.rs"]
mod made_up_models;
#[path = "../tests/common/meaningful_models.rs"]
mod meaningful_models;

use std::env;
use std::fs;
use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use made_up_models::{Size, make};
use oppose::engine::Engine;
use oppose::engine::native::cpu::{Cpu, Instructions, Net as CpuNet, Processor};
use oppose::engine::native::model::{Graph, Net};
use oppose::engine::native::{Native, Options};
use oppose::pose::FramePose;

const NETS: [(&str, Net, usize, usize); 3] =
    [("body", Net::Body25, 496, 368), ("face", Net::Face, 368, 368), ("hand", Net::Hand, 368, 368)];

fn main() {
    let chosen: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_chosen = |name: &str| chosen.is_empty() || chosen.iter().any(|chosen| chosen == name);
    if chosen.iter().any(|chosen| chosen == "frames") {
        frames();
        return;
    }
    let instructions = match env::var("OPPOSE_INSTRUCTIONS").as_deref() {
        Ok("avx2") => Instructions::Avx2,
        Ok("portable") => Instructions::Portable,
        _ => Instructions::best(),
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let threads = if cores == 1 { vec![1] } else { vec![1, cores] };
    println!("{instructions:?}, {cores} cores");
    for &threads in &threads {
        println!("peak with {threads} threads: {:.0} GFLOP/s", peak(instructions, threads));
    }

    println!("\n| net | size | batch | threads | load s | seconds per image | GFLOP/s | fraction of peak |");
    println!("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for &threads in threads.iter().rev() {
        let processor = Arc::new(Processor::with_instructions(threads, instructions).unwrap());
        for (name, net, width, height) in NETS {
            let is_last = threads == cores;
            if !is_chosen(name) && !(is_last && (is_chosen("sizes") || is_chosen("batches"))) {
                continue;
            }
            let graph = graph(net);
            let count = |width, height| graph.operations(width, height) as f64;
            let (at_once, half) = (count(width, height), count(width / 32 * 16, height / 32 * 16));
            let large = count(width / 16 * 24, height / 16 * 24);
            let start = Instant::now();
            let mut net = CpuNet::new(graph, Arc::clone(&processor));
            let load = start.elapsed().as_secs_f64();
            let mut row = |width: usize, height: usize, batch: usize, operations: f64| {
                let seconds = time(&mut net, width, height, batch) / batch as f64;
                let speed = operations / seconds / 1e9;
                let share = speed / peak(instructions, threads);
                println!(
                    "| {name} | {width}x{height} | {batch} | {threads} | {load:.2} | {seconds:.3} | {speed:.0} | {share:.2} |"
                );
            };
            row(width, height, 1, at_once);
            if is_last && is_chosen("sizes") {
                row(width / 32 * 16, height / 32 * 16, 1, half);
                row(width / 16 * 24, height / 16 * 24, 1, large);
            }
            if is_last && name != "body" && is_chosen("batches") {
                row(width, height, 2, at_once);
                row(width, height, 4, at_once);
            }
        }
    }
    if is_chosen("memory") {
        memory();
    }
}

/// Frames per second with one person with face and hands, 640x480, and a thread for each core this process may use: run
/// it under `taskset -c 0-7` for eight. First one frame at a time, then several at once.
fn frames() {
    let threads = thread::available_parallelism().unwrap();
    let folder = tempfile::tempdir().unwrap();
    meaningful_models::write(folder.path(), Size::Full);
    let person = [coloured_people::Person { x: 320.0, y: 10.0, scale: 1.3 }];
    let mut first: Option<Vec<FramePose>> = None;
    for at_once in [false, true] {
        let cpu = Cpu::read(folder.path(), Some(threads)).unwrap();
        let backends = if at_once { cpu.for_all_threads() } else { vec![cpu] };
        let lanes = backends.len();
        let mut engine = Native::with_backends(backends, Options::default()).unwrap();
        let count = (2 * lanes).max(threads.get()).max(4);
        let mut run = |count: usize| {
            let (mut poses, mut pushed) = (Vec::new(), 0);
            while poses.len() < count {
                while pushed < count && pushed - poses.len() < engine.capacity() {
                    engine.push(coloured_people::draw(640, 480, &person)).unwrap();
                    pushed += 1;
                }
                let mut pose = FramePose::default();
                assert!(engine.pop(&mut pose).unwrap());
                poses.push(pose);
            }
            poses
        };
        run(lanes);
        let start = Instant::now();
        let poses = run(count);
        let seconds = start.elapsed().as_secs_f64();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
        println!(
            "{threads} threads, {lanes} frames at once: {:.3} frames per second, {:.3} s per frame; {peak}",
            count as f64 / seconds,
            seconds / count as f64
        );
        assert_eq!(poses[0].people(), 1);
        let expected = first.get_or_insert_with(|| poses.clone());
        assert!(poses.iter().all(|pose| *pose == expected[0]), "the result depends on the other frames");
    }
}

fn graph(net: Net) -> Graph {
    let model = make(net, Size::Full);
    Graph::from_bytes(model.prototxt.as_bytes(), &model.caffemodel).unwrap()
}

/// The median of a few runs.
fn time(net: &mut CpuNet, width: usize, height: usize, batch: usize) -> f64 {
    let inputs: Vec<f32> =
        (0..batch * 3 * width * height).map(|index| ((index * 7919) % 256) as f32 / 256.0 - 0.5).collect();
    let mut outputs = Vec::new();
    let mut once = || {
        let start = Instant::now();
        net.run(&inputs, batch, width, height, &mut outputs).unwrap();
        start.elapsed().as_secs_f64()
    };
    once();
    let mut times: Vec<f64> = (0..5).map(|_| once()).collect();
    times.sort_by(f64::total_cmp);
    times[2]
}

/// The peak memory of the program with all three nets loaded and run, body at 656 x 368.
fn memory() {
    // In a child process, so that earlier measurements do not count.
    if env::var_os("OPPOSE_MEMORY").is_none() {
        let program = env::current_exe().unwrap();
        let status = std::process::Command::new(program).arg("memory").env("OPPOSE_MEMORY", "1").status();
        assert!(status.unwrap().success());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    made_up_models::write(folder.path(), Size::Full);
    let processor = Arc::new(Processor::new(0).unwrap());
    let mut nets = Vec::new();
    // Resets the peak, to leave out the creation of the models.
    let _ = fs::write("/proc/self/clear_refs", "5");
    for (_, net, _, _) in NETS {
        nets.push(CpuNet::new(net.read(folder.path()).unwrap(), Arc::clone(&processor)));
    }
    let mut outputs = Vec::new();
    for (net, (width, batch)) in nets.iter_mut().zip([(656, 1), (368, 1), (368, 2)]) {
        net.run(&vec![0.1; batch * 3 * width * 368], batch, width, 368, &mut outputs).unwrap();
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS")) {
        println!("{line}");
    }
}

/// Multiplications and additions per second, in registers only, in units of 10^9.
fn peak(instructions: Instructions, threads: usize) -> f64 {
    const ROUNDS: usize = 20_000_000;
    let start = Instant::now();
    let lanes = thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(|| peak_loop(instructions, ROUNDS))).collect();
        all.into_iter().map(|thread| thread.join().unwrap()).max().unwrap()
    });
    (2 * lanes * ROUNDS * threads) as f64 / start.elapsed().as_secs_f64() / 1e9
}

/// Returns the number of multiplications per round.
#[cfg(target_arch = "x86_64")]
fn peak_loop(instructions: Instructions, rounds: usize) -> usize {
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f")]
    fn avx512(rounds: usize) {
        let factor = black_box(_mm512_set1_ps(0.999));
        let mut sums = [_mm512_set1_ps(1.0); 12];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_fmadd_ps(*sum, factor, factor);
            }
        }
        black_box(sums);
    }
    #[target_feature(enable = "avx2,fma")]
    fn avx2(rounds: usize) {
        let factor = black_box(_mm256_set1_ps(0.999));
        let mut sums = [_mm256_set1_ps(1.0); 12];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm256_fmadd_ps(*sum, factor, factor);
            }
        }
        black_box(sums);
    }
    match instructions {
        Instructions::Avx512 => {
            assert!(instructions.is_available());
            // SAFETY: the processor has just been found to have these instructions.
            unsafe { avx512(rounds) };
            12 * 16
        }
        Instructions::Avx2 => {
            assert!(instructions.is_available());
            // SAFETY: the processor has just been found to have these instructions.
            unsafe { avx2(rounds) };
            12 * 8
        }
        _ => portable(rounds),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn peak_loop(_: Instructions, rounds: usize) -> usize {
    portable(rounds)
}

fn portable(rounds: usize) -> usize {
    let factor = black_box(0.999_f32);
    let mut sums = [1.0_f32; 48];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = *sum * factor + factor;
        }
    }
    black_box(sums);
    48
}
