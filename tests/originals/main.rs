//! Comparisons with the original Python packages: MediaPipe and pose-format.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

#[path = "../common/mod.rs"]
mod common;
mod holistic_original;
mod holistic_program;
mod pose_format;
mod python_package;
mod reductions;

fn main() {
    common::run_modules(vec![
        ("holistic_original", holistic_original::trials()),
        ("pose_format", pose_format::trials()),
        ("python_package", python_package::trials()),
        ("reductions", reductions::trials()),
        ("holistic_program", holistic_program::trials()),
    ]);
}
