//! Numbers as text that a page holds and its script reads back.

use serde::Serialize;

use crate::inspect::{Part, presence_over_time};
use crate::pose::{Component, FramePose, Pose, Skeleton};

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Coordinates beyond this many pixels are in no picture.
const FARTHEST: f32 = 1e5;

/// Letters of a name that a page shows: a header may hold 65,535.
const MAX_NAME: usize = 100;

/// Bytes as base64, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let mut bits = 0_u32;
        for index in 0..3 {
            bits = bits << 8 | u32::from(three.get(index).copied().unwrap_or(0));
        }
        for index in 0..4 {
            let is_padding = index > three.len();
            let letter = BASE64[(bits >> (18 - 6 * index) & 63) as usize];
            text.push(if is_padding { '=' } else { char::from(letter) });
        }
    }
    text
}

/// A skeleton, for drawing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct PageSkeleton {
    pub(super) components: Vec<PageComponent>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct PageComponent {
    pub(super) name: String,
    pub(super) points: usize,
    /// The part of the body it describes: `body`, `face`, `hand`.
    part: Option<&'static str>,
    /// Whether its coordinates are pixels, so that it can be drawn.
    pub(super) drawn: bool,
    /// Indices of points, two per limb.
    limbs: Vec<u16>,
    /// Colours of the points as `#rrggbb`; fewer than points repeat.
    colors: Vec<String>,
}

impl PageSkeleton {
    /// The most limbs per component: one header must not fill the page.
    pub(super) fn new(skeleton: &Skeleton) -> Self {
        let component = |component: &Component| PageComponent {
            name: short(&component.name),
            points: component.points.len(),
            part: Part::of(&component.name).map(Part::as_str),
            drawn: component.is_in_pixels(),
            limbs: component.limbs.iter().take(20_000).flat_map(|&(from, to)| [from, to]).collect(),
            colors: component.colors.iter().take(1000).map(color).collect(),
        };
        Self { components: skeleton.components.iter().map(component).collect() }
    }
}

fn color(&[red, green, blue]: &[u16; 3]) -> String {
    let [red, green, blue] = [red, green, blue].map(|value| value.min(255));
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// A name as it may be shown, and not too long.
pub(super) fn short(name: &str) -> String {
    let shown = crate::printable::printable(name).to_string();
    match shown.char_indices().nth(MAX_NAME) {
        None => shown,
        Some((end, _)) => format!("{}…", &shown[..end]),
    }
}

/// Presence and confidence over time as one text per component: two letters of base64's alphabet for each span, the
/// share of the frames in which the component was seen (0 to 63) and the mean confidence (0 to 63).
pub(super) fn timelines(pose: &Pose, spans: usize, components: usize) -> Vec<String> {
    let letter = |share: f32| char::from(BASE64[(share.clamp(0.0, 1.0) * 63.0).round() as usize]);
    let strips = presence_over_time(pose, spans).into_iter().take(components);
    let text = |strip: Vec<crate::inspect::Span>| {
        let letters = strip.iter().flat_map(|span| {
            // What was seen at all is never drawn as unseen.
            let present = if span.seen > 0 { span.present().max(1.0 / 63.0) } else { 0.0 };
            [letter(present), letter(span.confidence().unwrap_or(0.0))]
        });
        letters.collect()
    };
    strips.map(text).collect()
}

/// A few frames of a file, for a contact sheet.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Sketch {
    /// Which frames these are.
    pub(super) frames: Vec<usize>,
    /// People in each of them.
    pub(super) people: usize,
    /// Which points are in `data`, by component: every Nth. 1 means all, and that limbs can be drawn.
    pub(super) steps: Vec<usize>,
    /// Bytes per coordinate in `data`: 1 or 2.
    pub(super) bytes: u8,
    /// Left, top, right and bottom of the area that the smallest and the largest value of a coordinate stand for.
    pub(super) area: [f32; 4],
    /// In base64, for each frame, person and point x and y, little-endian; the largest value of x where the point was
    /// not found.
    pub(super) data: String,
    /// For each frame, the frame of the video as JPEG in base64; empty where there are no pictures.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) pictures: Vec<Option<String>>,
}

/// How much of a file a sketch keeps.
#[derive(Clone, Copy, Debug)]
pub(super) struct SketchSize {
    /// Frames, evenly spread.
    pub(super) frames: usize,
    /// People.
    pub(super) people: usize,
    /// Points of a component; if there are more, only some are kept.
    pub(super) points: usize,
    /// Whether coordinates take two bytes rather than one.
    pub(super) is_fine: bool,
}

