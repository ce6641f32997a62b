//! A second look for a hand that must be there: its wrist is seen, but no hand was found.
//!
//! MediaPipe Holistic looks for a hand only where wrist and knuckles of the body suggest it, in a region whose size is
//! wrong for hands that point at the camera. Here follow, until a hand is found: a region of a corrected size, the place
//! of the hand in the last frame, and palms that a detector finds around the wrist, as MediaPipe Hands does. What is
//! found must fit the body, so that no other hand, and none that is not there, is taken for it.

use std::f32::consts::FRAC_PI_2;
use std::ops::Range;

use super::body::Body;
use super::detector::{Detection, Detector};
use super::geometry::{Rect, Size, direction, double_distance};
use super::hand::{Hand, Side};
use super::litert::LiteRtError;
use super::models::{LoadError, Models, PALM_DETECTION};
use super::net::Net;
use super::warp::{Border, Crop, Region};
use oppose_core::Frame;

/// A wrist less visible than this is not seen: there may be no hand. Visibility is smoothed and rises slowly.
const MINIMUM_VISIBILITY: f32 = 0.1;
/// Palms less sure than this are dropped.
const MINIMUM_SCORE: f32 = 0.5;
/// How many palms around a wrist are looked at.
const MAX_PALMS: usize = 2;
/// Wrist and knuckle of the middle finger among the keypoints of a palm.
const PALM_AXIS: [usize; 2] = [0, 2];
/// How much bigger the region of a hand is than the box of its palm, and how far it is moved towards the fingers, as a
/// part of the box's height.
const PALM_SCALE: f32 = 2.6;
const PALM_SHIFT: f32 = -0.5;
/// Side of the square around a wrist in which palms are looked for, in limbs (see [`limb`]).
const SEARCH_SIDE: f32 = 2.0;
/// How far the wrist of a hand may be from that of its body, in limbs.
const MAX_DISTANCE: f32 = 0.35;
/// Lengths of a palm, from the wrist to the knuckle of the middle finger, in limbs.
const PALM_LENGTHS: Range<f32> = 0.08..0.4;
/// Joints of a hand: wrist and knuckle of the middle finger.
const HAND_AXIS: [usize; 2] = [0, 9];
/// How sure the net must be that there is a hand. Where there was one in the last frame, less is enough.
pub const MINIMUM_PRESENCE: f32 = 0.7;
/// How sure the net must be that a hand is the side's own.
const MINIMUM_HANDEDNESS: f32 = 0.5;

const PALM_CROP: Crop =
    Crop { side: PALM_DETECTION.side, range: (0.0, 1.0), keep_aspect: true, border: Border::Zero };

/// Finds palms in a region of a frame.
#[derive(Debug)]
pub struct PalmDetector {
    net: Net,
    detector: Detector<7>,
}

impl PalmDetector {
    /// Loads the net.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(models: &Models) -> Result<Self, LoadError> {
        let detector = Detector::new(PALM_DETECTION.side, &[8, 16, 16, 16]);
        Ok(Self { net: models.load(&PALM_DETECTION)?, detector })
    }

    /// The regions of the hands whose palms are in `region`, the most certain first.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn detect(&mut self, frame: &Frame, region: &Rect) -> Result<Vec<Rect>, LiteRtError> {
        PALM_CROP.cut(frame, region, self.net.input_mut());
        self.net.run()?;
        let size = Size::of(frame);
        let (region, _) = PALM_CROP.region(size, region);
        let palms = self.detector.all(self.net.output(0), self.net.output(1), MINIMUM_SCORE);
        Ok(palms.take(MAX_PALMS).map(|palm| hand_region(&palm, &region, size)).collect())
    }
}

/// The region of the hand of a palm that was found in an upright square region.
fn hand_region(palm: &Detection<7>, region: &Region, size: Size) -> Rect {
    let place = |point: [f32; 2]| size.pixels(region.project(point, size));
    let [wrist, knuckle] = PALM_AXIS.map(|i| place(palm.keypoints[i]));
    let center = place([0, 1].map(|axis| palm.corner[axis] + palm.sides[axis] / 2.0));
    let [width, height] = [0, 1].map(|axis| palm.sides[axis] * region.sides[axis]);
    let rotation = direction(wrist, knuckle, FRAC_PI_2);
    Rect { height: height / size.h(), ..Rect::square(center, width, rotation, size) }
        .scale(PALM_SCALE, PALM_SHIFT, size)
}

/// Where palms are to be looked for around a wrist; `None` where the wrist is not seen.
pub fn search_region(side: Side, body: &Body, size: Size) -> Option<Rect> {
    let [wrist, ..] = side.body_landmarks();
    let [x, y, _] = body.landmarks[wrist];
    let is_seen =
        body.visibility[wrist] >= MINIMUM_VISIBILITY && (0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y);
    is_seen.then(|| Rect::square(size.pixels([x, y]), SEARCH_SIDE * limb(body, size), 0.0, size))
}

