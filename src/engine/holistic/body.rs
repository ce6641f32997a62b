//! The body: finding a person, 33 landmarks, smoothing, and where to look in the next frame.

use std::f32::consts::FRAC_PI_2;

use super::detector::Detector;
use super::geometry::{Landmark, Padding, Rect, Size, double_distance, sigmoid};
use super::litert::LiteRtError;
use super::models::{BODY_SIDE, LoadError, Models, POSE_DETECTION, body_landmarks};
use super::net::Net;
use super::one_euro::{OneEuro, Response, low_pass};
use super::options::Options;
use super::warp::{Border, Crop};
use oppose_core::Frame;

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
/// How much bigger the region is than the circle around the body.
const REGION_SCALE: f32 = 1.25;
/// Weight of a new visibility against the smoothed one.
const VISIBILITY_WEIGHT: f32 = 0.1;
/// A person smaller than this (pixels) is not smoothed: speed relative to size makes no sense.
const MINIMUM_SIZE: f32 = 1e-6;

/// While somebody is followed, further people are searched for in every so many-th frame: as often as anybody could tell
/// from the result, and at a fifth of the time.
const SEARCH_INTERVAL: u64 = 5;
/// A person whose hips are nearer than this to those of one who is followed, as a fraction of the region's side, is the
/// same: less than half the width of the shoulders.
const SAME_PLACE: f32 = 0.1;
/// Bodies whose landmarks are nearer than this on average, as a fraction of the region's side, are the same.
const SAME_BODY: f32 = 0.05;

const BODY_RESPONSE: Response = Response { minimum_cutoff: 0.05, beta: 80.0, derivative_cutoff: 1.0 };
const AUXILIARY_RESPONSE: Response = Response { minimum_cutoff: 0.01, beta: 10.0, derivative_cutoff: 1.0 };
const WORLD_RESPONSE: Response = Response { minimum_cutoff: 0.1, beta: 40.0, derivative_cutoff: 1.0 };

const DETECTION_CROP: Crop =
    Crop { side: POSE_DETECTION.side, range: (-1.0, 1.0), keep_aspect: true, border: Border::Zero };
const LANDMARK_CROP: Crop =
    Crop { side: BODY_SIDE, range: (0.0, 1.0), keep_aspect: true, border: Border::Replicate };

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
    minimum_score: f32,
}

impl PersonDetector {
    /// Loads the net.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(models: &Models, options: &Options) -> Result<Self, LoadError> {
        let detector = Detector::new(POSE_DETECTION.side, &[8, 16, 32, 32, 32]);
        let minimum_score = options.minimum_detection_confidence as f32;
        Ok(Self { net: models.load(&POSE_DETECTION)?, detector, minimum_score })
    }

    /// The region of the most certain person.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn detect(&mut self, frame: &Frame) -> Result<Option<Rect>, LiteRtError> {
        Ok(self.detect_all(frame)?.next())
    }

    /// The regions of all people, the most certain first.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn detect_all(&mut self, frame: &Frame) -> Result<impl Iterator<Item = Rect>, LiteRtError> {
        let padding = DETECTION_CROP.cut(frame, &Rect::FRAME, self.net.input_mut());
        self.net.run()?;
        let found = self.detector.all(self.net.output(0), self.net.output(1), self.minimum_score);
        let size = Size::of(frame);
        Ok(found.map(move |person| {
            let place = |[x, y]: [f32; 2]| {
                let [x, y, _] = padding.remove([x, y, 0.0]);
                [x, y]
            };
            region([place(person.keypoints[0]), place(person.keypoints[1])], size)
        }))
    }
}

/// Finds the landmarks of a body in a region of a frame.
#[derive(Debug)]
pub struct BodyLandmarker {
    net: Net,
    minimum_presence: f64,
}

impl BodyLandmarker {
    /// Loads the net.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(models: &Models, options: &Options) -> Result<Self, LoadError> {
        let net = models.load_for(body_landmarks(options.complexity), options.body_threads())?;
        Ok(Self { net, minimum_presence: options.minimum_tracking_confidence })
    }

    /// The body in `region`, not smoothed; `None` where there is none.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn estimate(&mut self, frame: &Frame, region: &Rect) -> Result<Option<Body>, LiteRtError> {
        let padding = LANDMARK_CROP.cut(frame, region, self.net.input_mut());
        self.net.run()?;
        let presence = self.net.output(1).first().copied().unwrap_or(0.0);
        Ok((f64::from(presence) > self.minimum_presence)
            .then(|| read_body(self.net.output(0), self.net.output(2), self.net.output(3), padding, region)))
    }
}

