//! Drawing people onto a picture.

use tiny_skia::{Color, FillRule, LineCap, Paint, PathBuilder, Pixmap, Stroke, Transform};

use crate::pose::{Component, FramePose, Skeleton};

/// Steps of opacity. Parts that look the same are drawn as one path: a face has two thousand lines.
const OPACITIES: f32 = 32.0;

/// Coordinates beyond this many pixels are in no picture.
const FARTHEST: f32 = 1e5;

/// Draws all people of a frame: limbs as lines, points as dots, confidence as opacity.
///
/// `placement` maps pixels of the frame to pixels of `picture`. Colours are the skeleton's; that of a limb is the
/// mean of those of its two points, as in pose-format.
pub fn draw_people(picture: &mut Pixmap, skeleton: &Skeleton, pose: &FramePose, placement: Transform) {
    let side = (f64::from(picture.width()) * f64::from(picture.height())).sqrt() as f32;
    let width = (side / 200.0).clamp(1.0, 8.0);
    let mut points = Vec::new();
    for person in 0..pose.people() {
        let mut first = person * pose.points();
        for component in &skeleton.components {
            let indices = first..first + component.points.len();
            first = indices.end;
            if component.is_in_pixels() {
                points.clear();
                points.extend(indices.map(|index| point(pose, index, placement)));
                draw_component(picture, component, &points, width);
            }
        }
    }
}

/// A point that was found, on the picture.
#[derive(Clone, Copy)]
struct Dot {
    x: f32,
    y: f32,
    confidence: f32,
}

fn point(pose: &FramePose, index: usize, placement: Transform) -> Option<Dot> {
    let dimensions = pose.dimensions();
    let confidence = *pose.confidences().get(index)?;
    let coordinates = pose.coordinates().get(index * dimensions..(index + 1) * dimensions)?;
    let mut place = tiny_skia::Point::from_xy(*coordinates.first()?, *coordinates.get(1)?);
    placement.map_point(&mut place);
    // What is no number is not less either.
    let is_drawn = confidence > 0.0 && place.x.abs() < FARTHEST && place.y.abs() < FARTHEST;
    is_drawn.then_some(Dot { x: place.x, y: place.y, confidence: confidence.min(1.0) })
}

fn draw_component(picture: &mut Pixmap, component: &Component, points: &[Option<Dot>], width: f32) {
    // A dense mesh drawn as thick as a body is a blot.
    let width = if component.points.len() > 100 { (width * 0.2).max(0.4) } else { width };
    let mut lines = Layers::default();
    for &(from, to) in &component.limbs {
        let (from, to) = (usize::from(from), usize::from(to));
        let (Some(Some(start)), Some(Some(end))) = (points.get(from), points.get(to)) else { continue };
        let color = mean(color(component, from), color(component, to));
        let path = lines.path(color, start.confidence.min(end.confidence));
        path.move_to(start.x, start.y);
        path.line_to(end.x, end.y);
    }
    let stroke = Stroke { width, line_cap: LineCap::Round, ..Stroke::default() };
    for (paint, path) in lines.finish() {
        picture.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
    }
    let mut dots = Layers::default();
    for (index, dot) in points.iter().enumerate() {
        let Some(dot) = dot else { continue };
        dots.path(color(component, index), dot.confidence).push_circle(dot.x, dot.y, width);
    }
    for (paint, path) in dots.finish() {
        picture.fill_path(&path, &paint, FillRule::Winding, Transform::identity(), None);
    }
}

/// Paths by the paint with which they are drawn, in the order in which the paints first occurred.
#[derive(Default)]
struct Layers(Vec<([u8; 4], PathBuilder)>);

impl Layers {
    /// The path with this colour and opacity.
    fn path(&mut self, rgb: [u8; 3], opacity: f32) -> &mut PathBuilder {
        let opacity = (opacity * OPACITIES).ceil() / OPACITIES * 255.0;
        let key = [rgb[0], rgb[1], rgb[2], opacity as u8];
        let known = self.0.iter().position(|(known, _)| *known == key);
        let index = known.unwrap_or_else(|| {
            self.0.push((key, PathBuilder::new()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }

    fn finish(self) -> impl Iterator<Item = (Paint<'static>, tiny_skia::Path)> {
        self.0.into_iter().filter_map(|([red, green, blue, alpha], path)| {
            let mut paint = Paint { anti_alias: true, ..Paint::default() };
            paint.set_color(Color::from_rgba8(red, green, blue, alpha));
            Some((paint, path.finish()?))
        })
    }
}

/// There is a colour for each point, or a few that repeat.
fn color(component: &Component, point: usize) -> [u8; 3] {
    let colors = &component.colors;
    if colors.is_empty() {
        return [0, 255, 0];
    }
    colors[point % colors.len()].map(|value| value.min(255) as u8)
}

fn mean(a: [u8; 3], b: [u8; 3]) -> [u8; 3] {
    std::array::from_fn(|channel| a[channel].midpoint(b[channel]))
}
