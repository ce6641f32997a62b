//! The face: where it should be by the body's eyes, ears and mouth, a detection there, 468 landmarks.

use super::body::Body;
use super::detector::Detector;
use super::geometry::{Landmark, Rect, Size, direction, sigmoid};
use super::litert::{LiteRtError, Net};
use super::models::{FACE_DETECTION, FACE_LANDMARKS, LoadError, Models};
use super::tracking::Limits;
use super::warp::{Border, Crop};
use crate::video::Frame;

/// Landmarks of a face.
pub const LANDMARKS: usize = 468;
/// Landmarks of the body that belong to the face.
const BODY_LANDMARKS: usize = 11;
/// The body's right and left eye, by which the rough region is turned.
const BODY_EYES: [usize; 2] = [5, 2];
/// Corners of the right and the left eye in the mesh.
const MESH_EYES: [usize; 2] = [33, 263];
/// A face less sure than this is none.
const MINIMUM_PRESENCE: f32 = 0.5;
/// How much bigger the rough region is than the box around the body's landmarks.
const ROUGH_SCALE: f64 = 3.0;
/// How much bigger the region is than the box around a detection's keypoints.
const DETECTION_SCALE: f64 = 2.0;
/// The region of a detection is moved up by this part of its height.
const DETECTION_SHIFT: f64 = -0.1;
/// How much bigger the region is than the box around the last frame's landmarks.
const TRACKING_SCALE: f64 = 1.5;
/// When the last frame's region is kept.
const LIMITS: Limits = Limits { rotation: 15.0, translation: 0.1, scale: 0.3, inside: 0.8 };

const DETECTION_CROP: Crop =
    Crop { side: FACE_DETECTION.side, range: (-1.0, 1.0), keep_aspect: true, border: Border::Zero };
const LANDMARK_CROP: Crop =
    Crop { side: FACE_LANDMARKS.side, range: (0.0, 1.0), keep_aspect: false, border: Border::Replicate };

/// A face in one frame: normalised by the frame's width and height, z on the scale of x.
pub type Face = [Landmark; LANDMARKS];

/// The rotation that makes the line from one point to the other level.
fn level([from, to]: [[f32; 2]; 2], size: Size) -> f64 {
    direction(size.pixels(from), size.pixels(to), 0.0)
}

/// Roughly where the face is by the body.
pub fn rough_region(body: &Body, size: Size) -> Rect {
    let point = |i: usize| [body.landmarks[i][0], body.landmarks[i][1]];
    let rotation = level(BODY_EYES.map(point), size);
    Rect::around((0..BODY_LANDMARKS).map(point), rotation).scale(ROUGH_SCALE, 0.0, size)
}

/// Where a face with these landmarks is.
pub fn region_of(face: &Face, size: Size) -> Rect {
    let point = |i: usize| [face[i][0], face[i][1]];
    let rotation = level(MESH_EYES.map(point), size);
    Rect::around((0..LANDMARKS).map(point), rotation).scale(TRACKING_SCALE, 0.0, size)
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
        // The rough region is square in pixels: no padding.
        DETECTION_CROP.cut(frame, rough, self.net.input_mut());
        self.net.run()?;
        let size = Size::of(frame);
        Ok(self.detector.best(self.net.output(0), self.net.output(1)).map(|face| {
            let keypoints = face.keypoints.map(|point| rough.project_pixels(point, size));
            let rotation = level([keypoints[0], keypoints[1]], size);
            Rect::around(keypoints, rotation).scale(DETECTION_SCALE, DETECTION_SHIFT, size)
        }))
    }
}

/// Finds the landmarks of a face in a region of a frame.
#[derive(Debug)]
pub struct FaceLandmarker {
    net: Net,
}

impl FaceLandmarker {
    /// Loads the net.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(models: &Models) -> Result<Self, LoadError> {
        Ok(Self { net: models.load(&FACE_LANDMARKS)? })
    }

    /// The face in `region`; `None` where there is none.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn estimate(&mut self, frame: &Frame, region: &Rect) -> Result<Option<Box<Face>>, LiteRtError> {
        LANDMARK_CROP.cut(frame, region, self.net.input_mut());
        self.net.run()?;
        let presence = sigmoid(self.net.output(1).first().copied().unwrap_or(f32::NEG_INFINITY));
        Ok((presence > MINIMUM_PRESENCE).then(|| read_face(self.net.output(0), region)))
    }
}

/// Makes a face of 468 × (x, y, z) in pixels of the crop.
fn read_face(values: &[f32], region: &Rect) -> Box<Face> {
    let side = FACE_LANDMARKS.side as f32;
    let mut face = Box::new([[0.0; 3]; LANDMARKS]);
    for (landmark, values) in face.iter_mut().zip(values.chunks_exact(3)) {
        *landmark = region.project([values[0] / side, values[1] / side, values[2] / side]);
    }
    face
}

/// Follows the face through a video.
#[derive(Debug)]
pub struct FaceTracker {
    detector: FaceDetector,
    landmarker: FaceLandmarker,
    previous: Option<Box<Face>>,
}

impl FaceTracker {
    /// Loads the nets.
    ///
    /// # Errors
    /// The runtime refuses a net.
    pub fn load(models: &Models) -> Result<Self, LoadError> {
        let (detector, landmarker) = (FaceDetector::load(models)?, FaceLandmarker::load(models)?);
        Ok(Self { detector, landmarker, previous: None })
    }

    /// Forgets where the face was.
    pub fn reset(&mut self) {
        self.previous = None;
    }

    /// The face in the next frame, whose body is `body`; `None` where there is none.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn track(&mut self, frame: &Frame, body: Option<&Body>) -> Result<Option<Box<Face>>, LiteRtError> {
        let previous = self.previous.take();
        let size = Size::of(frame);
        let Some(rough) = body.map(|body| rough_region(body, size)) else { return Ok(None) };
        let Some(detected) = self.detector.detect(frame, &rough)? else { return Ok(None) };
        let region = choose_region(previous.as_deref(), detected, size);
        self.previous = self.landmarker.estimate(frame, &region)?;
        Ok(self.previous.clone())
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
        assert!((rect.rotation - std::f64::consts::FRAC_PI_4).abs() < 1e-6, "{rect:?}");
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
