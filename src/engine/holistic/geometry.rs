//! Rotated rectangles: where in the frame a net looks, and how its answers come back into the frame.
//!
//! Angles are radians, clockwise as seen in the picture (y points down), in [-π, π).

use std::f64::consts::PI;

use crate::video::Frame;

/// Width and height of a frame in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

impl Size {
    /// The size of a frame.
    pub fn of(frame: &Frame) -> Self {
        Self { width: frame.width(), height: frame.height() }
    }

    fn w(self) -> f64 {
        f64::from(self.width)
    }

    fn h(self) -> f64 {
        f64::from(self.height)
    }

    /// From normalised coordinates to pixels.
    pub fn pixels(self, point: [f32; 2]) -> [f64; 2] {
        [f64::from(point[0]) * self.w(), f64::from(point[1]) * self.h()]
    }
}

/// A landmark: x and y normalised by the width and height of whatever it lies in (a crop or the frame), z on
/// the scale of x.
pub type Landmark = [f32; 3];

/// A rotated rectangle in normalised coordinates of the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Centre, as a fraction of the frame's width.
    pub x: f64,
    /// Centre, as a fraction of the frame's height.
    pub y: f64,
    /// Width (along the rectangle's own x axis), as a fraction of the frame's width.
    pub width: f64,
    /// Height (along the rectangle's own y axis), as a fraction of the frame's height.
    pub height: f64,
    /// Rotation in radians.
    pub rotation: f64,
}

impl Rect {
    /// The whole frame.
    pub const FRAME: Self = Self { x: 0.5, y: 0.5, width: 1.0, height: 1.0, rotation: 0.0 };

    /// A square with `center` in its middle and `end` in the middle of one side; `end` is to be seen from the
    /// centre under `target` (radians, counter-clockwise from the x axis) once the rotation is undone.
    pub fn align(center: [f32; 2], end: [f32; 2], target: f64, size: Size) -> Self {
        let ([cx, cy], [ex, ey]) = (size.pixels(center), size.pixels(end));
        Self::square([cx, cy], 2.0 * (ex - cx).hypot(ey - cy), direction([cx, cy], [ex, ey], target), size)
    }

    /// A square from its centre and side in pixels.
    pub fn square(center: [f64; 2], side: f64, rotation: f64, size: Size) -> Self {
        Self {
            x: center[0] / size.w(),
            y: center[1] / size.h(),
            width: side / size.w(),
            height: side / size.h(),
            rotation,
        }
    }

    /// The upright bounding box of normalised points, given the rotation `rotation` all the same: what
    /// MediaPipe does with a face.
    pub fn around(points: impl IntoIterator<Item = [f32; 2]>, rotation: f64) -> Self {
        let (min, max) = bounds(points.into_iter().map(|[x, y]| [f64::from(x), f64::from(y)]));
        Self {
            x: (min[0] + max[0]) / 2.0,
            y: (min[1] + max[1]) / 2.0,
            width: max[0] - min[0],
            height: max[1] - min[1],
            rotation,
        }
    }

    /// Moves the centre by `shift` heights along the rectangle's own y axis, then makes a square of the longer
    /// side times `factor`.
    pub fn scale(self, factor: f64, shift: f64, size: Size) -> Self {
        let offset = shift * self.height * size.h();
        let side = (self.width * size.w()).max(self.height * size.h()) * factor;
        Self {
            x: self.x - offset * self.rotation.sin() / size.w(),
            y: self.y + offset * self.rotation.cos() / size.h(),
            width: side / size.w(),
            height: side / size.h(),
            rotation: self.rotation,
        }
    }

    /// From coordinates of the crop to coordinates of the frame. For rectangles that are square in pixels.
    pub fn project(&self, [x, y, z]: Landmark) -> Landmark {
        let (sin, cos) = self.rotation.sin_cos();
        let (x, y) = (f64::from(x) - 0.5, f64::from(y) - 0.5);
        [
            ((cos * x - sin * y) * self.width + self.x) as f32,
            ((sin * x + cos * y) * self.height + self.y) as f32,
            (f64::from(z) * self.width) as f32,
        ]
    }

    /// As [`project`](Self::project), for a rectangle of any shape: rotated in pixels.
    pub fn project_pixels(&self, [x, y]: [f32; 2], size: Size) -> [f32; 2] {
        let (sin, cos) = self.rotation.sin_cos();
        let x = (f64::from(x) - 0.5) * self.width * size.w();
        let y = (f64::from(y) - 0.5) * self.height * size.h();
        [((cos * x - sin * y) / size.w() + self.x) as f32, ((sin * x + cos * y) / size.h() + self.y) as f32]
    }
}

