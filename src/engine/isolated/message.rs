//! What the two processes say to each other: a line of JSON, after some of them raw bytes.

use std::io::{self, BufRead, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Longer lines are not ours.
const LONGEST_LINE: u64 = 1 << 16;

/// From the process that has the video.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Answered by `Started` or `Unsuitable`.
    StartVideo { width: u32, height: u32, frame_rate: (u32, u32), announced_frames: Option<u64> },
    /// Followed by the frame's pixels. Not answered.
    Push { index: u64, nanoseconds: Option<u64>, width: u32, height: u32 },
    /// Not answered.
    Flush,
    /// Answered by `Pose` or `Empty`.
    Pop,
}

/// From the process that has the engine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    /// The first: the engine is there.
    Ready { capacity: usize, points: usize, dimensions: usize },
    /// The engine takes frames of this video.
    Started,
    /// It does not; it is as usable as before.
    Unsuitable(String),
    /// Followed by the coordinates and the confidences, as little-endian `f32`.
    Pose { people: usize },
    /// Nothing is in flight.
    Empty,
    /// The engine has failed or could not be had; the last.
    Failed(String),
}

/// Writes a message; the caller flushes.
pub(super) fn write(message: &impl Serialize, output: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *output, message)?;
    output.write_all(b"\n")
}

/// Reads a message; `None` where the other side has ended.
pub(super) fn read<T: DeserializeOwned>(input: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    if line.pop() != Some(b'\n') {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(&line)?))
}

pub(super) fn write_numbers(numbers: &[f32], output: &mut impl Write) -> io::Result<()> {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    output.write_all(&bytes)
}

pub(super) fn read_numbers(numbers: &mut [f32], input: &mut impl Read) -> io::Result<()> {
    let mut bytes = vec![0; size_of_val(numbers)];
    input.read_exact(&mut bytes)?;
    for (number, bytes) in numbers.iter_mut().zip(bytes.as_chunks().0) {
        *number = f32::from_le_bytes(*bytes);
    }
    Ok(())
}
