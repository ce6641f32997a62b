//! The face: where it should be by the body's eyes, ears and mouth, a detection there, 468 or 478 landmarks.

use super::attention::{self, AttentionNet};
use super::body::Body;
use super::detector::Detector;
use super::geometry::{Landmark, Rect, Size, bounds, direction, positive_bounds, sigmoid};
use super::litert::LiteRtError;
use super::models::{FACE_DETECTION, FACE_LANDMARKS, LoadError, Models};
use super::net::Net;
use super::options::Options;
use super::tracking::Limits;
use super::warp::{Border, Crop};
use oppose_core::Frame;

/// Landmarks of a face.
pub const LANDMARKS: usize = 468;
/// Landmarks of a refined face: those of a face, then five for each iris.
pub const REFINED_LANDMARKS: usize = attention::LANDMARKS;
/// Landmarks of the body that belong to the face.
const BODY_LANDMARKS: usize = 11;
/// The body's right and left eye, by which the rough region is turned.
const BODY_EYES: [usize; 2] = [5, 2];
/// Corners of the right and the left eye in the mesh.
const MESH_EYES: [usize; 2] = [33, 263];
/// Detections less sure than this are dropped.
const MINIMUM_SCORE: f32 = 0.5;
/// A face less sure than this is none.
const MINIMUM_PRESENCE: f32 = 0.5;
/// How much bigger the rough region is than the box around the body's landmarks.
const ROUGH_SCALE: f32 = 3.0;
/// How much bigger the region is than the box around a detection's keypoints.
const DETECTION_SCALE: f32 = 2.0;
/// The region of a detection is moved up by this part of its height.
const DETECTION_SHIFT: f32 = -0.1;
/// How much bigger the region is than the box around the last frame's landmarks.
const TRACKING_SCALE: f32 = 1.5;
/// When the last frame's region is kept.
const LIMITS: Limits = Limits { rotation: 15.0, translation: 0.1, scale: 0.3, margin: -0.2 };

const DETECTION_CROP: Crop =
    Crop { side: FACE_DETECTION.side, range: (-1.0, 1.0), keep_aspect: true, border: Border::Zero };
const LANDMARK_CROP: Crop =
    Crop { side: FACE_LANDMARKS.side, range: (0.0, 1.0), keep_aspect: false, border: Border::Replicate };

/// A face in one frame, of [`LANDMARKS`] or [`REFINED_LANDMARKS`] landmarks: normalised by the frame's width and
/// height, z on the scale of x.
pub type Face = [Landmark];

/// The rotation that makes the line from one point to the other level.
fn level([from, to]: [[f32; 2]; 2], size: Size) -> f32 {
    direction(size.pixels(from), size.pixels(to), 0.0)
}

/// The upright bounding box of landmarks, given a rotation all the same: what MediaPipe does with a face.
fn around(points: impl IntoIterator<Item = [f32; 2]>, rotation: f32) -> Rect {
    let ([left, top], [right, bottom]) = positive_bounds(points);
    let (width, height) = (right - left, bottom - top);
    Rect { x: left + width / 2.0, y: top + height / 2.0, width, height, rotation }
}

/// The same for the keypoints of a detection, for which MediaPipe computes the centre in another way.
fn around_keypoints(points: impl IntoIterator<Item = [f32; 2]>, rotation: f32) -> Rect {
    let ([left, top], [right, bottom]) = bounds(points);
    let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0);
    Rect { x, y, width: right - left, height: bottom - top, rotation }
}

/// Roughly where the face is by the body.
pub fn rough_region(body: &Body, size: Size) -> Rect {
    let point = |i: usize| [body.landmarks[i][0], body.landmarks[i][1]];
    let rotation = level(BODY_EYES.map(point), size);
    around((0..BODY_LANDMARKS).map(point), rotation).scale(ROUGH_SCALE, 0.0, size)
}

/// Where a face with these landmarks is.
pub fn region_of(face: &Face, size: Size) -> Rect {
    let point = |i: usize| [face[i][0], face[i][1]];
    let rotation = level(MESH_EYES.map(point), size);
    around((0..face.len()).map(point), rotation).scale(TRACKING_SCALE, 0.0, size)
}

/// Where to look for the face: around where it was, if that agrees with where it was `detected`.
pub fn choose_region(previous: Option<&Face>, detected: Rect, size: Size) -> Rect {
    previous.map_or(detected, |face| LIMITS.choose(region_of(face, size), face, detected, size))
}

/// Finds a face in a region of a frame.
#[derive(Debug)]
pub struct FaceDetector {
    net: Net,
    detector: Detector<6>,
}

impl FaceDetector {
    /// Loads the net.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(models: &Models) -> Result<Self, LoadError> {
        let detector = Detector::new(FACE_DETECTION.side, &[8, 16, 16, 16]);
        Ok(Self { net: models.load(&FACE_DETECTION)?, detector })
    }

    /// The region of the most certain face in `rough`.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn detect(&mut self, frame: &Frame, rough: &Rect) -> Result<Option<Rect>, LiteRtError> {
        DETECTION_CROP.cut(frame, rough, self.net.input_mut());
        self.net.run()?;
        let size = Size::of(frame);
        let (region, _) = DETECTION_CROP.region(size, rough);
        Ok(self.detector.best(self.net.output(0), self.net.output(1), MINIMUM_SCORE).map(|face| {
            let keypoints = face.keypoints.map(|point| region.project(point, size));
            let rotation = level([keypoints[0], keypoints[1]], size);
            around_keypoints(keypoints, rotation).scale(DETECTION_SCALE, DETECTION_SHIFT, size)
        }))
    }
}

