//! What the two processes say to each other.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::Chain;
use crate::engine::{EngineError, EngineErrorKind, EngineInfo};

/// From the process that has the video.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request {
    /// Answered by `Info`.
    Info,
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
    /// The first: the engine is open.
    Ready { capacity: usize, points: usize, dimensions: usize },
    /// Which engine it is.
    Info(EngineInfo),
    /// The engine takes frames of this video.
    Started,
    /// It does not; it is as usable as before.
    Unsuitable(String),
    /// Followed by the coordinates and the confidences, as little-endian `f32`.
    Pose { people: usize },
    /// Nothing is in flight.
    Empty,
    /// The engine has failed or could not be opened; the last.
    Failed { reason: String, is_device: bool },
}

impl Reply {
    /// That the engine has failed, or could not be opened.
    pub(super) fn failed(error: &EngineError) -> Self {
        Self::Failed { reason: Chain(error).to_string(), is_device: error.kind() == EngineErrorKind::Device }
    }
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
