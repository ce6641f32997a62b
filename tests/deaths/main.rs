//! Deaths of engines, processes and decoders at every possible moment. Whatever dies, no video fails but the one that
//! caused it.

#![allow(clippy::unwrap_used)] // Clippy does not recognise tests without the standard harness.

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
    common::run_modules_one_at_a_time(vec![
        ("instants", instants::trials()),
        ("decoder", decoder::trials()),
        ("program", program::trials()),
    ])
}
