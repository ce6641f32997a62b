//! Chooses the video track to read.

use std::collections::HashMap;

use ffmpeg_next::format::context::Input;
use ffmpeg_next::format::stream::Disposition;
use ffmpeg_next::{Stream, codec, media};

use super::{Note, VideoError};

/// A track with this many times the frames of another is the moving one, and the other is a slide show.
const MANY_TIMES: u64 = 10;

/// The number of frames of each stream seen so far, by the stream's index in the file.
pub(super) type Seen = HashMap<usize, u64>;

/// Whether a stream is a video track. The cover art of a sound file is not.
fn is_track(stream: &Stream<'_>) -> bool {
    stream.parameters().medium() == media::Type::Video
        && !stream.disposition().contains(Disposition::ATTACHED_PIC)
}

/// The number of frames of a stream according to the file.
fn counted(stream: &Stream<'_>) -> Option<u64> {
    if let Ok(frames @ 1..) = u64::try_from(stream.frames()) {
        return Some(frames);
    }
    // The tag that mkvmerge writes.
    let metadata = stream.metadata();
    let tag = metadata.get("NUMBER_OF_FRAMES").or_else(|| metadata.get("NUMBER_OF_FRAMES-eng"));
    tag.and_then(|tag| tag.parse().ok()).filter(|&frames| frames > 0)
}

/// Whether frames have to be read ahead to tell the tracks apart.
pub(super) fn need_a_look(input: &Input) -> bool {
    let tracks = || input.streams().filter(is_track);
    tracks().count() > 1 && tracks().any(|stream| counted(&stream).is_none())
}

/// Whether enough frames were seen to tell the tracks apart: more of each than a still picture has.
pub(super) fn are_told_apart(input: &Input, seen: &Seen) -> bool {
    input.streams().filter(is_track).all(|stream| seen.get(&stream.index()).is_some_and(|&frames| frames > 1))
}

/// The index in the file of the stream to read, and what to note about it.
pub(super) fn choose(
    input: &Input,
    seen: &Seen,
    wanted: Option<usize>,
) -> Result<(usize, Option<Note>), VideoError> {
    let tracks: Vec<Stream<'_>> = input.streams().filter(is_track).collect();
    let frames =
        |stream: &Stream<'_>| counted(stream).or_else(|| seen.get(&stream.index()).copied()).unwrap_or(0);
    let words = || tracks.iter().map(|stream| describe(stream, frames(stream))).collect::<Vec<_>>();
    let chosen = match wanted {
        Some(wanted) if wanted < tracks.len() => wanted,
        Some(wanted) if !tracks.is_empty() => {
            return Err(VideoError::NoSuchTrack { wanted, tracks: words() });
        }
        _ => {
            let best = input.streams().best(media::Type::Video).map(|stream| stream.index());
            let best = tracks.iter().position(|stream| Some(stream.index()) == best).unwrap_or(0);
            // Reversed, because `max_by_key` returns the last of several equals, and the first is meant.
            let longest = (0..tracks.len()).rev().max_by_key(|&track| frames(&tracks[track]));
            let longest = longest.ok_or_else(|| VideoError::NoVideoStream(what_else(input)))?;
            let (of_best, of_longest) = (frames(&tracks[best]), frames(&tracks[longest]));
            let is_still = of_best <= 1 && of_longest > 1;
            let is_slides = tracks.iter().all(|stream| counted(stream).is_some())
                && of_best.saturating_mul(MANY_TIMES) < of_longest;
            if is_still || is_slides { longest } else { best }
        }
    };
    let note = (tracks.len() > 1).then(|| Note::Tracks { chosen, tracks: words() });
    Ok((tracks[chosen].index(), note))
}

fn describe(stream: &Stream<'_>, frames: u64) -> String {
    let parameters = stream.parameters();
    let mut words = parameters.id().name().to_owned();
    let size = codec::Context::from_parameters(parameters).ok().and_then(|it| it.encoder().video().ok());
    if let Some(size) = size.filter(|size| size.width() > 0) {
        words += &format!(" {}x{}", size.width(), size.height());
    }
    match (counted(stream), frames) {
        (_, 1) => words += ", a still picture",
        (Some(frames), _) => words += &format!(", {frames} frames"),
        _ => {}
    }
    words
}

/// What the file holds instead of a video.
fn what_else(input: &Input) -> String {
    let mut kinds: Vec<String> = input
        .streams()
        .map(|stream| format!("{:?}", stream.parameters().medium()).to_lowercase())
        .map(|kind| if kind == "video" { "a cover picture".to_owned() } else { kind })
        .collect();
    kinds.dedup();
    if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(", ") }
}
