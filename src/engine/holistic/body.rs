//! The body: finding a person, 33 landmarks, smoothing, and where to look in the next frame.

use std::f64::consts::FRAC_PI_2;

use super::detector::Detector;
use super::geometry::{Landmark, Padding, Rect, Size, sigmoid};
use super::litert::{LiteRtError, Net};
use super::models::{LoadError, Models, POSE_DETECTION, POSE_LANDMARKS};
use super::one_euro::{OneEuro, Response};
use super::warp::{Border, Crop};
use crate::video::Frame;

/// Landmarks of a body.
pub const LANDMARKS: usize = 33;
/// Landmarks of the net: the body's, two auxiliary ones (hip centre, a point on the circle around the body),
/// and some that nobody uses.
const NET_LANDMARKS: usize = 39;
/// Cells of a heat map along one side.
const HEATMAP_SIDE: usize = 64;
/// Cells to each side of the central one that refine a landmark. The graph's file says 3, but MediaPipe's
/// Python interface loses that option, so the default is in force.
const HEATMAP_REACH: usize = 4;
/// A heat map refines a landmark only where its strongest nearby cell is at least this sure.
const MINIMUM_HEAT: f32 = 0.5;
/// A body less sure than this is none.
const MINIMUM_PRESENCE: f32 = 0.5;
/// How much bigger the region is than the circle around the body.
const REGION_SCALE: f64 = 1.25;
/// Weight of a new visibility against the smoothed one.
const VISIBILITY_WEIGHT: f32 = 0.1;
/// A person smaller than this (pixels) is not smoothed: speed relative to size makes no sense.
const MINIMUM_SIZE: f64 = 1e-6;

const BODY_RESPONSE: Response = Response { minimum_cutoff: 0.05, beta: 80.0, derivative_cutoff: 1.0 };
const AUXILIARY_RESPONSE: Response = Response { minimum_cutoff: 0.01, beta: 10.0, derivative_cutoff: 1.0 };
const WORLD_RESPONSE: Response = Response { minimum_cutoff: 0.1, beta: 40.0, derivative_cutoff: 1.0 };

const DETECTION_CROP: Crop =
    Crop { side: POSE_DETECTION.side, range: (-1.0, 1.0), keep_aspect: true, border: Border::Zero };
const LANDMARK_CROP: Crop =
    Crop { side: POSE_LANDMARKS.side, range: (0.0, 1.0), keep_aspect: true, border: Border::Replicate };

/// A body in one frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// Normalised by the frame's width and height; z on the scale of x.
    pub landmarks: [Landmark; LANDMARKS],
    /// How likely each landmark is to be seen, from 0 to 1.
    pub visibility: [f32; LANDMARKS],
    /// Metres from the middle of the hips.
    pub world: [Landmark; LANDMARKS],
    /// Hip centre and a point on the circle around the body: from these follows where to look next.
    pub auxiliary: [Landmark; 2],
}

impl Body {
    /// Where to look for this body in the next frame.
    pub fn next_region(&self, size: Size) -> Rect {
        region(self.auxiliary.map(|[x, y, _]| [x, y]), size)
    }
}

/// The square around a person from hip centre and a point on the circle around the body.
fn region([hips, circle]: [[f32; 2]; 2], size: Size) -> Rect {
    Rect::align(hips, circle, FRAC_PI_2, size).scale(REGION_SCALE, 0.0, size)
}

/// Finds a person in a frame.
#[derive(Debug)]
pub struct PersonDetector {
    net: Net,
    detector: Detector<4>,
}

impl PersonDetector {
    /// Loads the net.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(models: &Models) -> Result<Self, LoadError> {
        let detector = Detector::new(POSE_DETECTION.side, &[8, 16, 32, 32, 32]);
        Ok(Self { net: models.load(&POSE_DETECTION)?, detector })
    }

    /// The region of the most certain person.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn detect(&mut self, frame: &Frame) -> Result<Option<Rect>, LiteRtError> {
        let padding = DETECTION_CROP.cut(frame, &Rect::FRAME, self.net.input_mut());
        self.net.run()?;
        let found = self.detector.best(self.net.output(0), self.net.output(1));
        Ok(found.map(|person| {
            let place = |[x, y]: [f32; 2]| {
                let [x, y, _] = padding.remove([x, y, 0.0]);
                [x, y]
            };
            region([place(person.keypoints[0]), place(person.keypoints[1])], Size::of(frame))
        }))
    }
}

