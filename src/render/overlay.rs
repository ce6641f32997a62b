//! A clip with its poses drawn over it: a video file, or a folder of pictures.
//!
//! Decoding, drawing and encoding are three threads joined by bounded channels, so memory stays constant.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use tiny_skia::{Color, FilterQuality, Pixmap, PixmapPaint, Transform};

use super::sink::Sink;
use super::window::Window;
use super::{RenderError, draw_people, to_square_pixels};
use crate::pipeline::Cancel;
use crate::pose::{FramePose, Pose};
use crate::video::{EncoderOptions, Frame, FrameRate, MAX_PIXELS, Source};

/// How many frames may wait between two stages.
const QUEUE: usize = 4;

/// Options of an overlay.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct OverlayOptions {
    /// Show only the area where the person seen most is during the clip.
    pub crop_to_person: bool,
    /// The file whose sound is copied.
    pub audio: Option<PathBuf>,
    /// Replace an existing file, or write into a folder that is not empty.
    pub overwrite: bool,
    /// Stops the work on request; nothing is left behind except for pictures.
    pub cancel: Cancel,
}

impl OverlayOptions {
    /// The same options with `crop_to_person`.
    #[must_use]
    pub fn with_crop_to_person(mut self, crop_to_person: bool) -> Self {
        self.crop_to_person = crop_to_person;
        self
    }

    /// The same options with `audio`.
    #[must_use]
    pub fn with_audio(mut self, audio: impl Into<Option<PathBuf>>) -> Self {
        self.audio = audio.into();
        self
    }

    /// The same options with `overwrite`.
    #[must_use]
    pub fn with_overwrite(mut self, overwrite: bool) -> Self {
        self.overwrite = overwrite;
        self
    }

    /// The same options with `cancel`.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }
}

/// What was drawn.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Overlay {
    /// Pictures written, one for each frame.
    pub frames: u64,
    /// Width and height of the pictures in pixels; a video file is one pixel larger if a side is odd and the format
    /// needs it even.
    pub size: (u32, u32),
    /// Why the sound was left out, if it was.
    pub audio_left_out: Option<String>,
}

/// Draws `poses` over `video`, side by side if there are several, and writes `target`: a video if its name ends in
/// .mp4, .mov, .mkv, .webm or .gif, otherwise a folder of PNG pictures. Without a video the background is white.
/// Blocks until it is done.
///
/// The pictures have the timestamps of the video, or the frame rate of the first pose file. If the video's pixels
/// are not square, the pictures are stretched.
///
/// # Errors
/// The video cannot be read, the pose files do not belong to it or to each other, or `target` cannot be written.
pub fn overlay(
    video: Option<Box<dyn Source>>,
    poses: &[&Pose],
    target: &Path,
    options: &OverlayOptions,
) -> Result<Overlay, RenderError> {
    let first = *poses.first().ok_or(RenderError::Empty)?;
    let frames = first.frames() as u64;
    if frames == 0 {
        return Err(RenderError::Empty);
    }
    if let Some(other) = poses.iter().find(|other| other.frames() != first.frames()) {
        return Err(RenderError::Lengths { first: frames, second: other.frames() as u64 });
    }
    for pose in poses {
        let size = (u32::from(pose.header.width), u32::from(pose.header.height));
        match &video {
            Some(video) if (video.info().width, video.info().height) != size => {
                let video = (video.info().width, video.info().height);
                return Err(RenderError::Size { video, pose: size });
            }
            _ if size.0 == 0 || size.1 == 0 => return Err(RenderError::NoSize),
            _ => {}
        }
    }
    let frame_rate = match &video {
        Some(video) => video.info().frame_rate,
        None => FrameRate::from_f32(first.fps).ok_or(RenderError::Rate(first.fps))?,
    };
    let stretch = to_square_pixels(video.as_ref().map_or(1.0, |video| video.pixel_aspect()));
    let canvas = Canvas::new(poses, options.crop_to_person, stretch)?;
    let (width, height) = canvas.size;
    let encoder = EncoderOptions::new(width, height, frame_rate)
        .with_audio(options.audio.clone())
        .with_overwrite(options.overwrite);
    let mut sink = Sink::create(target, &encoder, frames)?;

    thread::scope(|scope| {
        let (decoded, to_draw) = bounded(QUEUE);
        let (drawn, to_encode) = bounded(QUEUE);
        scope.spawn(move || match video {
            Some(video) => decode(video, frames, &decoded),
            None => (0..frames).all(|_| decoded.send(Ok(None)).is_ok()),
        });
        scope.spawn(move || draw(&canvas, poses, &to_draw, &drawn));
        let mut written = 0;
        for picture in to_encode {
            let (picture, time) = picture?;
            if options.cancel.is_cancelled() {
                return Err(RenderError::Cancelled);
            }
            sink.write(written, &picture, time)?;
            written += 1;
        }
        let audio_left_out = sink.finish()?;
        Ok(Overlay { frames: written, size: (width, height), audio_left_out })
    })
}

/// A frame of the video, or `None` without a video.
type Decoded = Result<Option<Frame>, RenderError>;
/// A picture and its timestamp.
type Drawn = Result<(Pixmap, Option<Duration>), RenderError>;

