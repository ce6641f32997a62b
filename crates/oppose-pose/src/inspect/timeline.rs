//! A `.pose` file over time, as a picture: a strip a component, with its confidence and where it was seen.

use std::io;
use std::path::{Path, PathBuf};

use font8x8::{BASIC_FONTS, UnicodeFonts as _};
use tiny_skia::{Color, Paint, PathBuilder, Pixmap, Rect, Stroke, Transform};

use super::{Span, presence_over_time};
use crate::Pose;
use crate::output_file::write_file;

const WIDTH: f32 = 1000.0;
const LEFT: f32 = 20.0;
const TITLE: f32 = 24.0;
const STRIP: f32 = 60.0;
const GAP: f32 = 26.0;
/// Columns of a strip: more frames share them.
const COLUMNS: usize = (WIDTH - 2.0 * LEFT) as usize;

const SEEN: [u8; 3] = [213, 232, 246];
const UNSEEN: [u8; 3] = [240, 240, 240];
const CONFIDENCE: [u8; 3] = [0, 90, 160];
const TEXT: [u8; 3] = [40, 40, 40];

/// Why a timeline cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// The name says neither SVG nor PNG.
    #[error("{}: expected a name that ends in .svg or .png", .0.display())]
    Suffix(PathBuf),
    /// The picture cannot be encoded.
    #[error("cannot encode the picture: {0}")]
    Encode(String),
    /// The system refuses.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// Where to.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The picture: light blue where a component was seen, a line for the mean confidence of its points, seconds below.
#[derive(Clone, Debug)]
pub struct Timeline {
    shapes: Vec<Shape>,
    height: f32,
}

#[derive(Clone, Debug)]
enum Shape {
    Box { at: [f32; 4], color: [u8; 3] },
    Line(Vec<[f32; 2]>),
    Text { at: [f32; 2], text: String },
}

impl Timeline {
    /// Of a file.
    pub fn new(pose: &Pose, title: &str) -> Self {
        let skeleton = &pose.header.skeleton;
        let strips = presence_over_time(pose, COLUMNS);
        let columns = COLUMNS.min(pose.frames()).max(1);
        let mut shapes = vec![Shape::Text { at: [LEFT, 8.0], text: title.to_owned() }];
        let step = COLUMNS as f32 / columns as f32;
        for (index, (component, strip)) in skeleton.components.iter().zip(strips).enumerate() {
            let top = TITLE + index as f32 * (STRIP + GAP) + 16.0;
            let seen: usize = strip.iter().map(|span| span.seen).sum();
            let share = 100.0 * seen as f64 / pose.frames().max(1) as f64;
            let text = format!("{}: seen in {share:.1} % of the frames", component.name);
            shapes.push(Shape::Text { at: [LEFT, top - 12.0], text });
            shapes.push(Shape::Box { at: [LEFT, top, COLUMNS as f32, STRIP], color: UNSEEN });
            draw_strip(&mut shapes, &strip, top, step);
        }
        let bottom = TITLE + skeleton.components.len() as f32 * (STRIP + GAP) + 8.0;
        if pose.fps > 0.0 && pose.fps.is_finite() && pose.frames() > 0 {
            let seconds = pose.frames() as f32 / pose.fps;
            let each = seconds_between_labels(seconds);
            for label in 0..=(seconds / each) as usize {
                let second = label as f32 * each;
                let x = LEFT + second / seconds * COLUMNS as f32;
                shapes.push(Shape::Box { at: [x, bottom - 8.0, 1.0, 6.0], color: TEXT });
                if x < WIDTH - 60.0 {
                    shapes.push(Shape::Text {
                        at: [x + 3.0, bottom],
                        text: format!("{} s", (second * 10.0).round() / 10.0),
                    });
                }
            }
        }
        Self { shapes, height: bottom + 16.0 }
    }