/// The rotation that takes the direction from `from` to `to` (pixels) to `target` (radians,
/// counter-clockwise).
pub fn direction(from: [f64; 2], to: [f64; 2], target: f64) -> f64 {
    wrap(target - (-(to[1] - from[1])).atan2(to[0] - from[0]))
}

/// The angle in [-π, π).
pub fn wrap(angle: f64) -> f64 {
    angle - 2.0 * PI * ((angle + PI) / (2.0 * PI)).floor()
}

/// Smallest and largest x and y.
pub fn bounds(points: impl IntoIterator<Item = [f64; 2]>) -> ([f64; 2], [f64; 2]) {
    points.into_iter().fold(([f64::INFINITY; 2], [f64::NEG_INFINITY; 2]), |(min, max), [x, y]| {
        ([min[0].min(x), min[1].min(y)], [max[0].max(x), max[1].max(y)])
    })
}

/// The share of a square crop that lies beyond the rectangle on each side, because the rectangle is not
/// square.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Padding {
    /// Left and right, as a fraction of the crop's width.
    pub x: f64,
    /// Above and below, as a fraction of the crop's height.
    pub y: f64,
}

impl Padding {
    /// From coordinates of the padded crop to coordinates of the rectangle.
    pub fn remove(self, [x, y, z]: Landmark) -> Landmark {
        [
            ((f64::from(x) - self.x) / (1.0 - 2.0 * self.x)) as f32,
            ((f64::from(y) - self.y) / (1.0 - 2.0 * self.y)) as f32,
            (f64::from(z) / (1.0 - 2.0 * self.x)) as f32,
        ]
    }
}

/// The logistic function.
pub fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

#[cfg(test)]
mod tests {
    use std::f64::consts::FRAC_PI_2;

    use super::*;

    const SIZE: Size = Size { width: 200, height: 100 };

    #[track_caller]
    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }

    #[test]
    fn an_upright_pair_of_points_makes_an_upright_square() {
        // The end lies 20 pixels above the centre: seen under 90 degrees.
        let rect = Rect::align([0.5, 0.5], [0.5, 0.3], FRAC_PI_2, SIZE);
        near(rect.rotation, 0.0);
        near(rect.width * 200.0, 40.0);
        near(rect.height * 100.0, 40.0);
    }

    #[test]
    fn a_person_lying_to_the_right_is_rotated_clockwise() {
        let rect = Rect::align([0.5, 0.5], [0.6, 0.5], FRAC_PI_2, SIZE);
        near(rect.rotation, FRAC_PI_2);
        // The middle of the crop's upper side is the end point.
        let [x, y, _] = rect.project([0.5, 0.0, 0.0]);
        near(f64::from(x), 0.6);
        near(f64::from(y), 0.5);
    }

    #[test]
    fn the_shift_goes_along_the_rectangles_own_axis_before_it_is_squared() {
        let rect = Rect { x: 0.5, y: 0.5, width: 0.1, height: 0.4, rotation: FRAC_PI_2 };
        let scaled = rect.scale(2.0, -0.1, SIZE);
        // 4 of its 40 pixels against its own y axis, which points to the left.
        near(scaled.x * 200.0, 104.0);
        near(scaled.y, 0.5);
        near(scaled.width * 200.0, 80.0);
        near(scaled.height * 100.0, 80.0);
    }

    #[test]
    fn angles_wrap_to_the_half_open_circle() {
        near(wrap(PI), -PI);
        near(wrap(-PI), -PI);
        near(wrap(3.0 * PI + 0.25), -PI + 0.25);
    }

    #[test]
    fn both_projections_agree_on_a_square() {
        let rect = Rect::square([120.0, 30.0], 50.0, 0.7, SIZE);
        let [x, y, z] = rect.project([0.2, 0.9, 0.5]);
        let [u, v] = rect.project_pixels([0.2, 0.9], SIZE);
        near(f64::from(x), f64::from(u));
        near(f64::from(y), f64::from(v));
        near(f64::from(z), 0.125);
    }

    #[test]
    fn removed_padding_spreads_the_rectangle_over_the_unit_square() {
        let padding = Padding { x: 0.25, y: 0.0 };
        assert_eq!(padding.remove([0.25, 0.1, 0.5]), [0.0, 0.1, 1.0]);
        assert_eq!(padding.remove([0.75, 1.0, 0.0]), [1.0, 1.0, 0.0]);
    }
}