/// Sends the frames; `false` if nobody wants them any more.
fn decode(mut video: Box<dyn Source>, frames: u64, decoded: &Sender<Decoded>) -> bool {
    let mut seen = 0;
    while let Some(frame) = video.next_frame().transpose() {
        seen += 1;
        let failed = frame.is_err();
        if decoded.send(frame.map(Some).map_err(RenderError::from)).is_err() || failed {
            return false;
        }
    }
    let counted = RenderError::FrameCount { video: seen, pose: frames };
    seen == frames || decoded.send(Err(counted)).is_ok()
}

fn draw(canvas: &Canvas, poses: &[&Pose], frames: &Receiver<Decoded>, drawn: &Sender<Drawn>) {
    let mut people = FramePose::default();
    for (index, frame) in frames.iter().enumerate() {
        let picture = frame.and_then(|frame| {
            let picture = canvas.draw(frame.as_ref(), poses, index, &mut people)?;
            Ok((picture, frame.and_then(|frame| frame.timestamp())))
        });
        if drawn.send(picture).is_err() {
            return;
        }
    }
}

/// Where each pose is drawn: panels side by side.
struct Canvas {
    size: (u32, u32),
    panels: Vec<Panel>,
}

/// A window of the frames and its position on the canvas.
struct Panel {
    window: Window,
    left: u32,
    width: u32,
    height: u32,
}

impl Canvas {
    fn new(poses: &[&Pose], crop_to_person: bool, stretch: (f32, f32)) -> Result<Self, RenderError> {
        let whole = |pose: &&Pose| Window::whole(u32::from(pose.header.width), u32::from(pose.header.height));
        let mut windows: Vec<Window> = poses.iter().map(whole).collect();
        if crop_to_person {
            let person = poses.iter().filter_map(|pose| Window::around_person(pose)).reduce(Window::union);
            let person = person.ok_or(RenderError::Nobody)?;
            // The same part of all of them, so that they can be compared.
            for window in &mut windows {
                let (x, y) = (person.x.min(window.width - 1), person.y.min(window.height - 1));
                let (width, height) =
                    (person.width.min(window.width - x), person.height.min(window.height - y));
                *window = Window { x, y, width, height };
            }
        }
        let mut panels = Vec::new();
        let mut size = (0, 0);
        for window in windows {
            let stretched = |side: u32, stretch: f32| (side as f32 * stretch).round() as u32;
            let (width, height) = (stretched(window.width, stretch.0), stretched(window.height, stretch.1));
            panels.push(Panel { window, left: size.0, width, height });
            size = (size.0 + width, size.1.max(height));
        }
        if u64::from(size.0) * u64::from(size.1) > MAX_PIXELS {
            return Err(RenderError::TooLarge(size.0, size.1));
        }
        Ok(Self { size, panels })
    }

    fn draw(
        &self,
        frame: Option<&Frame>,
        poses: &[&Pose],
        index: usize,
        people: &mut FramePose,
    ) -> Result<Pixmap, RenderError> {
        if let [panel] = &self.panels[..] {
            return panel.draw(frame, poses[0], index, people);
        }
        let mut canvas = blank(self.size.0, self.size.1)?;
        for (panel, pose) in self.panels.iter().zip(poses) {
            let picture = panel.draw(frame, pose, index, people)?;
            let row = self.size.0 as usize * 4;
            let rows = canvas.data_mut().chunks_exact_mut(row);
            for (row, shown) in rows.zip(picture.data().chunks_exact(panel.width as usize * 4)) {
                row[panel.left as usize * 4..][..shown.len()].copy_from_slice(shown);
            }
        }
        Ok(canvas)
    }
}

impl Panel {
    /// One pose over its frame.
    fn draw(
        &self,
        frame: Option<&Frame>,
        pose: &Pose,
        index: usize,
        people: &mut FramePose,
    ) -> Result<Pixmap, RenderError> {
        let window = self.window;
        let stretch = (self.width as f32 / window.width as f32, self.height as f32 / window.height as f32);
        let mut picture = blank(self.width, self.height)?;
        match frame {
            Some(frame) if stretch == (1.0, 1.0) => copy_window(frame, window, &mut picture),
            Some(frame) => {
                let mut stored = blank(window.width, window.height)?;
                copy_window(frame, window, &mut stored);
                let paint = PixmapPaint { quality: FilterQuality::Bilinear, ..PixmapPaint::default() };
                let stretch = Transform::from_scale(stretch.0, stretch.1);
                picture.draw_pixmap(0, 0, stored.as_ref(), &paint, stretch, None);
            }
            None => {}
        }
        pose.copy_frame(index, people);
        let placement = Transform::from_translate(-(window.x as f32), -(window.y as f32));
        let placement = placement.post_scale(stretch.0, stretch.1);
        draw_people(&mut picture, &pose.header.skeleton, people, placement);
        Ok(picture)
    }
}

/// A white picture.
fn blank(width: u32, height: u32) -> Result<Pixmap, RenderError> {
    let mut picture = Pixmap::new(width, height).ok_or(RenderError::TooLarge(width, height))?;
    picture.fill(Color::WHITE);
    Ok(picture)
}

/// Copies the window of a frame; both have the same size.
fn copy_window(frame: &Frame, window: Window, picture: &mut Pixmap) {
    let rows = frame.pixels().chunks_exact(frame.width() as usize * 3).skip(window.y as usize);
    for (row, bgr) in picture.data_mut().chunks_exact_mut(window.width as usize * 4).zip(rows) {
        let bgr = &bgr.as_chunks::<3>().0[window.x as usize..];
        for (pixel, &[blue, green, red]) in row.as_chunks_mut::<4>().0.iter_mut().zip(bgr) {
            *pixel = [red, green, blue, 255];
        }
    }
}
