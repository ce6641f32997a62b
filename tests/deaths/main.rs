//! Deaths: of engines, processes and decoders, at every instant. Whatever dies, it costs its own video and no other.

#![allow(clippy::unwrap_used)] // A test is a program of its own here: Clippy does not see that it is one.

#[path = "../common/mod.rs"]
mod common;
mod decoder;
mod dying;
mod instants;
#[path = "../common/made_up_models.rs"]
mod made_up_models;
mod program;
#[path = "../common/real_slurm.rs"]
mod real_slurm;
mod scene;

fn main() {
    if dying::run_as_child() {
        return;
    }
    common::run_modules_in_turn(vec![
        ("instants", instants::trials()),
        ("decoder", decoder::trials()),
        ("program", program::trials()),
    ])
}
