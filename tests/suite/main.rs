//! The program and the nets. Each test lists what it needs from outside; if that is missing, the test is reported as
//! ignored, with the reason.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

mod batch;
#[path = "../common/coloured_people.rs"]
mod coloured_people;
mod command_line;
#[path = "../common/mod.rs"]
mod common;
mod convert;
#[path = "../common/cuda_recording.rs"]
mod cuda_recording;
mod doctor;
mod files;
mod formats;
mod holistic_people;
mod inspect;
#[path = "../common/made_up_models.rs"]
mod made_up_models;
#[path = "../common/meaningful_models.rs"]
mod meaningful_models;
mod native_cpu;
mod native_golden;
mod native_program;
#[path = "../common/npy.rs"]
mod npy;
mod openpose_faults;
#[path = "../common/openpose_json.rs"]
mod openpose_json;
mod publishing;
#[path = "../common/recording.rs"]
mod recording;
#[path = "../common/reference_executor.rs"]
mod reference_executor;
#[path = "../common/small_disk.rs"]
mod small_disk;
mod video_to_pose;

fn main() {
    common::run_modules(vec![
        ("batch", batch::trials()),
        ("command_line", command_line::trials()),
        ("convert", convert::trials()),
        ("doctor", doctor::trials()),
        ("inspect", inspect::trials()),
        ("native_cpu", native_cpu::trials()),
        ("native_golden", native_golden::trials()),
        ("native_program", native_program::trials()),
        ("openpose_faults", openpose_faults::trials()),
        ("publishing", publishing::trials()),
        ("files", files::trials()),
        ("formats", formats::trials()),
        ("holistic_people", holistic_people::trials()),
        ("video_to_pose", video_to_pose::trials()),
    ]);
}
