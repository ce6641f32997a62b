//! The transforms of Winograd's algorithm, for 4 results and 3 taps (6 places) or 4 taps (7 places) in each
//! direction.

use super::epilogue::EpilogueBlock;
use super::layout::{Planes, Source};
use super::vector::{Lanes, Vector, WIDTH};

/// Height and width of a tile of results.
pub const SIDE: usize = 4;

/// The CPU predicts only a few of the places' cache lines, so those of the tile this far ahead are prefetched.
const TILES_AHEAD: usize = 4;

/// Interpolation points at 0, ±near, ±far, with 7 places also at `single`, and at infinity.
struct Points {
    near: f32,
    far: f32,
    single: f32,
}

/// All exact in binary, as are their products.
const fn points(places: usize) -> Points {
    if places == 6 {
        Points { near: 0.75, far: 1.5, single: 0.0 }
    } else {
        Points { near: 1.0, far: 2.0, single: 0.5 }
    }
}

/// A tile of the input.
pub struct Patch<'a> {
    pub slot: &'a [Lanes],
    pub planes: Planes,
    pub image: usize,
    pub source: &'a Source,
    /// Its upper left pixel; pixels outside the image are zero.
    pub top: isize,
    pub left: isize,
}

/// The intermediate values between the two directions of a transform, allocated once for many tiles.
pub struct Intermediate<V, const P: usize>([[V; P]; P]);

impl<V: Vector, const P: usize> Intermediate<V, P> {
    /// Memory for one tile at a time.
    #[inline(always)]
    pub fn new() -> Self {
        Self([[V::splat(0.0); P]; P])
    }
}

/// Transforms a tile; the values of place `i` go to `out[i * stride]`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Rows and columns are indexed alike.
pub fn forward<V: Vector, const P: usize>(
    patch: &Patch<'_>,
    Intermediate(rows): &mut Intermediate<V, P>,
    out: &mut [Lanes],
    stride: usize,
) {
    let Planes { width, height } = patch.planes;
    let zero = V::splat(0.0);
    let columns = patch.left.max(0) as usize..(patch.left + P as isize).clamp(0, width as isize) as usize;
    for (y, row) in rows.iter_mut().enumerate() {
        let Some(y) = usize::try_from(patch.top + y as isize).ok().filter(|&y| y < height) else {
            *row = [zero; P];
            continue;
        };
        let pixels = &patch.slot[patch.planes.row(patch.source, patch.image, y)..][..width];
        let mut line = [zero; P];
        if columns.len() == P {
            for (value, pixel) in line.iter_mut().zip(&pixels[columns.start..]) {
                *value = V::load(pixel);
            }
        } else {
            let skipped = (columns.start as isize - patch.left) as usize;
            for (value, pixel) in line[skipped.min(P)..]
                .iter_mut()
                .zip(&pixels[columns.start.min(width)..columns.end.max(columns.start).min(width)])
            {
                *value = V::load(pixel);
            }
        }
        *row = forward_line(line);
    }
    for x in 0..P {
        let mut column = [zero; P];
        for y in 0..P {
            column[y] = rows[y][x];
        }
        let column = forward_line(column);
        for y in 0..P {
            let at = (y * P + x) * stride;
            column[y].store(&mut out[at]);
            if let Some(line) = out.get(at + TILES_AHEAD) {
                V::fetch(line);
            }
        }
    }
}

/// One direction of the input's transform: for each point, the product of the factors of all other points.
#[inline(always)]
fn forward_line<V: Vector, const P: usize>(x: [V; P]) -> [V; P] {
    if P == 6 {
        let five = five_points::<V, P>(&x, 0);
        let mut out = x;
        out[..5].copy_from_slice(&five);
        out[5] = all_points::<V, P>(&x, 1);
        out
    } else {
        // The factor of the single point first, then the five points as for 6 places.
        let single = V::splat(-points(P).single);
        let mut z = x;
        for i in 0..P - 1 {
            z[i] = x[i].mul_add(single, x[i + 1]);
        }
        let mut out = x;
        out[..5].copy_from_slice(&five_points::<V, P>(&z, 0));
        out[P - 2] = all_points::<V, P>(&x, 1);
        out[P - 1] = all_points::<V, P>(&z, 1);
        out
    }
}

/// The values at 0, ±near and ±far.
#[inline(always)]
fn five_points<V: Vector, const P: usize>(x: &[V; P], i: usize) -> [V; 5] {
    let (near, far) = (points(P).near, points(P).far);
    let (near2, far2) = (near * near, far * far);
    let zero = x[i].mul_add(V::splat(near2 * far2), x[i + 2].mul_add(V::splat(-near2 - far2), x[i + 4]));
    let even = x[i + 2].mul_add(V::splat(-far2), x[i + 4]);
    let odd = x[i + 1].mul_add(V::splat(-far2), x[i + 3]).mul(V::splat(near));
    let (plus, minus) = (even.add(odd), even.sub(odd));
    let even = x[i + 2].mul_add(V::splat(-near2), x[i + 4]);
    let odd = x[i + 1].mul_add(V::splat(-near2), x[i + 3]).mul(V::splat(far));
    [zero, plus, minus, even.add(odd), even.sub(odd)]
}

/// `x (x² - near²) (x² - far²)`, for the coefficients from `i - 1` on.
#[inline(always)]
fn all_points<V: Vector, const P: usize>(x: &[V; P], i: usize) -> V {
    let (near2, far2) = (points(P).near * points(P).near, points(P).far * points(P).far);
    x[i].mul_add(V::splat(near2 * far2), x[i + 2].mul_add(V::splat(-near2 - far2), x[i + 4]))
}