    /// Writes the picture; the suffix says as what, `.svg` or `.png`.
    ///
    /// # Errors
    /// The suffix is another, or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TimelineError> {
        let suffix = path.extension().unwrap_or_default().to_ascii_lowercase();
        let picture = match suffix.to_str() {
            Some("svg") => self.to_svg().into_bytes(),
            Some("png") => self.to_png()?,
            _ => return Err(TimelineError::Suffix(path.to_owned())),
        };
        write_file(path, &picture, true)
            .map_err(|source| TimelineError::Write { path: path.to_owned(), source })
    }

    /// The picture as SVG.
    pub fn to_svg(&self) -> String {
        let hex = |[red, green, blue]: [u8; 3]| format!("#{red:02x}{green:02x}{blue:02x}");
        let (width, height) = (WIDTH, self.height);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
             font-size=\"11\">\n<rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        );
        for shape in &self.shapes {
            svg += &match shape {
                Shape::Box { at: [x, y, width, height], color } => {
                    let color = hex(*color);
                    format!(
                        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{color}\"/>\n"
                    )
                }
                Shape::Line(points) => {
                    let points: Vec<String> = points.iter().map(|[x, y]| format!("{x:.1},{y:.1}")).collect();
                    let (points, color) = (points.join(" "), hex(CONFIDENCE));
                    format!(
                        "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\"/>\n"
                    )
                }
                Shape::Text { at: [x, y], text } => {
                    let text = text.replace('&', "&amp;").replace('<', "&lt;");
                    // A name may hold what no XML may.
                    let text: String = text.chars().filter(|letter| !letter.is_control()).collect();
                    format!("<text x=\"{x}\" y=\"{}\" fill=\"{}\">{text}</text>\n", y + 9.0, hex(TEXT))
                }
            };
        }
        svg + "</svg>\n"
    }

    /// The picture as PNG.
    ///
    /// # Errors
    /// It is too large: a file of thousands of components.
    pub fn to_png(&self) -> Result<Vec<u8>, TimelineError> {
        let failed = |error: &str| TimelineError::Encode(error.to_owned());
        let size = (WIDTH as u32, self.height as u32);
        let mut picture = Pixmap::new(size.0, size.1).ok_or_else(|| failed("it is too large"))?;
        picture.fill(Color::WHITE);
        for shape in &self.shapes {
            match shape {
                Shape::Box { at, color } => fill(&mut picture, *at, *color),
                Shape::Line(points) => {
                    let mut path = PathBuilder::new();
                    for (index, &[x, y]) in points.iter().enumerate() {
                        if index == 0 { path.move_to(x, y) } else { path.line_to(x, y) }
                    }
                    let stroke = Stroke { width: 1.5, ..Stroke::default() };
                    if let Some(path) = path.finish() {
                        picture.stroke_path(&path, &paint(CONFIDENCE), &stroke, Transform::identity(), None);
                    }
                }
                Shape::Text { at: [x, y], text } => {
                    for (index, letter) in text.chars().enumerate() {
                        let rows =
                            BASIC_FONTS.get(letter).or_else(|| BASIC_FONTS.get('?')).unwrap_or_default();
                        for (row, column) in (0..8).flat_map(|row| (0..8).map(move |column| (row, column))) {
                            if rows[row] & (1 << column) != 0 {
                                let left = x + index as f32 * 7.0 + column as f32;
                                fill(&mut picture, [left, y + row as f32, 1.0, 1.0], TEXT);
                            }
                        }
                    }
                }
            }
        }
        picture.encode_png().map_err(|error| failed(&error.to_string()))
    }
}

/// Light blue by how often the component was seen; the line breaks where it was not.
fn draw_strip(shapes: &mut Vec<Shape>, strip: &[Span], top: f32, step: f32) {
    let mut line = Vec::new();
    for (index, span) in strip.iter().enumerate() {
        let x = LEFT + index as f32 * step;
        let seen = span.present();
        if let Some(confidence) = span.confidence() {
            shapes.push(Shape::Box { at: [x, top + STRIP * (1.0 - seen), step, STRIP * seen], color: SEEN });
            line.push([x + step / 2.0, top + STRIP * (1.0 - confidence)]);
        } else if !line.is_empty() {
            shapes.push(Shape::Line(std::mem::take(&mut line)));
        }
    }
    shapes.push(Shape::Line(line));
    // Boxes first: they would hide the line.
    shapes.sort_by_key(|shape| matches!(shape, Shape::Line(_)));
}

/// So that about ten labels are below the strips.
fn seconds_between_labels(seconds: f32) -> f32 {
    let steps = [0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0];
    steps.into_iter().find(|step| seconds / step <= 12.0).unwrap_or(seconds / 10.0)
}

fn fill(picture: &mut Pixmap, [x, y, width, height]: [f32; 4], color: [u8; 3]) {
    if let Some(place) = Rect::from_xywh(x, y, width, height) {
        picture.fill_rect(place, &paint(color), Transform::identity(), None);
    }
}

fn paint([red, green, blue]: [u8; 3]) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, 255);
    paint
}
