//! `keypoint_scale`: the unit of the coordinates.

use super::Keypoint;
use super::size::Size;

/// The unit of coordinates: OpenPose's `keypoint_scale`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeypointScale {
    /// 0: pixels of the frame.
    #[default]
    Frame,
    /// 1: pixels of the net's input.
    NetInput,
    /// 2: pixels of the output resolution, which is that of the frame by default.
    Output,
    /// 3: 0 to 1 from the first to the last pixel.
    ZeroToOne,
    /// 4: -1 to 1 from the first to the last pixel.
    PlusMinusOne,
}

impl KeypointScale {
    /// Converts points from frame pixels to this unit. Points that were not found are converted too, as in OpenPose.
    pub fn apply(self, points: &mut [Keypoint], frame: Size, net_to_frame: f32) {
        let along = |side: usize, to: f32| to / (side as f32 - 1.0);
        let (scale_x, scale_y, shift) = match self {
            Self::Frame | Self::Output => return,
            Self::NetInput => {
                let scale = (1.0 / f64::from(net_to_frame)) as f32;
                (scale, scale, 0.0)
            }
            Self::ZeroToOne => (along(frame.width, 1.0), along(frame.height, 1.0), 0.0),
            Self::PlusMinusOne => (along(frame.width, 2.0), along(frame.height, 2.0), -1.0),
        };
        for point in points {
            point.x = point.x * scale_x + shift;
            point.y = point.y * scale_y + shift;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let frame = Size { width: 101, height: 51 };
        let scaled = |unit: KeypointScale| {
            let mut point = [Keypoint { x: 100.0, y: 25.0, score: 0.5 }];
            unit.apply(&mut point, frame, 2.0);
            (point[0].x, point[0].y)
        };
        assert_eq!(scaled(KeypointScale::Frame), (100.0, 25.0));
        assert_eq!(scaled(KeypointScale::NetInput), (50.0, 12.5));
        assert_eq!(scaled(KeypointScale::ZeroToOne), (1.0, 0.5));
        assert_eq!(scaled(KeypointScale::PlusMinusOne), (1.0, 0.0));
    }
}