/// Finds the landmarks of a body in a region of a frame.
#[derive(Debug)]
pub struct BodyLandmarker {
    net: Net,
}

impl BodyLandmarker {
    /// Loads the net.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(models: &Models) -> Result<Self, LoadError> {
        Ok(Self { net: models.load(&POSE_LANDMARKS)? })
    }

    /// The body in `region`, not smoothed; `None` where there is none.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn estimate(&mut self, frame: &Frame, region: &Rect) -> Result<Option<Body>, LiteRtError> {
        let padding = LANDMARK_CROP.cut(frame, region, self.net.input_mut());
        self.net.run()?;
        let presence = self.net.output(1).first().copied().unwrap_or(0.0);
        Ok((presence > MINIMUM_PRESENCE)
            .then(|| read_body(self.net.output(0), self.net.output(2), self.net.output(3), padding, region)))
    }
}

/// Makes a body of the net's outputs: 39 × (x, y, z, visibility, presence) in pixels of the crop, 64 × 64 × 39
/// heat maps, 39 × (x, y, z) in metres.
fn read_body(values: &[f32], heat: &[f32], world: &[f32], padding: Padding, region: &Rect) -> Body {
    let side = POSE_LANDMARKS.side as f32;
    let mut body = Body {
        landmarks: [[0.0; 3]; LANDMARKS],
        visibility: [0.0; LANDMARKS],
        world: [[0.0; 3]; LANDMARKS],
        auxiliary: [[0.0; 3]; 2],
    };
    let places = body.landmarks.iter_mut().chain(&mut body.auxiliary);
    for (i, (place, values)) in places.zip(values.chunks_exact(5)).enumerate() {
        let [x, y] = refine([values[0] / side, values[1] / side], i, heat);
        *place = region.project(padding.remove([x, y, values[2] / side]));
    }
    for (visibility, values) in body.visibility.iter_mut().zip(values.chunks_exact(5)) {
        *visibility = sigmoid(values[3]);
    }
    let (sin, cos) = region.rotation.sin_cos();
    for (place, values) in body.world.iter_mut().zip(world.chunks_exact(3)) {
        let (x, y) = (f64::from(values[0]), f64::from(values[1]));
        *place = [(cos * x - sin * y) as f32, (sin * x + cos * y) as f32, values[2]];
    }
    body
}

/// Moves landmark `i` to the mean of the heat around it.
fn refine([x, y]: [f32; 2], i: usize, heat: &[f32]) -> [f32; 2] {
    let cell = |value: f32| {
        // Cut off, not rounded down: what lies just outside still counts as the first cell.
        let cell = (value * HEATMAP_SIDE as f32) as i64;
        usize::try_from(cell).ok().filter(|&cell| cell < HEATMAP_SIDE)
    };
    let (Some(column), Some(row)) = (cell(x), cell(y)) else { return [x, y] };
    let window = |at: usize| at.saturating_sub(HEATMAP_REACH)..(at + HEATMAP_REACH + 1).min(HEATMAP_SIDE);
    let (mut sum, mut strongest, mut column_sum, mut row_sum) = (0f32, 0f32, 0f32, 0f32);
    for row in window(row) {
        for column in window(column) {
            let at = (row * HEATMAP_SIDE + column) * NET_LANDMARKS + i;
            let weight = heat.get(at).map_or(0.0, |&heat| sigmoid(heat));
            sum += weight;
            strongest = strongest.max(weight);
            column_sum += column as f32 * weight;
            row_sum += row as f32 * weight;
        }
    }
    if strongest < MINIMUM_HEAT {
        return [x, y];
    }
    [column_sum / HEATMAP_SIDE as f32 / sum, row_sum / HEATMAP_SIDE as f32 / sum]
}

