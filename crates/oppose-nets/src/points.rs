//! Collects the points of a frame's people: bodies first, then faces and hands, which are sought where the bodies
//! suggest.

use super::assemble::Keypoint;
use super::assemble::body::BODY_25;
use super::assemble::crop::{self, Part};
use super::assemble::rectangles;
use super::assemble::size::Size;
use super::assemble::warp::Placement;
use super::options::Options;
use oppose_pose::FramePose;

/// Number of points of a body.
pub const BODY_POINTS: usize = 25;
/// Number of points of a face.
pub const FACE_POINTS: usize = 70;
/// Number of points of a hand.
pub const HAND_POINTS: usize = 21;
/// Body, face, left hand, right hand.
const POINTS: usize = BODY_POINTS + FACE_POINTS + 2 * HAND_POINTS;

/// A face or a hand to look for.
#[derive(Clone, Copy, Debug)]
pub struct Crop {
    /// Where the net's input lies in the frame.
    pub placement: Placement,
    /// Index of its first point.
    first: usize,
    /// Whether it is the first crop for these points: a hand may be tried at several sizes.
    is_first: bool,
}

/// The points of a frame's people; reuses its memory.
#[derive(Debug, Default)]
pub struct Points {
    /// People × [`POINTS`].
    points: Vec<Keypoint>,
    /// Faces to look for.
    pub faces: Vec<Crop>,
    /// Hands to look for.
    pub hands: Vec<Crop>,
}

impl Points {
    /// Starts with people's bodies, people × [`BODY_POINTS`] in pixels of the frame.
    pub fn start(&mut self, bodies: &[Keypoint], options: &Options) {
        self.points.clear();
        self.faces.clear();
        self.hands.clear();
        let (face_side, hand_side) = (options.face_net_resolution.side(), options.hand_net_resolution.side());
        for (index, person) in bodies.chunks_exact(BODY_POINTS).enumerate() {
            self.points.extend_from_slice(person);
            self.points.resize((index + 1) * POINTS, Keypoint::default());
            let first = index * POINTS + BODY_POINTS;
            let face = rectangles::face(person, &BODY_25);
            if options.faces && face.is_face() {
                let placement = crop::placement(face, Part::Face, face_side);
                self.faces.push(Crop { placement, first, is_first: true });
            }
            let hands = rectangles::hands(person).into_iter().zip([Part::LeftHand, Part::RightHand]);
            for (position, (hand, part)) in hands.enumerate() {
                let first = first + FACE_POINTS + position * HAND_POINTS;
                let mut is_first = true;
                for hand in crop::hand_scales(hand, options.hand_scale_number, options.hand_scale_range) {
                    if options.hands && hand.is_hand() {
                        let placement = crop::placement(hand, part, hand_side);
                        self.hands.push(Crop { placement, first, is_first });
                        is_first = false;
                    }
                }
            }
        }
    }

    /// Adds the points found in a crop. Among several crops for the same points, the one with the highest mean score
    /// counts; if several do, the first.
    pub fn put(&mut self, crop: Crop, found: &[Keypoint]) {
        let place = &mut self.points[crop.first..][..found.len()];
        if crop.is_first || mean_score(found) > mean_score(place) {
            place.copy_from_slice(found);
        }
    }

    /// Writes all people to `pose`, in the unit of the options.
    pub fn write(&mut self, options: &Options, frame: Size, net_to_frame: f32, pose: &mut FramePose) {
        options.keypoint_scale.apply(&mut self.points, frame, net_to_frame);
        pose.reset(self.points.len() / POINTS, POINTS, 2);
        for (point, place) in self.points.iter().zip(pose.coordinates_mut().chunks_exact_mut(2)) {
            place.copy_from_slice(&[point.x, point.y]);
        }
        for (point, place) in self.points.iter().zip(pose.confidences_mut()) {
            *place = point.score;
        }
    }
}

fn mean_score(points: &[Keypoint]) -> f32 {
    points.iter().map(|point| point.score).sum::<f32>() / points.len() as f32
}
