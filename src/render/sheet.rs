//! A contact sheet: one picture that shows a clip at a glance.

use std::path::Path;

use tiny_skia::{FilterQuality, IntSize, Pixmap, PixmapPaint, Transform};

use super::{RenderError, draw_people, to_square_pixels};
use crate::output_file::write_file;
use crate::pose::{FramePose, Pose};
use crate::video::{Frame, Source};

/// The largest width of a cell; smaller frames are shown in their own size.
const CELL_WIDTH: u32 = 640;

/// A picture of several frames with their poses.
#[derive(Debug)]
pub struct Sheet(Pixmap);

impl Sheet {
    /// Writes the picture as PNG.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), RenderError> {
        let png = self.0.encode_png().map_err(|error| RenderError::Encode(error.into()))?;
        write_file(path, &png, true).map_err(|source| RenderError::Write { path: path.to_owned(), source })
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.0.width(), self.0.height())
    }
}

/// Draws `pose` over frames of `video`, evenly spread over its length: at most `columns * rows` of them. Blocks
/// until the video has been decoded.
///
/// # Errors
/// The video cannot be read, or `pose` was not made from it.
pub fn contact_sheet(
    video: &mut dyn Source,
    pose: &Pose,
    columns: u32,
    rows: u32,
) -> Result<Sheet, RenderError> {
    let frames = pose.frames() as u64;
    let info = video.info().clone();
    let (width, height) = (u32::from(pose.header.width), u32::from(pose.header.height));
    if (width, height) != (info.width, info.height) {
        return Err(RenderError::Size { video: (info.width, info.height), pose: (width, height) });
    }
    let cells = (u64::from(columns) * u64::from(rows)).clamp(1, frames.max(1));
    if frames == 0 {
        return Err(RenderError::Empty);
    }
    let columns = columns.clamp(1, cells as u32);
    let rows = (cells as u32).div_ceil(columns);
    // The middle of each of `cells` equal spans.
    let shown: Vec<u64> = (0..cells).map(|cell| (2 * cell + 1) * frames / (2 * cells)).collect();

    let stretch = to_square_pixels(video.pixel_aspect());
    let (shown_width, shown_height) = (width as f32 * stretch.0, height as f32 * stretch.1);
    let scale = (CELL_WIDTH as f32 / shown_width).min(1.0);
    let cell_width = ((shown_width * scale).round() as u32).max(1);
    let cell_height = ((shown_height * scale).round() as u32).max(1);
    let (sheet_width, sheet_height) = (cell_width * columns, cell_height * rows);
    let mut sheet =
        Pixmap::new(sheet_width, sheet_height).ok_or(RenderError::TooLarge(sheet_width, sheet_height))?;

    let mut people = FramePose::default();
    let mut seen = 0;
    let mut cell = 0;
    while let Some(frame) = video.next_frame()? {
        seen += 1;
        if shown.get(cell) != Some(&frame.index()) {
            continue;
        }
        let picture = cell_picture(&frame, pose, &mut people, cell_width, cell_height)?;
        let x = (cell as u32 % columns * cell_width) as i32;
        let y = (cell as u32 / columns * cell_height) as i32;
        sheet.draw_pixmap(x, y, picture.as_ref(), &PixmapPaint::default(), Transform::identity(), None);
        cell += 1;
    }
    if seen != frames {
        return Err(RenderError::FrameCount { video: seen, pose: frames });
    }
    Ok(Sheet(sheet))
}

fn cell_picture(
    frame: &Frame,
    pose: &Pose,
    people: &mut FramePose,
    width: u32,
    height: u32,
) -> Result<Pixmap, RenderError> {
    let mut cell = Pixmap::new(width, height).ok_or(RenderError::TooLarge(width, height))?;
    let whole = picture(frame)?;
    let shrink =
        Transform::from_scale(width as f32 / frame.width() as f32, height as f32 / frame.height() as f32);
    let paint = PixmapPaint { quality: FilterQuality::Bilinear, ..PixmapPaint::default() };
    cell.draw_pixmap(0, 0, whole.as_ref(), &paint, shrink, None);
    pose.copy_frame(frame.index() as usize, people);
    draw_people(&mut cell, &pose.header.skeleton, people, shrink);
    Ok(cell)
}

/// The frame as an opaque RGBA picture.
fn picture(frame: &Frame) -> Result<Pixmap, RenderError> {
    let too_large = RenderError::TooLarge(frame.width(), frame.height());
    let rgba = frame.pixels().chunks_exact(3).flat_map(|bgr| [bgr[2], bgr[1], bgr[0], 255]).collect();
    let size = IntSize::from_wh(frame.width(), frame.height()).ok_or(too_large)?;
    Pixmap::from_vec(rgba, size).ok_or(RenderError::TooLarge(frame.width(), frame.height()))
}
