//! A hand: where it should be by the body's wrist and knuckles, a closer look, 21 landmarks.

use std::f32::consts::FRAC_PI_2;

use super::body::Body;
use super::geometry::{Landmark, Padding, Rect, Size, direction, double_distance, positive_bounds, wrap};
use super::litert::LiteRtError;
use super::models::{HAND_LANDMARKS, HAND_RECROP, LoadError, Models, SIDED_HAND_LANDMARKS};
use super::net::Net;
use super::options::Hands;
use super::palm::{self, PalmDetector};
use super::tracking::Limits;
use super::warp::{Border, Crop};
use oppose_core::Frame;

/// Landmarks of a hand.
pub const LANDMARKS: usize = 21;
/// A hand whose wrist is less visible than this is not looked for.
const MINIMUM_VISIBILITY: f64 = 0.1;
/// A hand less sure than this is none.
const MINIMUM_PRESENCE: f32 = 0.5;
/// All regions are moved towards the fingers by this part of their height.
const SHIFT: f32 = -0.1;
/// How much bigger the rough region is than the distance from wrist to knuckles makes it.
const ROUGH_SCALE: f32 = 2.7;
/// How much bigger the region is than the box around the last frame's palm.
const TRACKING_SCALE: f32 = 2.0;
/// The net's z is in units of this fraction of the crop's width.
const DEPTH_SCALE: f32 = 0.4;
/// Wrist, thumb and the lower joints of the fingers: what moves least when the fingers do.
const PALM: [usize; 12] = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18];
/// When the last frame's region is kept.
const LIMITS: Limits = Limits { rotation: 40.0, translation: 0.2, scale: 0.4, margin: -0.1 };

const RECROP_CROP: Crop =
    Crop { side: HAND_RECROP.side, range: (0.0, 1.0), keep_aspect: true, border: Border::Replicate };
const LANDMARK_CROP: Crop =
    Crop { side: HAND_LANDMARKS.side, range: (0.0, 1.0), keep_aspect: true, border: Border::Replicate };

/// A hand in one frame: normalised by the frame's width and height, z on the scale of x.
pub type Hand = [Landmark; LANDMARKS];

/// Which of a person's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The person's left hand.
    Left,
    /// The person's right hand.
    Right,
}

impl Side {
    /// The body's landmarks of wrist, little finger's knuckle and index finger's knuckle.
    pub fn body_landmarks(self) -> [usize; 3] {
        match self {
            Side::Left => [15, 17, 19],
            Side::Right => [16, 18, 20],
        }
    }

    /// The other hand.
    pub fn other(self) -> Self {
        match self {
            Side::Left => Side::Right,
            Side::Right => Side::Left,
        }
    }

    /// Roughly where this hand is by the body, or `None` where its wrist is hardly visible.
    pub fn rough_region(self, body: &Body, size: Size) -> Option<Rect> {
        self.region_of_length(body, size, |to_knuckles, _| to_knuckles)
    }

    /// The same with a size that is right for hands that point at the camera, too: it depends on the width of the knuckles
    /// as well. The weights are those of a fit to many hands, see MediaPipe's issue 5373.
    pub fn corrected_region(self, body: &Body, size: Size) -> Option<Rect> {
        self.region_of_length(body, size, |to_knuckles, knuckles| {
            // Of simple distances where those given are double.
            (1.36807 * to_knuckles + 0.57733 * knuckles) / 2.0
        })
    }

    /// A rough region whose side follows from twice the distance from the wrist to the knuckles, and twice their width.
    fn region_of_length(self, body: &Body, size: Size, side: impl Fn(f32, f32) -> f32) -> Option<Rect> {
        let [wrist, little, index] = self.body_landmarks();
        let is_visible = f64::from(body.visibility[wrist]) > MINIMUM_VISIBILITY;
        if !is_visible {
            return None;
        }
        let [wrist, little, index] =
            [wrist, little, index].map(|i| size.pixels([body.landmarks[i][0], body.landmarks[i][1]]));
        let center = [0, 1].map(|axis| (2.0 * index[axis] + little[axis]) / 3.0);
        let rotation = direction(wrist, center, FRAC_PI_2);
        let side = side(double_distance(wrist, center), double_distance(index, little));
        Some(Rect::square(center, side, rotation, size).scale(ROUGH_SCALE, SHIFT, size))
    }
}