impl Sketch {
    /// `None` for files with nobody in them, and for those without frames.
    pub(super) fn new(pose: &Pose, size: SketchSize) -> Option<Self> {
        let skeleton = &pose.header.skeleton;
        let (all, people) = (pose.frames(), pose.people().min(size.people));
        let count = size.frames.min(all);
        // The middle of each of equal spans.
        let frames: Vec<usize> = (0..count).map(|cell| (2 * cell + 1) * all / (2 * count)).collect();
        let steps: Vec<usize> = skeleton
            .components
            .iter()
            .map(|component| {
                if component.is_in_pixels() { component.points.len().div_ceil(size.points).max(1) } else { 0 }
            })
            .collect();
        let mut points = Vec::new();
        let mut frame = FramePose::default();
        for &index in &frames {
            pose.copy_frame(index, &mut frame);
            for person in 0..people {
                let mut first = person * frame.points();
                for (component, &step) in skeleton.components.iter().zip(&steps) {
                    if step > 0 {
                        points.extend(
                            (0..component.points.len())
                                .step_by(step)
                                .map(|point| place(&frame, first + point)),
                        );
                    }
                    first += component.points.len();
                }
            }
        }
        let area = Area::around(points.iter().flatten())?;
        let largest = if size.is_fine { u16::MAX } else { u16::from(u8::MAX) };
        let mut data = Vec::with_capacity(points.len() * 4);
        for point in points {
            // The largest value says that there is no point.
            for value in point.map_or([largest; 2], |point| area.quantise(point, largest - 1)) {
                if size.is_fine { data.extend(value.to_le_bytes()) } else { data.push(value as u8) }
            }
        }
        Some(Self {
            frames,
            people,
            steps,
            bytes: if size.is_fine { 2 } else { 1 },
            area: area.0,
            data: base64(&data),
            pictures: Vec::new(),
        })
    }
}

/// The location of a point in pixels; `None` if it was not found.
pub(super) fn place(frame: &FramePose, point: usize) -> Option<[f32; 2]> {
    let confidence = *frame.confidences().get(point)?;
    let [x, y] = *frame.coordinates().get(point * frame.dimensions()..)?.first_chunk()?;
    // What is no number is not less either.
    (confidence > 0.0 && x.abs() < FARTHEST && y.abs() < FARTHEST).then_some([x, y])
}

/// Left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Area(pub(super) [f32; 4]);

impl Area {
    /// The rectangle around all points; `None` if there are none.
    pub(super) fn around<'a>(points: impl Iterator<Item = &'a [f32; 2]>) -> Option<Self> {
        points.fold(None, |area: Option<Self>, &[x, y]| {
            let Self([left, top, right, bottom]) = area.unwrap_or(Self([x, y, x, y]));
            Some(Self([left.min(x), top.min(y), right.max(x), bottom.max(y)]))
        })
    }

    /// A point within the area, with `largest` for its right or its bottom edge.
    pub(super) fn quantise(&self, [x, y]: [f32; 2], largest: u16) -> [u16; 2] {
        let [left, top, right, bottom] = self.0;
        let of = |value: f32, from: f32, to: f32| {
            let share = if to > from { (value - from) / (to - from) } else { 0.0 };
            (share.clamp(0.0, 1.0) * f32::from(largest)).round() as u16
        };
        [of(x, left, right), of(y, top, bottom)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pose::openpose_137;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let encoded = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(encoded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn sketches_keep_where_points_are() {
        let mut person = FramePose::new(1, 137, 2);
        for (point, at) in person.coordinates_mut().chunks_exact_mut(2).enumerate() {
            at.fill(point as f32);
        }
        person.confidences_mut()[..95].fill(1.0);
        person.coordinates_mut()[0] = f32::NAN;
        let pose = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[person]).unwrap();
        let size = SketchSize { frames: 9, people: 2, points: 35, is_fine: false };
        let sketch = Sketch::new(&pose, size).unwrap();
        assert_eq!(
            (sketch.frames.as_slice(), sketch.people, sketch.steps.as_slice()),
            (&[0][..], 1, &[1, 2, 1, 1][..])
        );
        // 25 + 35 + 21 + 21 points, one byte for x and one for y.
        assert_eq!(sketch.data.len(), base64(&[0; 2 * 102]).len());
        assert_eq!(sketch.area, [1.0, 1.0, 93.0, 93.0]);
        // The first was no number and is missing, the second is at the left and at the top.
        assert!(sketch.data.starts_with(&base64(&[255, 255, 0])));
        let nobody = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[FramePose::new(0, 137, 2)]).unwrap();
        assert_eq!(Sketch::new(&nobody, size), None);
    }
}
