//! Drawing people onto a picture.

use tiny_skia::{Color, FillRule, LineCap, Paint, PathBuilder, Pixmap, Stroke, Transform};

use crate::pose::{Component, FramePose, Skeleton};

/// Components whose coordinates are no pixels of the frame: metres in space have no place on a picture.
const WORLD: &str = "WORLD";

/// Draws all people of a frame: limbs as lines, points as dots, confidence as opacity.
///
/// `placement` maps pixels of the frame to pixels of `picture`. Colours are the skeleton's: that of a limb
/// is the mean of its two points', as pose-format draws them.
pub fn draw_people(picture: &mut Pixmap, skeleton: &Skeleton, pose: &FramePose, placement: Transform) {
    let side = (f64::from(picture.width()) * f64::from(picture.height())).sqrt() as f32;
    let width = (side / 200.0).clamp(1.0, 8.0);
    for person in 0..pose.people() {
        let mut first = 0;
        for component in &skeleton.components {
            if !component.name.contains(WORLD) {
                draw_component(picture, component, first, person, pose, placement, width);
            }
            first += component.points.len();
        }
    }
}

fn draw_component(
    picture: &mut Pixmap,
    component: &Component,
    first: usize,
    person: usize,
    pose: &FramePose,
    placement: Transform,
    width: f32,
) {
    // A dense mesh drawn as thick as a body is a blot.
    let width = if component.points.len() > 100 { (width * 0.2).max(0.4) } else { width };
    let point = |index: usize| -> Option<([f32; 2], f32)> {
        let index = person * pose.points() + first + index;
        let confidence = *pose.confidences().get(index)?;
        let coordinates = pose.coordinates().chunks_exact(pose.dimensions().max(1)).nth(index)?;
        let mut place = tiny_skia::Point::from_xy(*coordinates.first()?, *coordinates.get(1)?);
        placement.map_point(&mut place);
        (confidence > 0.0).then_some(([place.x, place.y], confidence.min(1.0)))
    };
    for &(from, to) in &component.limbs {
        let (from, to) = (usize::from(from), usize::from(to));
        let (Some((start, a)), Some((end, b))) = (point(from), point(to)) else { continue };
        let mut path = PathBuilder::new();
        path.move_to(start[0], start[1]);
        path.line_to(end[0], end[1]);
        let Some(path) = path.finish() else { continue };
        let paint = paint(mean(color(component, from), color(component, to)), a.min(b));
        let stroke = Stroke { width, line_cap: LineCap::Round, ..Stroke::default() };
        picture.stroke_path(&path, &paint, &stroke, Transform::identity(), None);
    }
    for index in 0..component.points.len() {
        let Some(([x, y], confidence)) = point(index) else { continue };
        let Some(circle) = PathBuilder::from_circle(x, y, width) else { continue };
        let paint = paint(color(component, index), confidence);
        picture.fill_path(&circle, &paint, FillRule::Winding, Transform::identity(), None);
    }
}

/// Colours are given for each point, or for a few that repeat.
fn color(component: &Component, point: usize) -> [f32; 3] {
    let colors = &component.colors;
    if colors.is_empty() {
        return [0.0, 1.0, 0.0];
    }
    colors[point % colors.len()].map(|value| f32::from(value.min(255)) / 255.0)
}

fn mean(a: [f32; 3], b: [f32; 3]) -> [f32; 3] {
    std::array::from_fn(|channel| (a[channel] + b[channel]) / 2.0)
}

fn paint(rgb: [f32; 3], opacity: f32) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(Color::from_rgba(rgb[0], rgb[1], rgb[2], opacity).unwrap_or(Color::BLACK));
    paint
}