/// Finds the landmarks of a face in a region of a frame.
#[derive(Debug)]
pub struct FaceLandmarker {
    net: FaceNet,
}

#[derive(Debug)]
enum FaceNet {
    Plain(Net),
    Refined(AttentionNet),
}

impl FaceLandmarker {
    /// Loads the net.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(models: &Models, options: &Options) -> Result<Self, LoadError> {
        let net = match options.refine_face {
            true => FaceNet::Refined(AttentionNet::load(models)?),
            false => FaceNet::Plain(models.load(&FACE_LANDMARKS)?),
        };
        Ok(Self { net })
    }

    /// The face in `region`; `None` where there is none.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn estimate(&mut self, frame: &Frame, region: &Rect) -> Result<Option<Box<Face>>, LiteRtError> {
        let is_face = |presence: f32| sigmoid(presence) > MINIMUM_PRESENCE;
        match &mut self.net {
            FaceNet::Plain(net) => {
                LANDMARK_CROP.cut(frame, region, net.input_mut());
                net.run()?;
                let presence = net.output(1).first().copied().unwrap_or(f32::NEG_INFINITY);
                let (points, _) = net.output(0).as_chunks::<3>();
                let side = FACE_LANDMARKS.side as f32;
                let points = points.iter().map(|point| point.map(|value| value / side));
                Ok(is_face(presence).then(|| in_frame(points, region)))
            }
            FaceNet::Refined(net) => {
                LANDMARK_CROP.cut(frame, region, net.input_mut());
                let presence = net.run()?;
                Ok(if is_face(presence) { Some(in_frame(net.refine()?.into_iter(), region)) } else { None })
            }
        }
    }
}

/// Makes a face of points normalised by the side of the crop.
fn in_frame(points: impl Iterator<Item = Landmark>, region: &Rect) -> Box<Face> {
    points.map(|point| region.project(point)).collect()
}

/// Follows the faces of some people through a video.
#[derive(Debug)]
pub struct FaceTracker {
    detector: FaceDetector,
    landmarker: FaceLandmarker,
    /// Each person's face in the last frame.
    previous: Vec<Option<Box<Face>>>,
}

impl FaceTracker {
    /// Loads the nets.
    ///
    /// # Errors
    /// The runtime refuses a net.
    pub fn load(models: &Models, options: &Options) -> Result<Self, LoadError> {
        let (detector, landmarker) = (FaceDetector::load(models)?, FaceLandmarker::load(models, options)?);
        Ok(Self { detector, landmarker, previous: Vec::new() })
    }

    /// Forgets where the faces were.
    pub fn reset(&mut self) {
        self.previous.clear();
    }

    /// The faces in the next frame of the people whose bodies are `bodies`; `None` where there is none.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn track(
        &mut self,
        frame: &Frame,
        bodies: &[Option<Body>],
    ) -> Result<Vec<Option<Box<Face>>>, LiteRtError> {
        let mut previous = std::mem::take(&mut self.previous);
        previous.resize(bodies.len(), None);
        for (body, previous) in bodies.iter().zip(previous) {
            let face = match body {
                Some(body) => self.find(frame, body, previous.as_deref())?,
                None => None,
            };
            self.previous.push(face);
        }
        Ok(self.previous.clone())
    }

    fn find(
        &mut self,
        frame: &Frame,
        body: &Body,
        previous: Option<&Face>,
    ) -> Result<Option<Box<Face>>, LiteRtError> {
        let size = Size::of(frame);
        let Some(detected) = self.detector.detect(frame, &rough_region(body, size))? else { return Ok(None) };
        self.landmarker.estimate(frame, &choose_region(previous, detected, size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 400, height: 200 };

    #[test]
    fn the_rough_region_is_three_times_the_longer_side_of_the_faces_box() {
        let mut body = Body {
            landmarks: [[0.5, 0.5, 0.0]; 33],
            visibility: [1.0; 33],
            world: [[0.0; 3]; 33],
            auxiliary: [[0.0; 3]; 2],
        };
        // Eyes 20 pixels apart on a slope of 45 degrees; hands far away don't count.
        body.landmarks[5] = [0.475, 0.45, 0.0];
        body.landmarks[2] = [0.525, 0.55, 0.0];
        body.landmarks[20] = [0.0, 0.0, 0.0];
        let rect = rough_region(&body, SIZE);
        assert!((rect.rotation - std::f32::consts::FRAC_PI_4).abs() < 1e-6, "{rect:?}");
        assert!((rect.width * 400.0 - 60.0).abs() < 1e-3);
        assert!((rect.x - 0.5).abs() < 1e-6);
    }

    #[test]
    fn the_face_is_followed_while_it_agrees_with_the_detection() {
        let mut face = [[0.5, 0.5, 0.0]; LANDMARKS];
        face[33] = [0.45, 0.5, 0.0];
        face[263] = [0.55, 0.5, 0.0];
        let own = region_of(&face, SIZE);
        assert!((own.width * 400.0 - 60.0).abs() < 1e-3);
        let near = Rect::square([202.0, 100.0], 62.0, 0.0, SIZE);
        assert_eq!(choose_region(Some(&face), near, SIZE), own);
        let far = Rect::square([210.0, 100.0], 62.0, 0.0, SIZE);
        assert_eq!(choose_region(Some(&face), far, SIZE), far);
        assert_eq!(choose_region(None, near, SIZE), near);
    }
}