/// Where a hand with these landmarks is.
pub fn region_of(hand: &Hand, size: Size) -> Rect {
    let point = |i: usize| [hand[i][0], hand[i][1]];
    let [wrist, index, middle, ring] = [point(0), point(5), point(9), point(13)];
    let knuckles = [0, 1].map(|axis| ((index[axis] + ring[axis]) / 2.0 + middle[axis]) / 2.0);
    let rotation = direction(size.pixels(wrist), size.pixels(knuckles), FRAC_PI_2);
    let (min, max) = positive_bounds(PALM.map(point));
    let center = [0, 1].map(|axis| (max[axis] + min[axis]) / 2.0);
    let turn = |[x, y]: [f32; 2], angle: f32| {
        let (sin, cos) = (angle.sin(), angle.cos());
        [x * cos - y * sin, x * sin + y * cos]
    };
    // The box in the hand's own axes.
    let back = wrap(-rotation);
    let (min, max) = positive_bounds(PALM.map(|i| {
        let [x, y] = point(i);
        turn(size.pixels([x - center[0], y - center[1]]), back)
    }));
    let [x, y] = turn([0, 1].map(|axis| (max[axis] + min[axis]) / 2.0), rotation);
    let (width, height) = (size.w(), size.h());
    Rect {
        x: (x + width * center[0]) / width,
        y: (y + height * center[1]) / height,
        width: (max[0] - min[0]) / width,
        height: (max[1] - min[1]) / height,
        rotation,
    }
    .scale(TRACKING_SCALE, SHIFT, size)
}

/// Where to look for a hand: around where it was, if that agrees with where it is `expected`.
pub fn choose_region(previous: Option<&Hand>, expected: Rect, size: Size) -> Rect {
    previous.map_or(expected, |hand| LIMITS.choose(region_of(hand, size), hand, expected, size))
}

/// Looks closer: from a rough region of a hand to its exact one.
#[derive(Debug)]
pub struct HandRecropper {
    net: Net,
}

impl HandRecropper {
    /// Loads the net.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(models: &Models) -> Result<Self, LoadError> {
        Ok(Self { net: models.load(&HAND_RECROP)? })
    }

    /// The hand's region, from a rough one.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn refine(&mut self, frame: &Frame, rough: &Rect) -> Result<Rect, LiteRtError> {
        let padding = RECROP_CROP.cut(frame, rough, self.net.input_mut());
        self.net.run()?;
        let side = HAND_RECROP.side as f32;
        let mut points = [[0.5; 2]; 2];
        for (point, values) in points.iter_mut().zip(self.net.output(0).chunks_exact(2)) {
            let [x, y, _] = rough.project(padding.remove([values[0] / side, values[1] / side, 0.0]));
            *point = [x, y];
        }
        let size = Size::of(frame);
        Ok(Rect::align(points[0], points[1], -FRAC_PI_2, size).scale(1.0, SHIFT, size))
    }
}

/// Finds the landmarks of a hand in a region of a frame.
#[derive(Debug)]
pub struct HandLandmarker {
    net: Net,
}

impl HandLandmarker {
    /// Loads the net.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(models: &Models) -> Result<Self, LoadError> {
        Ok(Self { net: models.load(&HAND_LANDMARKS)? })
    }

    /// How likely the hand that was found last is a right one, from 0 to 1. Only where it was loaded for that.
    pub fn handedness(&self) -> Option<f32> {
        self.net.output(2).first().copied()
    }

    /// The hand in `region`; `None` where there is none.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn estimate(&mut self, frame: &Frame, region: &Rect) -> Result<Option<Hand>, LiteRtError> {
        let padding = LANDMARK_CROP.cut(frame, region, self.net.input_mut());
        self.net.run()?;
        let is_hand = self.presence() > MINIMUM_PRESENCE;
        Ok(is_hand.then(|| read_hand(self.net.output(0), padding, region)))
    }

    /// How sure the net was, from 0 to 1, that there was a hand in the last region.
    pub fn presence(&self) -> f32 {
        self.net.output(1).first().copied().unwrap_or(0.0)
    }
}

