//! Where to look for a hand or a face: around its landmarks in the last frame, unless they have strayed from
//! where it is expected in this one.

use super::geometry::{Landmark, Rect, Size};

/// How far the last frame's region may be from the expected one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Difference of the rotations, in degrees.
    pub rotation: f64,
    /// Distance of the centres along each axis, as a fraction of the expected region's side.
    pub translation: f64,
    /// Difference of the sides, as a fraction of the expected region's side.
    pub scale: f64,
    /// All landmarks lie inside the expected region shrunk to this fraction of its side.
    pub inside: f64,
}

impl Limits {
    /// `previous` where it and the last frame's `landmarks` agree with `expected`, else `expected`.
    pub fn choose(&self, previous: Rect, landmarks: &[Landmark], expected: Rect, size: Size) -> Rect {
        let agrees = self.regions_agree(&previous, &expected, size)
            && self.landmarks_agree(landmarks, &expected, size);
        if agrees { previous } else { expected }
    }

    fn regions_agree(&self, previous: &Rect, expected: &Rect, size: Size) -> bool {
        let degrees = (previous.rotation - expected.rotation).to_degrees();
        let degrees = match degrees {
            over if over > 180.0 => over - 360.0,
            under if under < -180.0 => under + 360.0,
            degrees => degrees,
        };
        let axes = Axes::of(expected, size);
        let [px, py] = axes.turn([previous.x, previous.y]);
        let [ex, ey] = axes.turn([expected.x, expected.y]);
        let (width, height) = axes.sides(expected);
        let (previous_width, previous_height) = axes.sides(previous);
        degrees.abs() <= self.rotation
            && (px - ex).abs() <= width * self.translation
            && (py - ey).abs() <= height * self.translation
            && (previous_width - width).abs() <= width * self.scale
            && (previous_height - height).abs() <= height * self.scale
    }

    fn landmarks_agree(&self, landmarks: &[Landmark], expected: &Rect, size: Size) -> bool {
        let axes = Axes::of(expected, size);
        let center = axes.turn([expected.x, expected.y]);
        let (width, height) = axes.sides(expected);
        let (x_reach, y_reach) = (width * self.inside / 2.0, height * self.inside / 2.0);
        landmarks.iter().all(|&[x, y, _]| {
            let [x, y] = axes.turn([f64::from(x), f64::from(y)]);
            (x - center[0]).abs() < x_reach && (y - center[1]).abs() < y_reach
        })
    }
}

/// A region's own axes, in pixels.
struct Axes {
    width: f64,
    height: f64,
    sin: f64,
    cos: f64,
}

impl Axes {
    fn of(rect: &Rect, size: Size) -> Self {
        let (sin, cos) = (-rect.rotation).sin_cos();
        Self { width: f64::from(size.width), height: f64::from(size.height), sin, cos }
    }

    /// A normalised point, in pixels along the axes.
    fn turn(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let (x, y) = (x * self.width, y * self.height);
        [x * self.cos - y * self.sin, x * self.sin + y * self.cos]
    }

    fn sides(&self, rect: &Rect) -> (f64, f64) {
        (rect.width * self.width, rect.height * self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 400, height: 200 };
    const LIMITS: Limits = Limits { rotation: 40.0, translation: 0.2, scale: 0.4, inside: 0.9 };

    fn square(x: f64, y: f64, side: f64, rotation: f64) -> Rect {
        Rect::square([x, y], side, rotation, SIZE)
    }

    /// Whether the previous region is kept.
    fn keeps(previous: Rect, landmark: [f32; 2]) -> bool {
        let expected = square(200.0, 100.0, 50.0, 0.0);
        let landmarks = [[landmark[0] / 400.0, landmark[1] / 200.0, 0.0]];
        let chosen = LIMITS.choose(previous, &landmarks, expected, SIZE);
        assert!(chosen == previous || chosen == expected);
        chosen == previous
    }

    #[test]
    fn a_near_region_is_kept_and_a_far_one_is_not() {
        let middle = [200.0, 100.0];
        assert!(keeps(square(209.0, 100.0, 50.0, 0.0), middle));
        assert!(!keeps(square(211.0, 100.0, 50.0, 0.0), middle));
        assert!(!keeps(square(200.0, 89.0, 50.0, 0.0), middle));
        assert!(keeps(square(200.0, 100.0, 69.0, 0.0), middle));
        assert!(!keeps(square(200.0, 100.0, 71.0, 0.0), middle));
        assert!(keeps(square(200.0, 100.0, 51.0, 39f64.to_radians()), middle));
        assert!(!keeps(square(200.0, 100.0, 51.0, -41f64.to_radians()), middle));
    }

    #[test]
    fn rotations_are_compared_across_the_half_turn() {
        let expected = square(200.0, 100.0, 50.0, 175f64.to_radians());
        let previous = square(200.0, 100.0, 50.0, -175f64.to_radians());
        assert_eq!(LIMITS.choose(previous, &[], expected, SIZE), previous);
    }

    #[test]
    fn landmarks_must_lie_inside_the_shrunken_expected_region() {
        let near = square(201.0, 100.0, 50.0, 0.0);
        assert!(keeps(near, [222.0, 100.0]));
        assert!(!keeps(near, [223.0, 100.0]));
        assert!(!keeps(near, [200.0, 77.0]));
    }
}
