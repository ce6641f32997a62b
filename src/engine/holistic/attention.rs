//! The refined face: a net that looks again at lips and eyes where its own mesh says they are.
//!
//! The net of the file has eleven operators of MediaPipe's own between those of TensorFlow Lite. It is loaded as two
//! plain nets, and the operators in between and at the end are done here, in `f32` and in MediaPipe's order, so that
//! the results are the same to the last bit. The numbers of tensors are those of the file, whose SHA-256 is checked.

use super::litert::LiteRtError;
use super::models::{FACE_ATTENTION, LoadError, Models};
use super::net::Net;

/// Points of the mesh.
const MESH: usize = 468;
/// Points of an iris, which the mesh does not have.
const IRIS: usize = 5;
/// Points of a refined face: the mesh, the left iris, the right iris.
pub const LANDMARKS: usize = MESH + 2 * IRIS;
/// Points of an eye that tell how deep it lies.
const RIM: usize = 16;

/// Side of the picture's features, and their number in every cell.
const FEATURES: (usize, usize) = (48, 32);
/// Side of what the second net sees of the features.
const WINDOW: usize = 16;
/// How much bigger the window is than what it is to show.
const WINDOW_SCALE: f32 = 1.5;

/// Number of values of the features of the whole crop.
const FEATURE_VALUES: usize = FEATURES.0 * FEATURES.0 * FEATURES.1;
/// Number of values of a window of the features.
const WINDOW_VALUES: usize = WINDOW * WINDOW * FEATURES.1;
/// Number of values of a transform.
const MATRIX: usize = 16;

/// A part of the face that is looked at again: its points, and its tensors in the file with their numbers of values.
struct Part {
    /// Its points in the mesh.
    points: &'static [usize],
    /// The points of the mesh between which the window is level.
    level: [usize; 2],
    /// The mesh in units of the features.
    mesh: (u32, usize),
    /// The transform from the window to the features.
    matrix: (u32, usize),
    /// What the window shows.
    window: (u32, usize),
    /// The transform from the window to the crop.
    placing: (u32, usize),
    /// The points found, in the window.
    found: (u32, usize),
    /// The iris found, in the window.
    iris: Option<(u32, usize)>,
}

/// The crop.
const IMAGE: (u32, usize) = (0, 192 * 192 * 3);
/// The features of the whole crop.
const FEATURE_MAP: (u32, usize) = (35, FEATURE_VALUES);
/// The mesh in pixels of the crop.
const MESH_OUTPUT: (u32, usize) = (719, 3 * MESH);
/// Whether there is a face, before the sigmoid.
const PRESENCE: (u32, usize) = (710, 1);

const PARTS: [Part; 3] = [
    Part {
        points: &LIPS,
        level: [61, 291],
        mesh: (191, 3 * MESH),
        matrix: (196, MATRIX),
        window: (199, WINDOW_VALUES),
        placing: (699, MATRIX),
        found: (697, 2 * LIPS.len()),
        iris: None,
    },
    Part {
        points: &LEFT_EYE,
        level: [33, 133],
        mesh: (193, 3 * MESH),
        matrix: (197, MATRIX),
        window: (200, WINDOW_VALUES),
        placing: (702, MATRIX),
        found: (700, 2 * LEFT_EYE.len()),
        iris: Some((703, 2 * IRIS)),
    },
    Part {
        points: &RIGHT_EYE,
        level: [362, 263],
        mesh: (195, 3 * MESH),
        matrix: (198, MATRIX),
        window: (201, WINDOW_VALUES),
        placing: (706, MATRIX),
        found: (704, 2 * RIGHT_EYE.len()),
        iris: Some((707, 2 * IRIS)),
    },
];

impl Part {
    fn outputs(&self) -> impl Iterator<Item = (u32, usize)> {
        [self.found, self.placing].into_iter().chain(self.iris)
    }
}

/// The face as the net gives it, normalised by the side of the crop; z on the scale of x.
pub type Points = [[f32; 3]; LANDMARKS];

/// The net in two parts.
#[derive(Debug)]
pub struct AttentionNet {
    /// Outputs: the mesh for each part, the features, the mesh in pixels, presence.
    first: Net,
    /// Inputs: the transforms of all parts, then their windows. Outputs: for each part the points, the transform to
    /// the crop and, for the eyes, the iris.
    second: Net,
}

