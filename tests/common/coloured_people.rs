//! Draws people as coloured dots, which the nets of `meaningful_models.rs` see as keypoints.
#![allow(dead_code)] // No test program uses all of it.

use oppose::engine::native::assemble::body::BODY_25;
use oppose::video::Frame;

pub const BODY_POINTS: usize = 25;
pub const FACE_POINTS: usize = 70;
pub const HAND_POINTS: usize = 21;

/// Index of the colour of all limbs, between those of the body's keypoints and those of faces and hands.
pub const LIMB_COLOUR: usize = BODY_POINTS;

/// Positions of the body's keypoints at scale 1, in pixels; the person's right is to the left. With the squares of the
/// hands, a person is 230 pixels wide and 340 high.
pub const POSE: [(f32, f32); BODY_POINTS] = [
    (0.0, 60.0),
    (0.0, 105.0),
    (-40.0, 115.0),
    (-62.0, 165.0),
    (-72.0, 215.0),
    (40.0, 115.0),
    (62.0, 165.0),
    (72.0, 215.0),
    (0.0, 200.0),
    (-22.0, 207.0),
    (-24.0, 265.0),
    (-26.0, 312.0),
    (22.0, 207.0),
    (24.0, 265.0),
    (26.0, 312.0),
    (-14.0, 46.0),
    (14.0, 46.0),
    (-31.0, 54.0),
    (31.0, 54.0),
    (40.0, 328.0),
    (58.0, 324.0),
    (14.0, 328.0),
    (-40.0, 328.0),
    (-58.0, 324.0),
    (-14.0, 328.0),
];

/// Centre and side of the squares that OpenPose derives from this pose.
const FACE: ((f32, f32), f32) = ((0.0, 60.83), 99.33);
const HAND: ((f32, f32), f32) = ((75.3, 231.5), 76.5);

/// Radius of the body's dots, radius of the black around them, and half the width of the lines: in pixels, at every
/// scale.
const DOT: f32 = 5.0;
const DOT_WITH_RIM: f32 = 7.0;
const LINE: f32 = 2.5;

/// A colour that a net can distinguish from all others.
#[derive(Clone, Copy, Debug)]
pub struct Colour {
    /// From grey to the colour: blue, green, red; of length 1.
    pub direction: [f32; 3],
    /// The projection on the direction that no other colour reaches.
    pub threshold: f32,
}

impl Colour {
    fn bytes(&self) -> [u8; 3] {
        self.direction.map(|axis| (128.0 + 127.0 * axis).round() as u8)
    }
}

/// All colours: the body's keypoints, the limbs, and the keypoints of a face.
pub fn colours() -> Vec<Colour> {
    // A Fibonacci lattice without the part near black.
    const LATTICE: usize = 134;
    let golden = std::f32::consts::PI * (3.0 - 5f32.sqrt());
    let directions = (0..LATTICE).map(|index| {
        let z = 1.0 - (2 * index + 1) as f32 / LATTICE as f32;
        let (sine, cosine) = (golden * index as f32).sin_cos();
        let radius = (1.0 - z * z).sqrt();
        [radius * cosine, radius * sine, z]
    });
    let directions: Vec<[f32; 3]> = directions
        .filter(|direction| direction.iter().sum::<f32>() > -0.8)
        .take(LIMB_COLOUR + 1 + FACE_POINTS)
        .collect();
    assert_eq!(directions.len(), LIMB_COLOUR + 1 + FACE_POINTS);
    let dot = |a: &[f32; 3], b: &[f32; 3]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let colour = |direction: &[f32; 3]| {
        let others = directions.iter().filter(|other| *other != direction);
        let nearest = others.map(|other| dot(direction, other)).fold(0.0, f32::max);
        Colour { direction: *direction, threshold: (1.0 + nearest) / 2.0 }
    };
    directions.iter().map(colour).collect()
}

/// A person to draw.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// Position of the pose's origin in the picture, above the middle of the head.
    pub x: f32,
    pub y: f32,
    /// At least 0.9.
    pub scale: f32,
}

