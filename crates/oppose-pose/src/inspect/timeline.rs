//! A picture of a `.pose` file over time: one strip per component, with its confidence and when it was found.
//!
//! This file draws it, not a plotting library. `plotters` 0.3, the only one that makes both SVG and PNG without C, was
//! tried: it rounds everything to whole pixels, so that a slow change of confidence becomes a few steps and the letters of a
//! PNG are uneven, and its SVG cannot follow the reader's dark mode. What such a library would save is the axes, about
//! twenty lines below.

use std::io;
use std::path::{Path, PathBuf};

use tiny_skia::{Color, Paint, PathBuilder, Pixmap, Rect, Stroke, Transform};

use super::lettering::Lettering;
use super::{Span, presence_over_time};
use crate::Pose;
use crate::output_file::write_file;

const WIDTH: f32 = 1000.0;
const LEFT: f32 = 44.0;
const RIGHT: f32 = 20.0;
const TITLE: f32 = 36.0;
const STRIP: f32 = 60.0;
const GAP: f32 = 34.0;
/// Columns of a strip. If there are more frames, they share columns.
const COLUMNS: usize = (WIDTH - LEFT - RIGHT) as usize;
const TITLE_SIZE: f32 = 15.0;
const TEXT_SIZE: f32 = 12.0;
const LABEL_SIZE: f32 = 10.5;

/// What a shape is drawn with: in SVG a class, whose colours follow the reader's light or dark setting; in PNG a colour.
/// People who confuse red and green can tell these blues apart by their lightness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ink {
    Page,
    Unseen,
    Seen,
    Grid,
    Confidence,
    Text,
    Quiet,
}

impl Ink {
    const ALL: [Self; 7] =
        [Self::Page, Self::Unseen, Self::Seen, Self::Grid, Self::Confidence, Self::Text, Self::Quiet];

    fn class(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Unseen => "unseen",
            Self::Seen => "seen",
            Self::Grid => "grid",
            Self::Confidence => "confidence",
            Self::Text => "text",
            Self::Quiet => "quiet",
        }
    }

    fn light(self) -> [u8; 3] {
        match self {
            Self::Page => [255, 255, 255],
            Self::Unseen => [242, 243, 245],
            Self::Seen => [185, 217, 240],
            Self::Grid => [217, 221, 226],
            Self::Confidence => [0, 90, 156],
            Self::Text => [29, 33, 39],
            Self::Quiet => [91, 99, 110],
        }
    }

    fn dark(self) -> [u8; 3] {
        match self {
            Self::Page => [20, 23, 27],
            Self::Unseen => [28, 32, 38],
            Self::Seen => [36, 80, 110],
            Self::Grid => [52, 58, 67],
            Self::Confidence => [108, 184, 240],
            Self::Text => [232, 234, 237],
            Self::Quiet => [160, 168, 179],
        }
    }
}