impl AttentionNet {
    /// Loads both parts.
    ///
    /// # Errors
    /// The runtime refuses one.
    pub fn load(models: &Models) -> Result<Self, LoadError> {
        let mut outputs: Vec<_> = PARTS.iter().map(|part| part.mesh).collect();
        outputs.extend([FEATURE_MAP, MESH_OUTPUT, PRESENCE]);
        let first = models.load_part(&FACE_ATTENTION, &[IMAGE], &outputs)?;
        let inputs: Vec<_> =
            PARTS.iter().map(|part| part.matrix).chain(PARTS.iter().map(|part| part.window)).collect();
        let outputs: Vec<_> = PARTS.iter().flat_map(Part::outputs).collect();
        Ok(Self { first, second: models.load_part(&FACE_ATTENTION, &inputs, &outputs)? })
    }

    /// The crop, to be filled before [`run`](Self::run).
    pub fn input_mut(&mut self) -> &mut [f32] {
        self.first.input_mut()
    }

    /// Looks for a face in the crop. Gives how sure the net is that there is one, before the sigmoid.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn run(&mut self) -> Result<f32, LiteRtError> {
        self.first.run()?;
        Ok(self.first.output(PARTS.len() + 2).first().copied().unwrap_or(f32::NEG_INFINITY))
    }

    /// Looks again at lips and eyes of the face that was found.
    ///
    /// # Errors
    /// The runtime fails.
    pub fn refine(&mut self) -> Result<Box<Points>, LiteRtError> {
        for (i, part) in PARTS.iter().enumerate() {
            let matrix = window_matrix(self.first.output(i), part.points, part.level);
            for (values, row) in self.second.inputs_mut(i).chunks_exact_mut(4).zip(matrix) {
                values.copy_from_slice(&row);
            }
            let features = self.first.output(PARTS.len());
            resample(features, &matrix, self.second.inputs_mut(PARTS.len() + i));
        }
        self.second.run()?;

        let mut face = Box::new([[0.0; 3]; LANDMARKS]);
        let mesh = self.first.output(PARTS.len() + 1);
        let side = FACE_ATTENTION.side as f32;
        for (point, values) in face.iter_mut().zip(mesh.as_chunks::<3>().0) {
            *point = values.map(|value| value / side);
        }
        let mut outputs = (0..).map(|i| self.second.output(i));
        let mut next = || outputs.next().unwrap_or_default();
        let mut iris_start = MESH;
        for part in &PARTS {
            let (found, placing) = (next(), next());
            for (&i, place) in part.points.iter().zip(placed(found, placing)) {
                face[i][..2].copy_from_slice(&place.map(|value| value / side));
            }
            if part.iris.is_some() {
                let depth = mean_depth(&face[..], &part.points[..RIM]);
                for (point, [x, y]) in face[iris_start..].iter_mut().zip(placed(next(), placing).take(IRIS)) {
                    *point = [x / side, y / side, depth];
                }
                iris_start += IRIS;
            }
        }
        Ok(face)
    }
}

/// A 4 × 4 matrix, row by row.
type Matrix = [[f32; 4]; 4];

const IDENTITY: Matrix =
    [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let mut result = [[0.0; 4]; 4];
    for (row, a) in result.iter_mut().zip(a) {
        for (column, value) in row.iter_mut().enumerate() {
            *value = a.iter().zip(b).fold(0.0, |sum, (a, b)| sum + a * b[column]);
        }
    }
    result
}

