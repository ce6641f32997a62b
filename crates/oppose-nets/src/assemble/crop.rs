//! Faces and hands: from a rectangle to the net's input, and from its heat maps back to the frame.

use super::Keypoint;
use super::heat_maps::{Merged, maximum};
use super::rectangles::Rectangle;
use super::warp::Placement;

/// The part inside a rectangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A face.
    Face,
    /// A left hand, which is mirrored for the net because it was trained on right hands.
    LeftHand,
    /// A right hand.
    RightHand,
}

/// Where the pixels of a crop of `side` × `side` lie in the frame.
pub fn placement(rectangle: Rectangle, part: Part, side: usize) -> Placement {
    let Rectangle { x, y, side: width } = rectangle;
    let scale = match part {
        Part::Face => f64::from(width) / side as f64,
        // Single precision for hands: the last bits of OpenPose's positions depend on it.
        Part::LeftHand | Part::RightHand => f64::from(width / side as f32),
    };
    let (scale_x, shift_x) = match part {
        Part::LeftHand => (-scale, f64::from(x + width)),
        Part::Face | Part::RightHand => (scale, f64::from(x)),
    };
    Placement { scale_x, shift_x, scale_y: scale, shift_y: f64::from(y) }
}

/// Writes the points of a face or hand: the position in the frame of each heat map's largest value.
/// There is one map per point; the background, which follows, is ignored. `plane` is working memory.
pub fn keypoints(maps: &mut Merged<'_>, placement: Placement, plane: &mut Vec<f32>, points: &mut [Keypoint]) {
    use super::heat_maps::HeatMaps;
    let size = maps.size();
    plane.resize(size.pixels(), 0.0);
    for (channel, point) in points.iter_mut().enumerate() {
        maps.plane(channel, plane);
        let (x, y, score) = maximum(plane, size.width);
        let (x, y) = placement.to_source(x as f64, y as f64);
        *point = Keypoint { x, y, score };
    }
}

/// `hand_scale_number` rectangles around the same centre, from the smallest to the largest, over
/// `hand_scale_range`. The one whose points have the highest mean score counts; if several do, the first.
pub fn hand_scales(rectangle: Rectangle, number: u32, range: f32) -> impl Iterator<Item = Rectangle> {
    (0..number).map(move |index| {
        if number == 1 {
            return rectangle;
        }
        let scale = (1.0 - range / 2.0) + range * index as f32 / (number as f32 - 1.0);
        let side = ((rectangle.side * scale + 0.5) as i64 / 2 * 2) as f32;
        let edge = |edge: f32| edge + rectangle.side / 2.0 - side / 2.0;
        Rectangle { x: edge(rectangle.x), y: edge(rectangle.y), side }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_left_hand_is_mirrored() {
        let rectangle = Rectangle { x: 10.0, y: 20.0, side: 92.0 };
        let left = placement(rectangle, Part::LeftHand, 368);
        let right = placement(rectangle, Part::RightHand, 368);
        assert_eq!(left.to_source(0.0, 4.0), (102.0, 21.0));
        assert_eq!(right.to_source(0.0, 4.0), (10.0, 21.0));
        assert_eq!(left.to_source(368.0, 0.0), right.to_source(0.0, 0.0));
    }

    #[test]
    fn hand_scales_share_their_centre() {
        let rectangle = Rectangle { x: 10.0, y: 20.0, side: 100.0 };
        let sides: Vec<_> = hand_scales(rectangle, 3, 0.4).collect();
        let expected = [(20.0, 30.0, 80.0), (10.0, 20.0, 100.0), (0.0, 10.0, 120.0)];
        assert_eq!(sides, expected.map(|(x, y, side)| Rectangle { x, y, side }));
        assert_eq!(hand_scales(rectangle, 1, 0.4).collect::<Vec<_>>(), [rectangle]);
    }
}
