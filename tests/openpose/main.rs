//! Comparisons with the real OpenPose: a build of it without a GPU, in `$OPENPOSE_DIR`.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/made_up_models.rs"]
mod made_up_models;
mod native_openpose;
#[path = "../common/npy.rs"]
mod npy;
#[path = "../common/openpose_json.rs"]
mod openpose_json;
mod openpose_library;

fn main() {
    // One at a time, since some tests measure the memory of this process.
    common::run_modules_one_at_a_time(vec![
        ("native_openpose", native_openpose::trials()),
        ("openpose_library", openpose_library::trials()),
    ]);
}
