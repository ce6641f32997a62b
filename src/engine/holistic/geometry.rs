//! Rotated rectangles: where in the frame a net looks, and how its answers come back into the frame.
//!
//! Angles are radians, clockwise as seen in the picture (y points down), in [-π, π).
//!
//! Results are meant to equal MediaPipe's to the last bit, so the arithmetic follows its calculators step by
//! step: `f32` where they use `float`, `f64` where C++ promotes to `double`, and operations in the same order.
//! Rewriting a formula into an equivalent one changes the last bits, and feedback from frame to frame makes
//! whole pixels of them.

use std::f64::consts::PI;

use oppose_core::Frame;

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

    /// The width, for arithmetic.
    pub fn w(self) -> f32 {
        self.width as f32
    }

    /// The height, for arithmetic.
    pub fn h(self) -> f32 {
        self.height as f32
    }

    /// From normalised coordinates to pixels.
    pub fn pixels(self, point: [f32; 2]) -> [f32; 2] {
        [point[0] * self.w(), point[1] * self.h()]
    }
}

/// A landmark: x and y normalised by the width and height of whatever it lies in (a crop or the frame), z on
/// the scale of x.
pub type Landmark = [f32; 3];

/// A rotated rectangle in normalised coordinates of the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rect {
    /// Centre, as a fraction of the frame's width.
    pub x: f32,
    /// Centre, as a fraction of the frame's height.
    pub y: f32,
    /// Width (along the rectangle's own x axis), as a fraction of the frame's width.
    pub width: f32,
    /// Height (along the rectangle's own y axis), as a fraction of the frame's height.
    pub height: f32,
    /// Rotation in radians.
    pub rotation: f32,
}

impl Rect {
    /// The whole frame.
    pub const FRAME: Self = Self { x: 0.5, y: 0.5, width: 1.0, height: 1.0, rotation: 0.0 };

    /// A square with `center` in its middle and `end` in the middle of one side; `end` is to be seen from the
    /// centre under `target` (radians, counter-clockwise from the x axis) once the rotation is undone.
    pub fn align(center: [f32; 2], end: [f32; 2], target: f32, size: Size) -> Self {
        let (center, end) = (size.pixels(center), size.pixels(end));
        Self::square(center, double_distance(center, end), direction(center, end, target), size)
    }

    /// A square from its centre and side in pixels.
    pub fn square(center: [f32; 2], side: f32, rotation: f32, size: Size) -> Self {
        Self {
            x: center[0] / size.w(),
            y: center[1] / size.h(),
            width: side / size.w(),
            height: side / size.h(),
            rotation,
        }
    }

    /// Moves the centre by `shift` heights along the rectangle's own y axis, then makes a square of the longer
    /// side times `factor`.
    pub fn scale(self, factor: f32, shift: f32, size: Size) -> Self {
        let (w, h) = (size.w(), size.h());
        let (x_shift, y_shift) = if self.rotation == 0.0 {
            (0.0, self.height * shift)
        } else {
            let offset = h * self.height * shift;
            // 0 stands for MediaPipe's shift along the other axis, which this graph never uses.
            ((0.0 - offset * self.rotation.sin()) / w, offset * self.rotation.cos() / h)
        };
        let side = (self.width * w).max(self.height * h);
        Self {
            x: self.x + x_shift,
            y: self.y + y_shift,
            width: side / w * factor,
            height: side / h * factor,
            rotation: self.rotation,
        }
    }

    /// From coordinates of the crop to coordinates of the frame. For rectangles that are square in pixels.
    pub fn project(&self, [x, y, z]: Landmark) -> Landmark {
        let (sin, cos) = (self.rotation.sin(), self.rotation.cos());
        let (x, y) = (x - 0.5, y - 0.5);
        [
            (cos * x - sin * y) * self.width + self.x,
            (sin * x + cos * y) * self.height + self.y,
            z * self.width,
        ]
    }
}