/// Makes a hand of 21 × (x, y, z) in pixels of the crop.
fn read_hand(values: &[f32], padding: Padding, region: &Rect) -> Hand {
    let side = HAND_LANDMARKS.side as f32;
    let mut hand = [[0.0; 3]; LANDMARKS];
    for (landmark, values) in hand.iter_mut().zip(values.chunks_exact(3)) {
        let [x, y, z] = [values[0] / side, values[1] / side, values[2] / side / DEPTH_SCALE];
        *landmark = region.project(padding.remove([x, y, z]));
    }
    hand
}

/// Follows the left or the right hands of some people through a video.
#[derive(Debug)]
pub struct HandTracker {
    side: Side,
    recropper: HandRecropper,
    landmarker: HandLandmarker,
    /// For a second look.
    palms: Option<PalmDetector>,
    /// Each person's hand in the last frame.
    previous: Vec<Option<Hand>>,
}

impl HandTracker {
    /// The trackers of left and right hands, which share their nets' weights.
    ///
    /// # Errors
    /// The runtime refuses a net.
    pub fn load_both(models: &Models, hands: Hands) -> Result<[Self; 2], LoadError> {
        let (landmarkers, palms) = match hands {
            Hands::Standard => (models.load_twice(&HAND_LANDMARKS)?, [None, None]),
            Hands::Thorough => {
                let palms = [PalmDetector::load(models)?, PalmDetector::load(models)?];
                (models.load_twice(&SIDED_HAND_LANDMARKS)?, palms.map(Some))
            }
        };
        let [left_net, right_net] = landmarkers;
        let [left_recrop, right_recrop] = models.load_twice(&HAND_RECROP)?;
        let [left_palms, right_palms] = palms;
        let tracker = |side, net, recrop, palms| Self {
            side,
            recropper: HandRecropper { net: recrop },
            landmarker: HandLandmarker { net },
            palms,
            previous: Vec::new(),
        };
        Ok([
            tracker(Side::Left, left_net, left_recrop, left_palms),
            tracker(Side::Right, right_net, right_recrop, right_palms),
        ])
    }

    /// Forgets where the hands were.
    pub fn reset(&mut self) {
        self.previous.clear();
    }

