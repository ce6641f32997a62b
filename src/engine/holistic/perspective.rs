//! The perspective transform behind [`warp`](super::warp), number for number as OpenCV computes it.
//!
//! A rotation and a scale would do, but OpenCV solves eight linear equations, inverts the matrix that comes out,
//! and divides at every pixel. The rounding errors of all that decide which of two neighbouring positions a
//! sample is taken from, so they are reproduced.

/// Fractional bits of a position: 1/32 pixel.
const STEPS: f64 = 32.0;
/// Added to a number of less than 2⁵¹ and taken away again, this leaves the nearest whole number (the even one
/// of two), which is then in the lowest bits.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

/// From pixels of a square crop to positions in the frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Perspective([f64; 9]);

impl Perspective {
    /// The transform that takes the corners of a square of `side` pixels to `corners`: the lower left one
    /// first, then clockwise. All zero where there is none.
    pub fn to_square(corners: [[f32; 2]; 4], side: f32) -> Self {
        let targets = [[0.0, side], [0.0, 0.0], [side, 0.0], [side, side]];
        let mut equations = [[0.0; 9]; 8];
        for (i, ([x, y], [u, v])) in corners.into_iter().zip(targets).enumerate() {
            let (wide_x, wide_y) = (f64::from(x), f64::from(y));
            let last = |target: f32| [f64::from(-x * target), f64::from(-y * target), f64::from(target)];
            let ([a, b, c], [d, e, f]) = (last(u), last(v));
            equations[i] = [wide_x, wide_y, 1.0, 0.0, 0.0, 0.0, a, b, c];
            equations[i + 4] = [0.0, 0.0, 0.0, wide_x, wide_y, 1.0, d, e, f];
        }
        let [a, b, c, d, e, f, g, h] = solve(equations).unwrap_or_default();
        Self(invert([[a, b, c], [d, e, f], [g, h, 1.0]]).unwrap_or_default())
    }

    /// The positions in the frame of `length` pixels (at most [`Block::LENGTH`]) of row `y` of the crop, from
    /// column `x` on.
    #[inline(always)]
    pub fn block(&self, x: usize, y: usize, length: usize) -> Block {
        let m = &self.0;
        let (x, y) = (x as f64, y as f64);
        let start = [0, 3, 6].map(|row| m[row] * x + m[row + 1] * y + m[row + 2]);
        let mut block = Block { x: [0; Block::LENGTH], y: [0; Block::LENGTH], length };
        // All of them, whatever is asked for: loops of a fixed length become vector instructions.
        for (i, (x, y)) in block.x.iter_mut().zip(&mut block.y).enumerate() {
            let i = f64::from(i as i32);
            let depth = start[2] + m[6] * i;
            let scale = if depth == 0.0 { 0.0 } else { STEPS / depth };
            *x = round((start[0] + m[0] * i) * scale);
            *y = round((start[1] + m[3] * i) * scale);
        }
        block
    }
}

/// The nearest whole number within the range of `i32`.
#[inline(always)]
fn round(value: f64) -> i32 {
    // In this order, so that what is not a number becomes a bound, as it does in OpenCV.
    let upper = if value < f64::from(i32::MAX) { value } else { f64::from(i32::MAX) };
    let bounded = if upper > f64::from(i32::MIN) { upper } else { f64::from(i32::MIN) };
    (bounded + ROUNDING).to_bits() as i32
}

/// Positions of some neighbouring pixels of a crop, in 1/32 pixels of the frame.
#[derive(Clone, Debug)]
pub struct Block {
    x: [i32; Self::LENGTH],
    y: [i32; Self::LENGTH],
    length: usize,
}

#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only x86-64 samples whole blocks"))]
impl Block {
    /// How many pixels OpenCV computes from one starting point, for crops of 64 and more rows.
    pub const LENGTH: usize = 64;