/// Why a timeline cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// The name ends in neither `.svg` nor `.png`.
    #[error("{}: expected a name that ends in .svg or .png", .0.display())]
    Suffix(PathBuf),
    /// The picture cannot be encoded.
    #[error("cannot encode the picture")]
    Encode(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The picture has a strip for each of thousands of components.
    #[error("a picture of {width}x{height} pixels is too large for PNG: choose a name that ends in .svg")]
    TooLarge {
        /// Its width in pixels.
        width: u32,
        /// Its height in pixels.
        height: u32,
    },
    /// The system refuses.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// The picture: light blue where a component was found, a line for the mean confidence of its points, seconds below.
#[derive(Clone, Debug)]
pub struct Timeline {
    shapes: Vec<Shape>,
    height: f32,
}

#[derive(Clone, Debug)]
enum Shape {
    Box {
        at: [f32; 4],
        ink: Ink,
    },
    Line(Vec<[f32; 2]>),
    /// The baseline begins, or if `is_end`, ends at `at`.
    Text {
        at: [f32; 2],
        is_end: bool,
        size: f32,
        ink: Ink,
        text: String,
    },
}

impl Shape {
    fn text(at: [f32; 2], size: f32, ink: Ink, text: impl Into<String>) -> Self {
        Self::Text { at, is_end: false, size, ink, text: shown(&text.into()) }
    }

    fn text_before(at: [f32; 2], size: f32, ink: Ink, text: impl Into<String>) -> Self {
        Self::Text { at, is_end: true, size, ink, text: shown(&text.into()) }
    }
}

/// The text without characters that XML does not allow, and without those that would reverse the text after them.
fn shown(text: &str) -> String {
    let is_mark = |letter| matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let is_shown = |letter: &char| {
        !letter.is_control() && !is_mark(*letter) && !matches!(letter, '\u{fffe}' | '\u{ffff}')
    };
    text.chars().filter(is_shown).take(200).collect()
}

impl Timeline {
    /// Draws a file. The title is printed above the strips.
    pub fn new(pose: &Pose, title: &str) -> Self {
        let skeleton = &pose.header.skeleton;
        let strips = presence_over_time(pose, COLUMNS);
        let columns = COLUMNS.min(pose.frames()).max(1);
        let mut shapes = vec![Shape::text([LEFT, 22.0], TITLE_SIZE, Ink::Text, title)];
        let step = COLUMNS as f32 / columns as f32;
        for (index, (component, strip)) in skeleton.components.iter().zip(strips).enumerate() {
            let top = TITLE + index as f32 * (STRIP + GAP) + 18.0;
            let seen: usize = strip.iter().map(|span| span.seen).sum();
            let share = 100.0 * seen as f64 / pose.frames().max(1) as f64;
            let text = format!("{}: seen in {share:.1} % of the frames", component.name);
            shapes.push(Shape::text([LEFT, top - 7.0], TEXT_SIZE, Ink::Text, text));
            shapes.push(Shape::Box { at: [LEFT, top, COLUMNS as f32, STRIP], ink: Ink::Unseen });
            draw_strip(&mut shapes, &strip, top, step);
        }
        let bottom = TITLE + skeleton.components.len() as f32 * (STRIP + GAP) - GAP + 18.0;
        if pose.fps > 0.0 && pose.fps.is_finite() && pose.frames() > 0 && !skeleton.components.is_empty() {
            let seconds = pose.frames() as f32 / pose.fps;
            let each = seconds_between_labels(seconds);
            for label in 0..=(seconds / each) as usize {
                let second = label as f32 * each;
                let x = LEFT + second / seconds * COLUMNS as f32;
                shapes.push(Shape::Box { at: [x, bottom, 1.0, 5.0], ink: Ink::Quiet });
                if x < WIDTH - 60.0 {
                    let text = format!("{} s", (second * 10.0).round() / 10.0);
                    shapes.push(Shape::text([x + 3.0, bottom + 15.0], LABEL_SIZE, Ink::Quiet, text));
                }
            }
        }
        shapes.push(Shape::text(
            [LEFT, bottom + 36.0],
            LABEL_SIZE,
            Ink::Quiet,
            "Band: share of the frames in which the component was seen. Line: mean confidence of its points.",
        ));
        Self { shapes, height: bottom + 48.0 }
    }

    /// Writes the picture as SVG or PNG, as the suffix `.svg` or `.png` says. Replaces a file that exists.
    ///
    /// # Errors
    /// The path has another suffix, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TimelineError> {
        let suffix = path.extension().unwrap_or_default().to_ascii_lowercase();
        let picture = match suffix.to_str() {
            Some("svg") => self.to_svg().into_bytes(),
            Some("png") => self.to_png()?,
            _ => return Err(TimelineError::Suffix(path.to_owned())),
        };
        write_file(path, &picture, true)
            .map_err(|error| TimelineError::Write { path: path.to_owned(), source: error })
    }

    /// The picture as SVG, with text as text. Its colours follow the reader's light or dark setting.
    pub fn to_svg(&self) -> String {
        let (width, height) = (WIDTH, self.height);
        let rules = |color: fn(Ink) -> [u8; 3]| -> String {
            let rule = |ink: Ink| {
                let [red, green, blue] = color(ink);
                let property = if ink == Ink::Confidence { "fill:none;stroke" } else { "fill" };
                format!(".{}{{{property}:#{red:02x}{green:02x}{blue:02x}}}", ink.class())
            };
            Ink::ALL.into_iter().map(rule).collect()
        };
        let (light, dark) = (rules(Ink::light), rules(Ink::dark));
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"system-ui, 'DejaVu Sans', sans-serif\">\n\
             <style>{light}@media(prefers-color-scheme:dark){{{dark}}}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" class=\"page\"/>\n"
        );
        for shape in &self.shapes {
            svg += &match shape {
                Shape::Box { at: [x, y, width, height], ink } => {
                    let class = ink.class();
                    format!(
                        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" class=\"{class}\"/>\n"
                    )
                }
                Shape::Line(points) => {
                    let points: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
                    let points = points.join(" ");
                    format!(
                        "<polyline points=\"{points}\" class=\"confidence\" stroke-width=\"1.75\" stroke-linejoin=\"round\"/>\n"
                    )
                }
                Shape::Text { at: [x, y], is_end, size, ink, text } => {
                    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
                    let anchor = if *is_end { " text-anchor=\"end\"" } else { "" };
                    let class = ink.class();
                    format!(
                        "<text x=\"{x}\" y=\"{y}\" font-size=\"{size}\"{anchor} class=\"{class}\">{text}</text>\n"
                    )
                }
            };
        }
        svg + "</svg>\n"
    }

    /// The picture as PNG.
    ///
    /// # Errors
    /// The picture is too large, because the file has thousands of components.
    pub fn to_png(&self) -> Result<Vec<u8>, TimelineError> {
        let (width, height) = (WIDTH as u32, self.height as u32);
        let mut picture = Pixmap::new(width, height).ok_or(TimelineError::TooLarge { width, height })?;
        picture.fill(Color::WHITE);
        let lettering = Lettering::new();
        for shape in &self.shapes {
            match shape {
                Shape::Box { at, ink } => fill(&mut picture, *at, *ink),
                Shape::Line(points) => {
                    let mut path = PathBuilder::new();
                    for (index, &[x, y]) in points.iter().enumerate() {
                        if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
                    }
                    let stroke = Stroke { width: 1.75, ..Stroke::default() };
                    if let Some(path) = path.finish() {
                        let paint = paint(Ink::Confidence);
                        picture.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
                    }
                }
                Shape::Text { at: [x, y], is_end, size, ink, text } => {
                    let left = if *is_end { x - lettering.width(text, *size) } else { *x };
                    lettering.write(&mut picture, text, [left, *y], *size, &paint(*ink));
                }
            }
        }
        picture.encode_png().map_err(|error| TimelineError::Encode(error.into()))
    }
}