/// Makes a body of the net's outputs: 39 × (x, y, z, visibility, presence) in pixels of the crop, 64 × 64 × 39
/// heat maps, 39 × (x, y, z) in metres.
fn read_body(values: &[f32], heat: &[f32], world: &[f32], padding: Padding, region: &Rect) -> Body {
    let side = BODY_SIDE as f32;
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
    let (sin, cos) = (region.rotation.sin(), region.rotation.cos());
    for (place, values) in body.world.iter_mut().zip(world.chunks_exact(3)) {
        let (x, y) = (values[0], values[1]);
        *place = [cos * x - sin * y, sin * x + cos * y, values[2]];
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
    /// Whether the landmarks are smoothed. The auxiliary ones always are.
    smooths_landmarks: bool,
    landmarks: OneEuro<{ 3 * LANDMARKS }>,
    auxiliary: OneEuro<6>,
    world: OneEuro<{ 3 * LANDMARKS }>,
    visibility: Option<[f32; LANDMARKS]>,
    /// Number of frames so far, with a body or without.
    frames: u64,
}

impl BodySmoother {
    /// One that has seen nothing.
    pub fn new(options: &Options) -> Self {
        Self {
            smooths_landmarks: options.smooths(),
            landmarks: OneEuro::new(BODY_RESPONSE),
            auxiliary: OneEuro::new(AUXILIARY_RESPONSE),
            world: OneEuro::new(WORLD_RESPONSE),
            visibility: None,
            frames: 0,
        }
    }

    /// Forgets everything: another video begins.
    pub fn reset(&mut self) {
        self.landmarks.reset();
        self.auxiliary.reset();
        self.world.reset();
        self.visibility = None;
        self.frames = 0;
    }

    /// A frame without a body: the landmarks start again. Visibility and world landmarks do not, because
    /// MediaPipe's filters for these are not told; they see only that more time has passed.
    pub fn miss(&mut self) {
        self.landmarks.reset();
        self.auxiliary.reset();
        self.frames += 1;
    }

    /// The smoothed body. Speed counts relative to the person's size.
    pub fn smooth(&mut self, raw: &Body, size: Size) -> Body {
        self.frames += 1;
        let (width, height) = (size.w(), size.h());
        let [hips, circle] = raw.auxiliary.map(|[x, y, _]| size.pixels([x, y]));
        let side = double_distance(hips, circle);
        let person = (side / width * width + side / height * height) / 2.0;
        let scale = (person >= MINIMUM_SIZE).then(|| 1.0 / person);
        let mut body = raw.clone();
        if self.smooths_landmarks {
            filter(Some(&mut self.landmarks), &mut body.landmarks, size, scale, self.frames);
            let world = self.world.filter(flat(&body.world), 1.0, self.frames);
            body.world.as_flattened_mut().copy_from_slice(&world);
            if let Some(smoothed) = self.visibility {
                for (new, old) in body.visibility.iter_mut().zip(smoothed) {
                    *new = low_pass(*new, old, VISIBILITY_WEIGHT);
                }
            }
            self.visibility = Some(body.visibility);
        } else {
            filter::<{ 3 * LANDMARKS }>(None, &mut body.landmarks, size, scale, self.frames);
        }
        filter(Some(&mut self.auxiliary), &mut body.auxiliary, size, scale, self.frames);
        body
    }
}

/// The values of some landmarks in a row.
fn flat<const N: usize>(points: &[Landmark]) -> [f32; N] {
    let mut values = [0.0; N];
    for (value, point) in values.iter_mut().zip(points.as_flattened()) {
        *value = *point;
    }
    values
}

/// Filters points in pixels. Without a filter or a scale, the points still go to pixels and back, as they do in
/// MediaPipe, which may change their last bit.
fn filter<const N: usize>(
    filter: Option<&mut OneEuro<N>>,
    points: &mut [Landmark],
    size: Size,
    value_scale: Option<f32>,
    frame: u64,
) {
    let scale = [size.w(), size.h(), size.w()];
    for point in points.iter_mut() {
        *point = [0, 1, 2].map(|axis| point[axis] * scale[axis]);
    }
    if let (Some(filter), Some(value_scale)) = (filter, value_scale) {
        let filtered = filter.filter(flat(points), value_scale, frame);
        points.as_flattened_mut().copy_from_slice(&filtered);
    }
    for point in points {
        *point = [0, 1, 2].map(|axis| point[axis] / scale[axis]);
    }
}

/// Follows the bodies of some people through a video.
#[derive(Debug)]
pub struct BodyTracker {
    detector: PersonDetector,
    landmarker: BodyLandmarker,
    options: Options,
    /// In the order in which they were found. The first one is there from the beginning.
    followed: Vec<Followed>,
    /// Number of frames so far.
    frames: u64,
}

/// What is remembered of one person.
#[derive(Clone, Debug)]
struct Followed {
    smoother: BodySmoother,
    /// Where the body is expected; absent where it was not found in the last frame.
    region: Option<Rect>,
}

impl Followed {
    fn nobody(options: &Options) -> Self {
        Self { smoother: BodySmoother::new(options), region: None }
    }
}

impl BodyTracker {
    /// Loads the nets.
    ///
    /// # Errors
    /// The runtime refuses a net.
    pub fn load(models: &Models, options: &Options) -> Result<Self, LoadError> {
        Ok(Self {
            detector: PersonDetector::load(models, options)?,
            landmarker: BodyLandmarker::load(models, options)?,
            options: *options,
            followed: vec![Followed::nobody(options)],
            frames: 0,
        })
    }

    /// Whether idle threads of the current pool help to find landmarks.
    pub(super) fn is_divided(&self) -> bool {
        self.landmarker.net.is_divided()
    }

    /// Forgets the bodies: the next frame is searched for people.
    pub fn reset(&mut self) {
        self.followed.truncate(1);
        self.followed[0] = Followed::nobody(&self.options);
        self.frames = 0;
    }

    /// The bodies in the next frame, each person's at the same index as in the last one; `None` where there is none.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn track(&mut self, frame: &Frame) -> Result<Vec<Option<Body>>, LiteRtError> {
        let size = Size::of(frame);
        if self.options.still_images {
            self.followed.iter_mut().for_each(|person| person.region = None);
        }
        self.search(frame)?;
        self.frames += 1;
        let mut bodies: Vec<Option<Body>> = Vec::with_capacity(self.followed.len());
        for person in &mut self.followed {
            let raw = match person.region.take() {
                Some(region) => self.landmarker.estimate(frame, &region)?,
                None => None,
            };
            let is_new = |raw: &Body| !bodies.iter().flatten().any(|other| is_same(raw, other, size));
            let body = raw.filter(is_new).map(|raw| person.smoother.smooth(&raw, size));
            match &body {
                Some(body) => person.region = Some(body.next_region(size)),
                None => person.smoother.miss(),
            }
            bodies.push(body);
        }
        Ok(bodies)
    }

    /// Looks for people who are not followed yet, where some are wanted.
    fn search(&mut self, frame: &Frame) -> Result<(), LiteRtError> {
        let size = Size::of(frame);
        let known: Vec<Rect> = self.followed.iter().filter_map(|person| person.region).collect();
        let is_due = known.is_empty() || self.frames.is_multiple_of(SEARCH_INTERVAL);
        if known.len() >= self.options.max_people || !is_due {
            return Ok(());
        }
        let found = self.detector.detect_all(frame)?;
        let others = found.filter(|region| !known.iter().any(|known| is_at(region, known, size)));
        for region in others.take(self.options.max_people - known.len()) {
            match self.followed.iter_mut().find(|person| person.region.is_none()) {
                Some(person) => person.region = Some(region),
                None => {
                    self.followed.push(Followed { region: Some(region), ..Followed::nobody(&self.options) });
                }
            }
        }
        Ok(())
    }
}

