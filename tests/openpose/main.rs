//! Comparisons with the real OpenPose: a build of it without a GPU, in `$OPENPOSE_DIR`.
#![allow(clippy::unwrap_used)] // A test ends where something is wrong.

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
    // Some measure the memory of this process, to which others would add.
    common::run_modules_in_turn(vec![
        ("native_openpose", native_openpose::trials()),
        ("openpose_library", openpose_library::trials()),
    ]);
}