/// Draws one strip: light blue for how often the component was found, and a line that breaks where it was not.
fn draw_strip(shapes: &mut Vec<Shape>, strip: &[Span], top: f32, step: f32) {
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    for (index, span) in strip.iter().enumerate() {
        let x = LEFT + index as f32 * step;
        let seen = span.present();
        if let Some(confidence) = span.confidence() {
            // Rounded to whole pixels: two boxes that share a pixel would show a seam.
            let (left, right) = (x.round(), (x + step).round());
            let at = [left, top + STRIP * (1.0 - seen), right - left, STRIP * seen];
            shapes.push(Shape::Box { at, ink: Ink::Seen });
            // From the beginning of the column to its end, so that a single column between gaps is drawn too.
            let y = top + STRIP * (1.0 - confidence);
            line.extend([[x, y], [x + step, y]]);
        } else if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
    }
    lines.push(line);
    // Drawn in this order: the boxes, the axis over them, the lines over both.
    for (share, label) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
        let y = top + STRIP * (1.0 - share);
        shapes.push(Shape::Box { at: [LEFT - 4.0, y - 0.5, COLUMNS as f32 + 4.0, 1.0], ink: Ink::Grid });
        shapes.push(Shape::text_before([LEFT - 8.0, y + 4.0], LABEL_SIZE, Ink::Quiet, label));
    }
    shapes.extend(lines.into_iter().filter(|line| !line.is_empty()).map(Shape::Line));
}

/// An interval that gives about ten labels.
fn seconds_between_labels(seconds: f32) -> f32 {
    let steps = [0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0];
    steps.into_iter().find(|step| seconds / step <= 12.0).unwrap_or(seconds / 10.0)
}

fn fill(picture: &mut Pixmap, [x, y, width, height]: [f32; 4], ink: Ink) {
    if let Some(place) = Rect::from_xywh(x, y, width, height) {
        picture.fill_rect(place, &paint(ink), Transform::identity(), None);
    }
}

fn paint(ink: Ink) -> Paint<'static> {
    let [red, green, blue] = ink.light();
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, 255);
    paint
}
