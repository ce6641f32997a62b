//! Where to look for a hand or a face: around its landmarks in the last frame, unless they have strayed from
//! where it is expected in this one.

use std::f64::consts::PI;

use super::geometry::{Landmark, Rect, Size};

/// How far the last frame's region may be from the expected one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Difference of the rotations, in degrees.
    pub rotation: f32,
    /// Distance of the centres along each axis, as a fraction of the expected region's side.
    pub translation: f32,
    /// Difference of the sides, as a fraction of the expected region's side.
    pub scale: f32,
    /// All landmarks lie inside the expected region grown by this fraction of its side; negative to shrink it.
    pub margin: f32,
}

impl Limits {
    /// `previous` where it and the last frame's `landmarks` agree with `expected`, else `expected`.
    pub fn choose(&self, previous: Rect, landmarks: &[Landmark], expected: Rect, size: Size) -> Rect {
        let agrees = self.regions_agree(&previous, &expected, size)
            && self.landmarks_agree(landmarks, &expected, size);
        if agrees { previous } else { expected }
    }

    fn regions_agree(&self, previous: &Rect, expected: &Rect, size: Size) -> bool {
        let degrees = |rect: &Rect| (f64::from(rect.rotation) / PI * 180.0) as f32;
        let mut turn = degrees(previous) - degrees(expected);
        if turn > 180.0 {
            turn -= 360.0;
        }
        if turn < -180.0 {
            turn += 360.0;
        }
        let axes = Axes::of(expected, size);
        let [px, py] = axes.turn([previous.x, previous.y]);
        let [ex, ey] = axes.turn([expected.x, expected.y]);
        let [width, height] = axes.sides(expected);
        let [previous_width, previous_height] = axes.sides(previous);
        // MediaPipe asks whether a limit is exceeded: what is not a number exceeds none.
        let exceeds = |difference: f32, limit: f32| difference.abs() > limit;
        !(exceeds(turn, self.rotation)
            || exceeds(px - ex, width * self.translation)
            || exceeds(py - ey, height * self.translation)
            || exceeds(previous_width - width, width * self.scale)
            || exceeds(previous_height - height, height * self.scale))
    }

    fn landmarks_agree(&self, landmarks: &[Landmark], expected: &Rect, size: Size) -> bool {
        let axes = Axes::of(expected, size);
        let [center_x, center_y] = axes.turn([expected.x, expected.y]);
        let [width, height] = axes.sides(expected).map(|side| side * (1.0 + self.margin));
        let (left, right) = (center_x - width * 0.5, center_x + width * 0.5);
        let (top, bottom) = (center_y - height * 0.5, center_y + height * 0.5);
        landmarks.iter().all(|&[x, y, _]| {
            let [x, y] = axes.turn([x, y]);
            left < x && x < right && top < y && y < bottom
        })
    }
}

/// A region's own axes, in pixels.
struct Axes {
    size: Size,
    sin: f32,
    cos: f32,
}

impl Axes {
    fn of(rect: &Rect, size: Size) -> Self {
        let angle = -rect.rotation;
        Self { size, sin: angle.sin(), cos: angle.cos() }
    }

    /// A normalised point, in pixels along the axes.
    fn turn(&self, point: [f32; 2]) -> [f32; 2] {
        let [x, y] = self.size.pixels(point);
        [x * self.cos - y * self.sin, x * self.sin + y * self.cos]
    }

    fn sides(&self, rect: &Rect) -> [f32; 2] {
        self.size.pixels([rect.width, rect.height])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 400, height: 200 };
    const LIMITS: Limits = Limits { rotation: 40.0, translation: 0.2, scale: 0.4, margin: -0.1 };

    fn square(x: f32, y: f32, side: f32, rotation: f32) -> Rect {
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
        assert!(keeps(square(200.0, 100.0, 51.0, 39f32.to_radians()), middle));
        assert!(!keeps(square(200.0, 100.0, 51.0, -41f32.to_radians()), middle));
    }

    #[test]
    fn rotations_are_compared_across_the_half_turn() {
        let expected = square(200.0, 100.0, 50.0, 175f32.to_radians());
        let previous = square(200.0, 100.0, 50.0, -175f32.to_radians());
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
