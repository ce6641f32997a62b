//! Decoding, drawing and encoding, compared with the programs ffmpeg and ffprobe.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

#[path = "../common/mod.rs"]
mod common;
mod flat_memory;
mod render;
mod render_sound;
mod video_cases;
mod video_clips;

fn main() {
    if video_clips::is_reader() {
        return video_clips::read_stdin();
    }
    common::run_modules(vec![
        ("flat_memory", flat_memory::trials()),
        ("render", render::trials()),
        ("render_sound", render_sound::trials()),
        ("video_clips", video_clips::trials()),
        ("video_cases", video_cases::trials()),
    ]);
}