/// Whether a person was found where one is followed already: the hips are in one place.
fn is_at(found: &Rect, known: &Rect, size: Size) -> bool {
    let [a, b] = [found, known].map(|region| size.pixels([region.x, region.y]));
    double_distance(a, b) / 2.0 < SAME_PLACE * known.width.max(found.width) * size.w()
}

/// Whether two bodies are one person's, who is then followed twice.
fn is_same(a: &Body, b: &Body, size: Size) -> bool {
    let pairs = a.landmarks.iter().zip(&b.landmarks);
    let distances =
        pairs.map(|(a, b)| double_distance(size.pixels([a[0], a[1]]), size.pixels([b[0], b[1]])) / 2.0);
    let mean = distances.sum::<f32>() / LANDMARKS as f32;
    mean < SAME_BODY * a.next_region(size).width * size.w()
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
        let mut smoother = BodySmoother::new(&Options::new());
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
        let mut smoother = BodySmoother::new(&Options::new());
        assert_eq!(smoother.smooth(&point, SIZE), point);
    }

    #[test]
    fn the_next_region_is_a_square_around_the_circle() {
        let region = body(0.0).next_region(SIZE);
        // The circle's radius is a quarter of 480 pixels.
        assert!((region.width * 640.0 - 300.0).abs() < 1e-3);
        assert!((region.height * 480.0 - 300.0).abs() < 1e-3);
        assert!(region.rotation.abs() < 1e-6);
    }

    #[test]
    fn people_are_told_apart_by_where_they_are() {
        let region = body(0.0).next_region(SIZE);
        let at = |x: f32| Rect { x: region.x + x, ..region };
        assert!(is_at(&at(0.02), &region, SIZE));
        assert!(!is_at(&at(0.1), &region, SIZE), "64 pixels, where the region has 300");
        assert!(is_same(&body(0.0), &body(0.01), SIZE));
        assert!(!is_same(&body(0.0), &body(0.05), SIZE));
    }
}