/// Smooths a body over time.
#[derive(Clone, Debug)]
pub struct BodySmoother {
    landmarks: OneEuro<{ 3 * LANDMARKS }>,
    auxiliary: OneEuro<6>,
    world: OneEuro<{ 3 * LANDMARKS }>,
    visibility: Option<[f32; LANDMARKS]>,
    /// Frames without a body since the last one with one.
    missed: u32,
}

impl Default for BodySmoother {
    fn default() -> Self {
        Self {
            landmarks: OneEuro::new(BODY_RESPONSE),
            auxiliary: OneEuro::new(AUXILIARY_RESPONSE),
            world: OneEuro::new(WORLD_RESPONSE),
            visibility: None,
            missed: 0,
        }
    }
}

impl BodySmoother {
    /// Forgets everything: another video begins.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// A frame without a body: the landmarks start anew. Visibility and world landmarks do not, because
    /// MediaPipe's filters for these hear nothing of it; they see only that more time has passed.
    pub fn miss(&mut self) {
        self.landmarks.reset();
        self.auxiliary.reset();
        self.missed = self.missed.saturating_add(1);
    }

    /// The smoothed body. Speed counts relative to the person's size.
    pub fn smooth(&mut self, raw: &Body, size: Size) -> Body {
        let (width, height) = (f64::from(size.width), f64::from(size.height));
        let scale = [width, height, width];
        let [hips, circle] = raw.auxiliary.map(|[x, y, _]| size.pixels([x, y]));
        let person = 2.0 * (circle[0] - hips[0]).hypot(circle[1] - hips[1]);
        let frames = std::mem::take(&mut self.missed).saturating_add(1);
        let mut body = raw.clone();
        if person >= MINIMUM_SIZE {
            filter(&mut self.landmarks, &mut body.landmarks, scale, 1.0 / person, 1);
            filter(&mut self.auxiliary, &mut body.auxiliary, scale, 1.0 / person, 1);
        }
        filter(&mut self.world, &mut body.world, [1.0; 3], 1.0, frames);
        if let Some(smoothed) = self.visibility {
            for (new, old) in body.visibility.iter_mut().zip(smoothed) {
                *new = VISIBILITY_WEIGHT * *new + (1.0 - VISIBILITY_WEIGHT) * old;
            }
        }
        self.visibility = Some(body.visibility);
        body
    }
}

/// Filters points in units of `scale`.
fn filter<const N: usize>(
    filter: &mut OneEuro<N>,
    points: &mut [Landmark],
    scale: [f64; 3],
    value_scale: f64,
    frames: u32,
) {
    let mut sample = [0.0; N];
    for (sample, (value, scale)) in
        sample.iter_mut().zip(points.as_flattened().iter().zip(scale.into_iter().cycle()))
    {
        *sample = f64::from(*value) * scale;
    }
    let filtered = filter.filter(sample, value_scale, frames);
    for (value, (filtered, scale)) in
        points.as_flattened_mut().iter_mut().zip(filtered.into_iter().zip(scale.into_iter().cycle()))
    {
        *value = (filtered / scale) as f32;
    }
}

/// Follows one person's body through a video.
#[derive(Debug)]
pub struct BodyTracker {
    detector: PersonDetector,
    landmarker: BodyLandmarker,
    smoother: BodySmoother,
    /// Where the body is expected; absent where it was not found in the last frame.
    region: Option<Rect>,
}

impl BodyTracker {
    /// Loads the nets.
    ///
    /// # Errors
    /// The runtime refuses a net.
    pub fn load(models: &Models) -> Result<Self, LoadError> {
        Ok(Self {
            detector: PersonDetector::load(models)?,
            landmarker: BodyLandmarker::load(models)?,
            smoother: BodySmoother::default(),
            region: None,
        })
    }

    /// Forgets the body: the next frame is searched for a person.
    pub fn reset(&mut self) {
        self.region = None;
        self.smoother.reset();
    }