/// From the window of a part to the features: MediaPipe's operator `Landmarks2TransformMatrix`.
fn window_matrix(mesh: &[f32], points: &[usize], level: [usize; 2]) -> Matrix {
    let point = |i: usize| mesh.get(3 * i..3 * i + 2).map_or([0.0; 2], |xy| [xy[0], xy[1]]);
    let [left, right] = level.map(point);
    let angle = 0.0 - (right[1] - left[1]).atan2(right[0] - left[0]);
    let turn = |[x, y]: [f32; 2], angle: f32| {
        let (sin, cos) = (angle.sin(), angle.cos());
        [cos * x - sin * y, sin * x + cos * y]
    };
    let (mut min, mut max) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    for &i in points {
        let turned = turn(point(i), angle);
        for axis in [0, 1] {
            min[axis] = min[axis].min(turned[axis]);
            max[axis] = max[axis].max(turned[axis]);
        }
    }
    let center = turn([0, 1].map(|axis| (min[axis] + max[axis]) / 2.0), -angle);
    let side = WINDOW as f32;
    let [x_scale, y_scale] = [0, 1].map(|axis| WINDOW_SCALE * (max[axis] - min[axis]) / side);
    let (sin, cos) = ((-angle).sin(), (-angle).cos());

    let mut shift = IDENTITY;
    (shift[0][3], shift[1][3]) = (center[0], center[1]);
    let mut rotation = IDENTITY;
    (rotation[0][0], rotation[0][1], rotation[1][0], rotation[1][1]) = (cos, -sin, sin, cos);
    let mut scale = IDENTITY;
    (scale[0][0], scale[1][1]) = (x_scale, y_scale);
    let mut middle = IDENTITY;
    (middle[0][3], middle[1][3]) = (-side / 2.0, -side / 2.0);
    product(&product(&product(&shift, &rotation), &scale), &middle)
}

/// Shows the features through a window: MediaPipe's operator `TransformTensorBilinear`.
fn resample(features: &[f32], matrix: &Matrix, window: &mut [f32]) {
    let (side, depth) = FEATURES;
    let last = (side - 1) as f32;
    // So that the centres of cells fall on one another, not their corners.
    let [along_x, along_y] = [0, 1].map(|row| {
        let [x, y, _, shift] = matrix[row];
        let correction = f64::from(x) * 0.5 + f64::from(y) * 0.5 - 0.5;
        [x, y, (f64::from(shift) + correction) as f32]
    });
    for (i, cell) in window.chunks_exact_mut(depth).enumerate() {
        let (column, row) = ((i % WINDOW) as f32, (i / WINDOW) as f32);
        let [x, y] = [along_x, along_y].map(|[x, y, shift]| x * column + y * row + shift);
        let is_inside = (0.0..=last).contains(&x) && (0.0..=last).contains(&y);
        if !is_inside {
            cell.fill(0.0);
            continue;
        }
        let (right_share, lower_share) = (x - x.floor(), y - y.floor());
        let (left, top) = (x.floor() as usize, y.floor() as usize);
        let at = |column: usize, row: usize| {
            let start = (row * side + column) * depth;
            let is_there = column < side && row < side;
            if is_there { features.get(start..start + depth).unwrap_or_default() } else { Default::default() }
        };
        let corners = [at(left, top), at(left + 1, top), at(left, top + 1), at(left + 1, top + 1)];
        for (k, value) in cell.iter_mut().enumerate() {
            let [a, b, c, d] = corners.map(|corner| corner.get(k).copied().unwrap_or(0.0));
            // What C++ makes of `double` and `float` side by side.
            let mix = |near: f32, far: f32| {
                ((1.0 - f64::from(right_share)) * f64::from(near) + f64::from(right_share * far)) as f32
            };
            let (upper, lower) = (mix(a, b), mix(c, d));
            *value =
                (f64::from(lower_share * lower) + (1.0 - f64::from(lower_share)) * f64::from(upper)) as f32;
        }
    }
}

/// Points from the window to the crop: MediaPipe's operator `TransformLandmarks`.
fn placed<'a>(points: &'a [f32], matrix: &[f32]) -> impl Iterator<Item = [f32; 2]> + use<'a> {
    let row =
        |i: usize| matrix.get(4 * i..4 * i + 4).map_or([0.0; 4], |row| [row[0], row[1], row[2], row[3]]);
    let rows = [row(0), row(1)];
    points.chunks_exact(2).map(move |point| rows.map(|[x, y, _, shift]| x * point[0] + y * point[1] + shift))
}

/// The mean z of some points.
fn mean_depth(face: &[[f32; 3]], points: &[usize]) -> f32 {
    let sum = points.iter().fold(0.0, |sum, &i| sum + f64::from(face[i][2]));
    (sum / points.len() as f64) as f32
}

