//! Makes what tests and benchmarks run on when OpenPose's own nets are not available: nets made up by a formula or by
//! hand, and drawn people that the latter find.
//!
//!     cargo run --release --example test_material -- models FOLDER full|meaningful|small
//!     cargo run --release --example test_material -- people 2 1104x624 100 |
//!         ffmpeg -f rawvideo -pix_fmt bgr24 -s 1104x624 -r 30 -i - -c:v ffv1 -pix_fmt bgr0 people.mkv
//!
//! `full` and `meaningful` have as many channels as OpenPose's nets. The people move from frame to frame. The colours must
//! reach the nets as drawn, so the video has to be stored losslessly, in RGB.
#![allow(clippy::unwrap_used)] // A tool for tests should end on the first error.

#[path = "../tests/common/coloured_people.rs"]
mod coloured_people;
#[path = "../tests/common/made_up_models.rs"]
mod made_up_models;
#[path = "../tests/common/meaningful_models.rs"]
mod meaningful_models;

use std::env;
use std::io::{self, Write as _};
use std::path::Path;

use coloured_people::{Person, draw};
use made_up_models::Size;

/// The width and height of a person at scale 1, with a black margin.
const PERSON: (f32, f32) = (234.0, 344.0);

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["models", folder, kind] => write_models(Path::new(folder), kind),
        ["people", count, size, frames] => {
            let (width, height) = size.split_once('x').expect("a size such as 640x480");
            let size = (width.parse().unwrap(), height.parse().unwrap());
            draw_people(count.parse().unwrap(), size, frames.parse().unwrap());
        }
        _ => panic!("either: models FOLDER full|meaningful|small, or: people COUNT WIDTHxHEIGHT FRAMES"),
    }
}

fn write_models(folder: &Path, kind: &str) {
    match kind {
        "full" => made_up_models::write(folder, Size::Full),
        "small" => made_up_models::write(folder, Size::Small),
        "meaningful" => meaningful_models::write(folder, Size::Full),
        _ => panic!("full, meaningful or small, not {kind}"),
    }
}

/// Writes frames of `count` people, each of whom walks back and forth in a cell of their own.
fn draw_people(count: usize, (width, height): (usize, usize), frames: usize) {
    // The number of rows is the one with which the people are largest.
    let scale = |rows: usize| {
        let columns = count.div_ceil(rows).max(1);
        (width as f32 / columns as f32 / PERSON.0).min(height as f32 / rows as f32 / PERSON.1)
    };
    let rows = (1..=count.max(1)).max_by(|&a, &b| scale(a).total_cmp(&scale(b))).unwrap_or(1);
    let columns = count.div_ceil(rows).max(1);
    let size = scale(rows).min(2.0);
    assert!(size >= 0.9, "{count} people do not fit into {width}x{height}: their scale would be {size:.2}");
    let cell = (width as f32 / columns as f32, height as f32 / rows as f32);
    let free = (cell.0 - size * PERSON.0, cell.1 - size * PERSON.1);
    let mut out = io::stdout().lock();
    for frame in 0..frames {
        let person = |index: usize| {
            let sway = (frame as f32 * 0.21 + index as f32).sin();
            let (column, row) = ((index % columns) as f32, (index / columns) as f32);
            Person {
                x: (column + 0.5) * cell.0 + 0.45 * free.0 * sway,
                y: row * cell.1 + 2.0 * size + 0.4 * free.1 * (1.0 + sway),
                scale: size,
            }
        };
        let people: Vec<Person> = (0..count).map(person).collect();
        out.write_all(draw(width, height, &people).pixels()).unwrap();
    }
}