    /// The body in the next frame; `None` where there is none.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn track(&mut self, frame: &Frame) -> Result<Option<Body>, LiteRtError> {
        let region = match self.region.take() {
            Some(region) => Some(region),
            None => self.detector.detect(frame)?,
        };
        let raw = match region {
            Some(region) => self.landmarker.estimate(frame, &region)?,
            None => None,
        };
        let Some(raw) = raw else {
            self.smoother.miss();
            return Ok(None);
        };
        let body = self.smoother.smooth(&raw, Size::of(frame));
        self.region = Some(body.next_region(Size::of(frame)));
        Ok(Some(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 640, height: 480 };

    fn heat(cells: &[(usize, usize, f32)]) -> Vec<f32> {
        let mut heat = vec![-100.0; HEATMAP_SIDE * HEATMAP_SIDE * NET_LANDMARKS];
        for &(column, row, value) in cells {
            heat[(row * HEATMAP_SIDE + column) * NET_LANDMARKS + 5] = value;
        }
        heat
    }

    #[test]
    fn heat_moves_a_landmark_within_four_cells() {
        let at = [32.5 / 64.0, 20.5 / 64.0];
        assert_eq!(refine(at, 5, &heat(&[(36, 24, 100.0)])), [36.0 / 64.0, 24.0 / 64.0]);
        assert_eq!(refine(at, 5, &heat(&[(37, 24, 100.0)])), at, "beyond the window");
        assert_eq!(refine(at, 5, &heat(&[(33, 20, -0.1)])), at, "not sure enough");
        assert_eq!(refine(at, 4, &heat(&[(36, 24, 100.0)])), at, "another landmark's heat");
        assert_eq!(refine([1.0, 0.5], 5, &heat(&[(63, 32, 100.0)]))[0], 1.0, "outside");
    }

    #[test]
    fn the_mean_weighs_cells_by_their_heat() {
        let [x, y] = refine([0.5, 0.5], 5, &heat(&[(32, 32, 0.0), (33, 32, 100.0)]));
        assert!((x - (32.0 * 0.5 + 33.0) / 1.5 / 64.0).abs() < 1e-6);
        assert_eq!(y, 0.5);
    }

    fn body(offset: f32) -> Body {
        Body {
            landmarks: [[0.5 + offset, 0.5, 0.1]; LANDMARKS],
            visibility: [0.5 + offset; LANDMARKS],
            world: [[offset, 0.0, 0.0]; LANDMARKS],
            auxiliary: [[0.5 + offset, 0.5, 0.0], [0.5 + offset, 0.25, 0.0]],
        }
    }

    #[test]
    fn the_first_body_passes_and_later_ones_are_held_back() {
        let mut smoother = BodySmoother::default();
        assert_eq!(smoother.smooth(&body(0.0), SIZE), body(0.0));
        let second = smoother.smooth(&body(0.01), SIZE);
        let x = second.landmarks[0][0];
        assert!(0.5 < x && x < 0.51, "{x}");
        assert!((second.visibility[0] - 0.501).abs() < 1e-6);
        assert!(second.auxiliary[0][0] < x, "the auxiliary points are held back more");
        smoother.miss();
        let third = smoother.smooth(&body(0.02), SIZE);
        assert_eq!(third.landmarks, body(0.02).landmarks);
        assert_ne!(third.visibility, body(0.02).visibility);
        assert_ne!(third.world, body(0.02).world);
        smoother.reset();
        assert_eq!(smoother.smooth(&body(0.01), SIZE), body(0.01));
    }

    #[test]
    fn a_person_of_no_size_is_not_smoothed() {
        let mut point = body(0.0);
        point.auxiliary[1] = point.auxiliary[0];
        let mut smoother = BodySmoother::default();
        assert_eq!(smoother.smooth(&point, SIZE), point);
    }

    #[test]
    fn the_next_region_is_a_square_around_the_circle() {
        let region = body(0.0).next_region(SIZE);
        // The circle's radius is a quarter of 480 pixels.
        assert!((region.width * 640.0 - 300.0).abs() < 1e-3);
        assert!((region.height * 480.0 - 300.0).abs() < 1e-3);
        assert!(region.rotation.abs() < 1e-9);
    }
}