/// Points of the mesh that are lips.
const LIPS: [usize; 80] = [
    61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 185, 40, 39, 37, 0, 267, 269, 270, 409, 78, 95, 88,
    178, 87, 14, 317, 402, 318, 324, 308, 191, 80, 81, 82, 13, 312, 311, 310, 415, 76, 77, 90, 180, 85, 16,
    315, 404, 320, 307, 306, 184, 74, 73, 72, 11, 302, 303, 304, 408, 62, 96, 89, 179, 86, 15, 316, 403, 319,
    325, 292, 183, 42, 41, 38, 12, 268, 271, 272, 407,
];

/// Points of the mesh around the left eye; the first sixteen are its rim.
const LEFT_EYE: [usize; 71] = [
    33, 7, 163, 144, 145, 153, 154, 155, 133, 246, 161, 160, 159, 158, 157, 173, 130, 25, 110, 24, 23, 22,
    26, 112, 243, 247, 30, 29, 27, 28, 56, 190, 226, 31, 228, 229, 230, 231, 232, 233, 244, 113, 225, 224,
    223, 222, 221, 189, 35, 124, 46, 53, 52, 65, 143, 111, 117, 118, 119, 120, 121, 128, 245, 156, 70, 63,
    105, 66, 107, 55, 193,
];

/// Points of the mesh around the right eye; the first sixteen are its rim.
const RIGHT_EYE: [usize; 71] = [
    263, 249, 390, 373, 374, 380, 381, 382, 362, 466, 388, 387, 386, 385, 384, 398, 359, 255, 339, 254, 253,
    252, 256, 341, 463, 467, 260, 259, 257, 258, 286, 414, 446, 261, 448, 449, 450, 451, 452, 453, 464, 342,
    445, 444, 443, 442, 441, 413, 265, 353, 276, 283, 282, 295, 372, 340, 346, 347, 348, 349, 350, 357, 465,
    383, 300, 293, 334, 296, 336, 285, 417,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// A mesh whose points lie on a line, but for two on a slope of 45 degrees.
    fn mesh() -> Vec<f32> {
        let mut mesh: Vec<f32> = (0..MESH).flat_map(|i| [10.0 + i as f32 / 100.0, 10.0, 0.0]).collect();
        mesh[0..3].copy_from_slice(&[10.0, 10.0, 0.0]);
        mesh[3..6].copy_from_slice(&[26.0, 26.0, 0.0]);
        mesh
    }

    #[test]
    fn a_window_shows_its_points_level_and_half_as_much_again() {
        let matrix = window_matrix(&mesh(), &[0, 1], [0, 1]);
        let place =
            |x: f32, y: f32| [0, 1].map(|row| matrix[row][0] * x + matrix[row][1] * y + matrix[row][3]);
        let middle = place(8.0, 8.0);
        assert!((middle[0] - 18.0).abs() < 1e-4 && (middle[1] - 18.0).abs() < 1e-4, "{middle:?}");
        // The window is half as wide again as the points are apart: each lies a third of it from its middle.
        let end = place(8.0 + 16.0 / 3.0, 8.0);
        assert!((end[0] - 26.0).abs() < 1e-3 && (end[1] - 26.0).abs() < 1e-3, "{end:?}");
    }

    #[test]
    fn windows_are_sampled_between_cells_and_zero_outside() {
        let (side, depth) = FEATURES;
        let features: Vec<f32> = (0..side * side * depth).map(|i| (i / depth % side) as f32).collect();
        let mut window = vec![f32::NAN; WINDOW_VALUES];
        let mut matrix = IDENTITY;
        matrix[0][3] = 0.25;
        resample(&features, &matrix, &mut window);
        assert_eq!((window[0], window[depth]), (0.25, 1.25));
        matrix[0][3] = -1.5;
        resample(&features, &matrix, &mut window);
        assert_eq!((window[0], window[depth], window[2 * depth]), (0.0, 0.0, 0.5));
    }

    #[test]
    fn every_point_belongs_to_one_part() {
        let mut all: Vec<usize> = PARTS.iter().flat_map(|part| part.points.iter().copied()).collect();
        assert!(all.iter().all(|&i| i < MESH));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 80 + 71 + 71);
    }
}