/// Whether a hand that was found belongs to this wrist: its own wrist is near, and nearer than to the other one, it has a
/// hand's size, and it is a left or a right one as it should be.
pub fn belongs(hand: &Hand, handedness: f32, side: Side, body: &Body, size: Size) -> bool {
    let pixels = |point: [f32; 3]| size.pixels([point[0], point[1]]);
    let [wrist, knuckle] = HAND_AXIS.map(|i| pixels(hand[i]));
    let [own, other] =
        [side, side.other()].map(|side| distance(wrist, pixels(body.landmarks[side.body_landmarks()[0]])));
    let limb = limb(body, size);
    let likelihood = if side == Side::Right { handedness } else { 1.0 - handedness };
    own <= MAX_DISTANCE * limb
        && own <= other
        && PALM_LENGTHS.contains(&(distance(wrist, knuckle) / limb))
        && likelihood >= MINIMUM_HANDEDNESS
}

/// The body's scale in pixels: the longest of forearms, upper arms and shoulders, since each may point at the camera.
fn limb(body: &Body, size: Size) -> f32 {
    const LIMBS: [[usize; 2]; 5] = [[11, 12], [11, 13], [13, 15], [12, 14], [14, 16]];
    let point = |i: usize| size.pixels([body.landmarks[i][0], body.landmarks[i][1]]);
    LIMBS.map(|[from, to]| distance(point(from), point(to))).into_iter().fold(0.0, f32::max)
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    double_distance(a, b) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 400, height: 200 };

    /// Shoulders 100 pixels apart; the left wrist at (100, 100), the right one at (300, 100).
    fn body() -> Body {
        let mut body = Body {
            landmarks: [[0.5, 0.5, 0.0]; 33],
            visibility: [1.0; 33],
            world: [[0.0; 3]; 33],
            auxiliary: [[0.0; 3]; 2],
        };
        for (i, x) in [(11, 0.375), (12, 0.625), (13, 0.3), (14, 0.7), (15, 0.25), (16, 0.75)] {
            body.landmarks[i][0] = x;
        }
        body
    }

    fn hand(x: f32, length: f32) -> Hand {
        let mut hand = [[x / 400.0, 0.5, 0.0]; 21];
        hand[9] = [x / 400.0, (100.0 - length) / 200.0, 0.0];
        hand
    }

    #[test]
    fn palms_are_looked_for_around_wrists_that_are_seen() {
        let region = search_region(Side::Left, &body(), SIZE).unwrap();
        assert!((region.x * 400.0 - 100.0).abs() < 1e-3 && (region.width * 400.0 - 200.0).abs() < 1e-3);
        let mut hidden = body();
        hidden.visibility[15] = 0.09;
        assert_eq!(search_region(Side::Left, &hidden, SIZE), None);
        hidden = body();
        hidden.landmarks[15][0] = -0.01;
        assert_eq!(search_region(Side::Left, &hidden, SIZE), None, "outside of the frame");
    }

    #[test]
    fn a_hand_belongs_to_the_wrist_that_is_near() {
        let belongs = |hand: Hand, handedness, side| belongs(&hand, handedness, side, &body(), SIZE);
        assert!(belongs(hand(110.0, 25.0), 0.1, Side::Left));
        assert!(belongs(hand(290.0, 25.0), 0.9, Side::Right));
        assert!(!belongs(hand(110.0, 25.0), 0.9, Side::Left), "a right hand");
        assert!(!belongs(hand(140.0, 25.0), 0.1, Side::Left), "too far");
        assert!(!belongs(hand(290.0, 25.0), 0.1, Side::Left), "at the other wrist");
        assert!(!belongs(hand(110.0, 70.0), 0.1, Side::Left), "too large");
        assert!(!belongs(hand(110.0, 5.0), 0.1, Side::Left), "too small");
    }

    #[test]
    fn the_region_reaches_over_the_fingers() {
        let region = Region { center: [200.0, 100.0], sides: [100.0, 100.0], rotation: 0.0 };
        // A palm of 20 pixels in the middle of the region, the knuckle above the wrist.
        let mut palm = Detection { score: 1.0, corner: [0.4; 2], sides: [0.2; 2], keypoints: [[0.5; 2]; 7] };
        palm.keypoints[2] = [0.5, 0.4];
        let rect = hand_region(&palm, &region, SIZE);
        assert!(rect.rotation.abs() < 1e-6, "{rect:?}");
        assert!((rect.width * 400.0 - 52.0).abs() < 1e-3 && (rect.height * 200.0 - 52.0).abs() < 1e-3);
        assert!((rect.x - 0.5).abs() < 1e-6 && (rect.y * 200.0 - 90.0).abs() < 1e-3, "{rect:?}");
    }
}