impl Person {
    /// The pixels in which the 137 keypoints are drawn: body, face, left hand, right hand.
    pub fn keypoints(&self) -> Vec<(f32, f32)> {
        let ((x, y), side) = HAND;
        let points = [
            POSE.to_vec(),
            places(FACE.0, FACE.1, 12, FACE_POINTS),
            places((x, y), side, 7, HAND_POINTS),
            places((-x, y), side, 7, HAND_POINTS),
        ];
        let place =
            |(x, y): (f32, f32)| ((self.x + self.scale * x).round(), (self.y + self.scale * y).round());
        points.concat().into_iter().map(place).collect()
    }
}

/// Points of a grid in a square that do not touch the body's dots and lines.
fn places((x, y): (f32, f32), side: f32, grid: usize, count: usize) -> Vec<(f32, f32)> {
    let step = side * 0.9 / (grid - 1) as f32;
    let at = |index: usize| (index as f32 - (grid - 1) as f32 / 2.0) * step;
    let points = (0..grid * grid).map(|index| (x + at(index % grid), y + at(index / grid)));
    let is_free = |point: &(f32, f32)| {
        let of_dots = POSE.iter().all(|dot| distance(*point, *dot, *dot) > 12.0);
        of_dots && limbs().all(|(a, b)| distance(*point, POSE[a], POSE[b]) > 6.5)
    };
    let places: Vec<_> = points.filter(is_free).take(count).collect();
    assert_eq!(places.len(), count, "the square has no room for its points");
    places
}

/// The limbs that are drawn.
fn limbs() -> impl Iterator<Item = (usize, usize)> {
    let limbs = BODY_25.limbs.iter().enumerate();
    limbs.filter(|(limb, _)| !BODY_25.ear_limbs.contains(limb)).map(|(_, &limb)| limb)
}

/// Draws a picture of these people; where they overlap, later ones are in front.
pub fn draw(width: usize, height: usize, people: &[Person]) -> Frame {
    let mut picture = Picture { width, height, pixels: vec![0; width * height * 3] };
    let colours = colours();
    for person in people {
        let points = person.keypoints();
        for (a, b) in limbs() {
            picture.line(points[a], points[b], LINE, colours[LIMB_COLOUR].bytes());
        }
        for (point, colour) in points[..BODY_POINTS].iter().zip(&colours) {
            picture.line(*point, *point, DOT_WITH_RIM, [0; 3]);
            picture.line(*point, *point, DOT, colour.bytes());
        }
        let (face, hands) = points[BODY_POINTS..].split_at(FACE_POINTS);
        for points in [face].into_iter().chain(hands.chunks_exact(HAND_POINTS)) {
            for (&point, colour) in points.iter().zip(&colours[LIMB_COLOUR + 1..]) {
                // 3 × 3 pixels.
                picture.line(point, point, 1.5, colour.bytes());
            }
        }
    }
    Frame::new(0, None, width as u32, height as u32, picture.pixels).expect("a picture of its size")
}

struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Picture {
    /// Colours all pixels up to `radius` from the line, which is a point if both ends are the same.
    fn line(&mut self, a: (f32, f32), b: (f32, f32), radius: f32, colour: [u8; 3]) {
        let range = |a: f32, b: f32, end: usize| {
            (a.min(b) - radius).max(0.0) as usize..((a.max(b) + radius + 1.0).max(0.0) as usize).min(end)
        };
        for y in range(a.1, b.1, self.height) {
            for x in range(a.0, b.0, self.width) {
                if distance((x as f32, y as f32), a, b) <= radius {
                    let first = 3 * (y * self.width + x);
                    self.pixels[first..first + 3].copy_from_slice(&colour);
                }
            }
        }
    }
}

/// Distance of a point from the line between `a` and `b`.
fn distance(point: (f32, f32), a: (f32, f32), b: (f32, f32)) -> f32 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let square = (dx * dx + dy * dy).max(f32::MIN_POSITIVE);
    let along = (((point.0 - a.0) * dx + (point.1 - a.1) * dy) / square).clamp(0.0, 1.0);
    (point.0 - a.0 - along * dx).hypot(point.1 - a.1 - along * dy)
}