/// Twice the distance of two points, in their units.
pub fn double_distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    let (x, y) = (b[0] - a[0], b[1] - a[1]);
    // Doubling is exact.
    (x * x + y * y).sqrt() * 2.0
}

/// The rotation that takes the direction from `from` to `to` (pixels) to `target` (radians,
/// counter-clockwise).
pub fn direction(from: [f32; 2], to: [f32; 2], target: f32) -> f32 {
    wrap(target - (-(to[1] - from[1])).atan2(to[0] - from[0]))
}

/// The angle in [-π, π).
pub fn wrap(angle: f32) -> f32 {
    let angle = f64::from(angle);
    (angle - 2.0 * PI * ((angle + PI) / (2.0 * PI)).floor()) as f32
}

/// Smallest and largest x and y, where `floor` is what the largest are at least.
fn bounds_from(points: impl IntoIterator<Item = [f32; 2]>, floor: f32) -> ([f32; 2], [f32; 2]) {
    points.into_iter().fold(([f32::MAX; 2], [floor; 2]), |(min, max), [x, y]| {
        // As std::min and std::max have it: what is not a number is passed over.
        let smaller = |a: f32, b: f32| if b < a { b } else { a };
        let larger = |a: f32, b: f32| if a < b { b } else { a };
        ([smaller(min[0], x), smaller(min[1], y)], [larger(max[0], x), larger(max[1], y)])
    })
}

/// Smallest and largest x and y.
pub fn bounds(points: impl IntoIterator<Item = [f32; 2]>) -> ([f32; 2], [f32; 2]) {
    bounds_from(points, f32::MIN)
}

/// Smallest and largest x and y, the largest not below the smallest positive number.
///
/// MediaPipe starts some of its maxima from C++'s `numeric_limits<float>::min()`, which is not the lowest
/// number. It matters where all points lie left of or above the frame.
pub fn positive_bounds(points: impl IntoIterator<Item = [f32; 2]>) -> ([f32; 2], [f32; 2]) {
    bounds_from(points, f32::MIN_POSITIVE)
}

/// The share of a square crop that lies beyond the rectangle on each side, because the rectangle is not
/// square.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Padding {
    /// Left and right, as a fraction of the crop's width.
    pub x: f32,
    /// Above and below, as a fraction of the crop's height.
    pub y: f32,
}

impl Padding {
    /// From coordinates of the padded crop to coordinates of the rectangle.
    pub fn remove(self, [x, y, z]: Landmark) -> Landmark {
        let (width, height) = (1.0 - (self.x + self.x), 1.0 - (self.y + self.y));
        [(x - self.x) / width, (y - self.y) / height, z / width]
    }
}

/// The logistic function.
pub fn sigmoid(value: f32) -> f32 {
    1.0 / (1.0 + (-value).exp())
}

#[cfg(test)]
mod tests {
    use std::f32::consts::{FRAC_PI_2, PI};

    use super::*;

    const SIZE: Size = Size { width: 200, height: 100 };

    #[track_caller]
    fn near(found: f32, expected: f32) {
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
        near(x, 0.6);
        near(y, 0.5);
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
        near(wrap(-3.0), -3.0);
        near(wrap(3.0 * PI + 0.25), -PI + 0.25);
    }

    #[test]
    fn bounds_of_points_beyond_the_frame_differ_as_in_the_original() {
        let points = [[-0.5, 0.25], [-0.25, 0.5]];
        assert_eq!(bounds(points), ([-0.5, 0.25], [-0.25, 0.5]));
        assert_eq!(positive_bounds(points), ([-0.5, 0.25], [f32::MIN_POSITIVE, 0.5]));
    }

    #[test]
    fn removed_padding_spreads_the_rectangle_over_the_unit_square() {
        let padding = Padding { x: 0.25, y: 0.0 };
        assert_eq!(padding.remove([0.25, 0.1, 0.5]), [0.0, 0.1, 1.0]);
        assert_eq!(padding.remove([0.75, 1.0, 0.0]), [1.0, 1.0, 0.0]);
    }
}