/// The destination of results.
pub struct Target {
    pub width: usize,
    /// Rows before pooling.
    pub height: usize,
    pub blocks: usize,
    pub pools: bool,
}

/// A tile of the result.
pub struct Place {
    pub block: usize,
    pub top: usize,
    pub left: usize,
}

/// Transforms sums back, with the values of place `i` at `sums[i * stride]`, and writes the results of the epilogue.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Rows and columns are indexed alike.
#[allow(clippy::too_many_arguments)] // All are needed, and a struct would be destructured right away.
pub fn backward<V: Vector, const P: usize>(
    sums: &[Lanes],
    stride: usize,
    Intermediate(rows): &mut Intermediate<V, P>,
    epilogue: EpilogueBlock<V>,
    target: &Target,
    place: Place,
    out: &mut [Lanes],
) {
    let zero = V::splat(0.0);
    for x in 0..P {
        let mut column = [zero; P];
        for y in 0..P {
            let at = (y * P + x) * stride;
            column[y] = V::load(&sums[at]);
            if let Some(line) = sums.get(at + TILES_AHEAD) {
                V::fetch(line);
            }
        }
        let column = backward_line(column);
        for y in 0..SIDE {
            rows[y][x] = column[y];
        }
    }
    let Target { width, height, blocks, pools } = *target;
    let Place { block, top, left } = place;
    if pools {
        let width = width / 2;
        for y in 0..(SIDE / 2).min(height / 2 - top / 2) {
            let row = &mut out[((top / 2 + y) * blocks + block) * width..][..width];
            let (upper, lower) = (results(&rows[2 * y], epilogue), results(&rows[2 * y + 1], epilogue));
            for (x, pixel) in row[left / 2..].iter_mut().take(SIDE / 2).enumerate() {
                upper[2 * x].max(upper[2 * x + 1]).max(lower[2 * x].max(lower[2 * x + 1])).store(pixel);
            }
        }
    } else {
        for y in 0..SIDE.min(height - top) {
            let row = &mut out[((top + y) * blocks + block) * width..][..width];
            for (value, pixel) in results(&rows[y], epilogue).iter().zip(&mut row[left..]) {
                value.store(pixel);
            }
        }
    }
}

/// A row of the tile.
#[inline(always)]
fn results<V: Vector, const P: usize>(row: &[V; P], epilogue: EpilogueBlock<V>) -> [V; SIDE] {
    let mut results = backward_line(*row);
    for value in &mut results {
        *value = epilogue.apply(*value);
    }
    results
}

/// One direction of the inverse: result `i` is the sum over the points of value × point to the power `i`.
#[inline(always)]
fn backward_line<V: Vector, const P: usize>(m: [V; P]) -> [V; SIDE] {
    let Points { near, far, single } = points(P);
    let (sum_near, difference_near) = (m[1].add(m[2]), m[1].sub(m[2]));
    let (sum_far, difference_far) = (m[3].add(m[4]), m[3].sub(m[4]));
    let powers = |power: i32| (V::splat(near.powi(power)), V::splat(far.powi(power)));
    let mut out = [m[0].add(sum_near).add(sum_far); SIDE];
    for (power, out) in (0..).zip(&mut out).skip(1) {
        let (near, far) = powers(power);
        let (of_near, of_far) =
            if power % 2 == 0 { (sum_near, sum_far) } else { (difference_near, difference_far) };
        *out = of_near.mul_add(near, of_far.mul(far));
    }
    if P == 7 {
        for (power, out) in (0..).zip(&mut out) {
            *out = m[5].mul_add(V::splat(single.powi(power)), *out);
        }
    }
    out[SIDE - 1] = out[SIDE - 1].add(m[P - 1]);
    out
}

/// The kernel's transform, places × taps: powers of each point, divided by its distances from all other points.
pub fn kernel_matrix<const P: usize, const R: usize>() -> [[f64; R]; P] {
    let Points { near, far, single } = points(P);
    let finite = [0.0, near, -near, far, -far, single].map(f64::from);
    let finite = &finite[..P - 1];
    let mut matrix = [[0.0; R]; P];
    for (place, (row, &point)) in matrix.iter_mut().zip(finite).enumerate() {
        let others = finite.iter().enumerate().filter(|&(other, _)| other != place);
        let distance: f64 = others.map(|(_, other)| point - other).product();
        for (power, value) in (0..).zip(row) {
            *value = point.powi(power) / distance;
        }
    }
    matrix[P - 1][R - 1] = 1.0;
    matrix
}

/// Transforms the taps of sixteen output channels.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Iterators would hinder the unrolling.
pub fn kernel<const P: usize, const R: usize>(
    matrix: &[[f64; R]; P],
    taps: &[[[f32; WIDTH]; R]; R],
) -> [[[f32; WIDTH]; P]; P] {
    let mut half = [[[0.0; WIDTH]; R]; P];
    for place in 0..P {
        for y in 0..R {
            for x in 0..R {
                for lane in 0..WIDTH {
                    half[place][x][lane] += matrix[place][y] * f64::from(taps[y][x][lane]);
                }
            }
        }
    }
    let mut out = [[[0.0; WIDTH]; P]; P];
    for down in 0..P {
        for right in 0..P {
            let mut sums = [0.0; WIDTH];
            for x in 0..R {
                for lane in 0..WIDTH {
                    sums[lane] += matrix[right][x] * half[down][x][lane];
                }
            }
            for lane in 0..WIDTH {
                out[down][right][lane] = sums[lane] as f32;
            }
        }
    }
    out
}