    /// The hands in the next frame of the people whose bodies are `bodies`; `None` where there is none.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn track(
        &mut self,
        frame: &Frame,
        bodies: &[Option<Body>],
    ) -> Result<Vec<Option<Hand>>, LiteRtError> {
        let mut previous = std::mem::take(&mut self.previous);
        previous.resize(bodies.len(), None);
        for (body, previous) in bodies.iter().zip(previous) {
            let hand = match body {
                Some(body) => self.find(frame, body, previous.as_ref())?,
                None => None,
            };
            self.previous.push(hand);
        }
        Ok(self.previous.clone())
    }

    fn find(
        &mut self,
        frame: &Frame,
        body: &Body,
        previous: Option<&Hand>,
    ) -> Result<Option<Hand>, LiteRtError> {
        let size = Size::of(frame);
        let Some(rough) = self.side.rough_region(body, size) else { return Ok(None) };
        let expected = self.recropper.refine(frame, &rough)?;
        let region = choose_region(previous, expected, size);
        match self.landmarker.estimate(frame, &region)? {
            None if self.palms.is_some() => self.look_again(frame, body, previous),
            found => Ok(found),
        }
    }

    /// Looks where else the hand may be, if its wrist is seen.
    fn look_again(
        &mut self,
        frame: &Frame,
        body: &Body,
        previous: Option<&Hand>,
    ) -> Result<Option<Hand>, LiteRtError> {
        let size = Size::of(frame);
        let Some(around_wrist) = palm::search_region(self.side, body, size) else { return Ok(None) };
        if let Some(rough) = self.side.corrected_region(body, size) {
            let region = self.recropper.refine(frame, &rough)?;
            if let Some(hand) = self.own(frame, body, &region, palm::MINIMUM_PRESENCE)? {
                return Ok(Some(hand));
            }
        }
        if let Some(previous) = previous
            && let Some(hand) = self.own(frame, body, &region_of(previous, size), MINIMUM_PRESENCE)?
        {
            return Ok(Some(hand));
        }
        let Some(palms) = &mut self.palms else { return Ok(None) };
        for region in palms.detect(frame, &around_wrist)? {
            if let Some(hand) = self.own(frame, body, &region, palm::MINIMUM_PRESENCE)? {
                return Ok(Some(hand));
            }
        }
        Ok(None)
    }

    /// The hand in `region`, if it is this side's of this body, and the net is as sure of it as asked for.
    fn own(
        &mut self,
        frame: &Frame,
        body: &Body,
        region: &Rect,
        minimum_presence: f32,
    ) -> Result<Option<Hand>, LiteRtError> {
        let found = self.landmarker.estimate(frame, region)?;
        let is_sure = self.landmarker.presence() > minimum_presence;
        let handedness = self.landmarker.handedness().unwrap_or(f32::NAN);
        let is_own = |hand: &Hand| palm::belongs(hand, handedness, self.side, body, Size::of(frame));
        Ok(found.filter(|hand| is_sure && is_own(hand)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 400, height: 200 };

    fn body(visibility: f32) -> Body {
        let mut body = Body {
            landmarks: [[0.0; 3]; 33],
            visibility: [visibility; 33],
            world: [[0.0; 3]; 33],
            auxiliary: [[0.0; 3]; 2],
        };
        // The right hand points up: wrist at (200, 100), knuckles 30 pixels above.
        body.landmarks[16] = [0.5, 0.5, 0.0];
        body.landmarks[18] = [0.5, 0.35, 0.0];
        body.landmarks[20] = [0.5, 0.35, 0.0];
        body
    }

    #[test]
    fn the_rough_region_reaches_from_the_wrist_over_the_fingers() {
        let rect = Side::Right.rough_region(&body(0.2), SIZE).unwrap();
        assert!(rect.rotation.abs() < 1e-6);
        assert!((rect.width * 400.0 - 60.0 * 2.7).abs() < 1e-3);
        assert!((rect.x - 0.5).abs() < 1e-6);
        // 70 less a tenth of 60, the side before scaling.
        assert!((rect.y * 200.0 - 64.0).abs() < 1e-3);
    }

    #[test]
    fn a_hidden_wrist_has_no_region() {
        assert_eq!(Side::Right.rough_region(&body(0.099), SIZE), None);
        assert_eq!(Side::Right.rough_region(&body(f32::NAN), SIZE), None);
    }

    #[test]
    fn the_corrected_region_grows_with_the_width_of_the_knuckles() {
        let mut pointing = body(0.2);
        // Knuckles 10 pixels above the wrist and 40 pixels apart.
        pointing.landmarks[18] = [0.45, 0.45, 0.0];
        pointing.landmarks[20] = [0.55, 0.45, 0.0];
        let length = (10f32 * 10.0 + (20.0 / 3.0) * (20.0 / 3.0)).sqrt();
        let expected = (1.36807 * length + 0.57733 * 40.0) * 2.7;
        let rect = Side::Right.corrected_region(&pointing, SIZE).unwrap();
        assert!((rect.width * 400.0 - expected).abs() < 1e-2, "{rect:?}");
        assert!(rect.width > Side::Right.rough_region(&pointing, SIZE).unwrap().width);
    }

    #[test]
    fn the_region_of_a_hand_is_twice_its_palm() {
        // An upright hand: wrist at the bottom, all knuckles above it, 40 pixels high, 20 wide.
        let mut hand: Hand = [[0.5, 0.5, 0.0]; LANDMARKS];
        hand[0] = [0.5, 0.6, 0.0];
        for (i, x) in [(5, 0.475), (9, 0.5), (13, 0.525)] {
            hand[i] = [x, 0.4, 0.0];
        }
        // A finger tip doesn't count.
        hand[8] = [0.9, 0.0, 0.0];
        let rect = region_of(&hand, SIZE);
        assert!(rect.rotation.abs() < 1e-6, "{rect:?}");
        assert!((rect.width * 400.0 - 80.0).abs() < 1e-3);
        assert!((rect.y * 200.0 - 96.0).abs() < 1e-3);
    }

    #[test]
    fn without_a_previous_hand_the_expected_region_is_taken() {
        let expected = Rect { width: 0.1, height: 0.2, ..Rect::FRAME };
        assert_eq!(choose_region(None, expected, SIZE), expected);
    }
}