    /// The positions, x and y.
    #[inline(always)]
    pub fn positions(&self) -> impl Iterator<Item = [i64; 2]> + '_ {
        self.x.iter().zip(&self.y).take(self.length).map(|(&x, &y)| [x.into(), y.into()])
    }

    /// The smallest and the largest x and y.
    #[inline(always)]
    pub fn bounds(&self) -> [[i64; 2]; 2] {
        let ends = |values: &[i32]| {
            let values = values.iter().take(self.length);
            values.fold((i32::MAX, i32::MIN), |(min, max), &value| (min.min(value), max.max(value)))
        };
        let ((left, right), (top, bottom)) = (ends(&self.x), ends(&self.y));
        [[left.into(), top.into()], [right.into(), bottom.into()]]
    }

    /// All x and all y. Those behind the [`positions`](Self::positions) continue the row.
    #[inline(always)]
    pub fn coordinates(&self) -> [&[i32; Self::LENGTH]; 2] {
        [&self.x, &self.y]
    }
}

/// Solves linear equations (coefficients, then the right side) by elimination with row exchanges. `None` where
/// there is no single solution.
fn solve(mut rows: [[f64; 9]; 8]) -> Option<[f64; 8]> {
    const SIZE: usize = 8;
    for i in 0..SIZE {
        let mut pivot = i;
        for row in i + 1..SIZE {
            if rows[row][i].abs() > rows[pivot][i].abs() {
                pivot = row;
            }
        }
        if rows[pivot][i].abs() < f64::EPSILON * 100.0 {
            return None;
        }
        rows.swap(i, pivot);
        let inverse = -1.0 / rows[i][i];
        let (done, below) = rows.split_at_mut(i + 1);
        let upper = &done[i];
        for row in below {
            let factor = row[i] * inverse;
            for (value, upper) in row[i + 1..].iter_mut().zip(&upper[i + 1..]) {
                *value += factor * upper;
            }
        }
    }
    let mut solution = [0.0; SIZE];
    for i in (0..SIZE).rev() {
        let mut sum = rows[i][SIZE];
        for k in i + 1..SIZE {
            sum -= rows[i][k] * solution[k];
        }
        solution[i] = sum / rows[i][i];
    }
    Some(solution)
}

/// The inverse of a matrix; `None` where there is none.
fn invert([[a, b, c], [d, e, f], [g, h, i]]: [[f64; 3]; 3]) -> Option<[f64; 9]> {
    let determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
    if determinant == 0.0 {
        return None;
    }
    let scale = 1.0 / determinant;
    Some([
        (e * i - f * h) * scale,
        (c * h - b * i) * scale,
        (b * f - c * e) * scale,
        (f * g - d * i) * scale,
        (a * i - c * g) * scale,
        (c * d - a * f) * scale,
        (d * h - e * g) * scale,
        (b * g - a * h) * scale,
        (a * e - b * d) * scale,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upright_square_maps_pixel_to_pixel() {
        let corners = [[10.0, 74.0], [10.0, 10.0], [74.0, 10.0], [74.0, 74.0]];
        let perspective = Perspective::to_square(corners, 64.0);
        let positions: Vec<[i64; 2]> = perspective.block(0, 3, 64).positions().collect();
        assert_eq!(positions.len(), 64);
        assert_eq!(positions[0], [320, 13 * 32]);
        assert_eq!(positions[63], [73 * 32, 13 * 32]);
    }

    #[test]
    fn bounds_are_those_of_the_pixels_asked_for() {
        let corners = [[74.0, 10.0], [10.0, 10.0], [10.0, 74.0], [74.0, 74.0]];
        let block = Perspective::to_square(corners, 64.0).block(0, 0, 10);
        assert_eq!(block.bounds(), [[320, 320], [320, 19 * 32]]);
    }

    #[test]
    fn a_square_without_area_has_no_transform() {
        let perspective = Perspective::to_square([[5.0, 5.0]; 4], 64.0);
        assert_eq!(perspective, Perspective([0.0; 9]));
        assert!(perspective.block(0, 0, 64).positions().all(|at| at == [0, 0]));
    }

    #[test]
    fn numbers_round_to_even_and_stay_in_range() {
        for (value, rounded) in [
            (0.5, 0),
            (1.5, 2),
            (-0.5, 0),
            (-1.5, -2),
            (2.4, 2),
            (-7.6, -8),
            (1e300, i32::MAX),
            (-1e300, i32::MIN),
        ] {
            assert_eq!(round(value), rounded, "{value}");
        }
        assert_eq!(round(f64::NAN), i32::MAX);
    }
}
