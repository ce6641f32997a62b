//! Finds the peaks of part planes: candidates for a part.

use super::size::Size;
use super::{Keypoint, Parity};

/// Largest number of peaks of a part; further ones, row by row, are dropped.
pub const MAX_PEAKS: usize = 127;

/// Adds the peaks of a plane to `peaks`, row by row: pixels above `threshold` that are larger than their
/// eight neighbours, at the weighted mean position of the 7 × 7 pixels around them. Positions are in heat map pixels,
/// shifted by half a pixel of the frame; `net_to_frame` is the factor between the two.
///
/// # Panics
/// `plane` does not have this size.
pub fn find(
    plane: &[f32],
    size: Size,
    threshold: f32,
    net_to_frame: f32,
    parity: Parity,
    peaks: &mut Vec<Keypoint>,
) {
    assert_eq!(plane.len(), size.pixels(), "a plane of the heat maps' size");
    peaks.clear();
    let offset = (0.5 / f64::from(net_to_frame)) as f32;
    for (y, row) in plane.chunks_exact(size.width).enumerate() {
        for (x, &value) in row.iter().enumerate() {
            if value > threshold && is_peak(plane, size, x, y, threshold, parity) {
                peaks.push(refine(plane, size, x, y, offset));
                if peaks.len() == MAX_PEAKS {
                    return;
                }
            }
        }
    }
}

fn is_peak(plane: &[f32], size: Size, x: usize, y: usize, threshold: f32, parity: Parity) -> bool {
    let (right, bottom) = (size.width - 1, size.height - 1);
    let is_inside = |margin: usize| x >= margin && y >= margin && x + margin <= right && y + margin <= bottom;
    let value = plane[y * size.width + x];
    let neighbour = |(dx, dy): (usize, usize)| {
        // Counted from 1, so that pixels left of the plane or above it need no negative indices.
        let (x, y) = ((x + dx).checked_sub(1)?, (y + dy).checked_sub(1)?);
        (x <= right && y <= bottom).then(|| plane[y * size.width + x])
    };
    let mut neighbours = NEIGHBOURS.into_iter().map(|place| neighbour(place).unwrap_or(threshold));
    if is_inside(if parity == Parity::Cuda { 1 } else { 2 }) {
        return neighbours.all(|neighbour| value > neighbour);
    }
    // The CPU build tolerates equal neighbours in a ring, which touches the border at its corners.
    let is_ring = x == 1 || y == 1 || x + 1 == right || y + 1 == bottom;
    parity == Parity::Cpu && is_ring && neighbours.all(|neighbour| value >= neighbour)
}

const NEIGHBOURS: [(usize, usize); 8] = [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1), (0, 2), (1, 2), (2, 2)];

/// The mean position of the pixels around a peak, weighted by their values; values that are not above 0 are ignored.
fn refine(plane: &[f32], size: Size, x: usize, y: usize, offset: f32) -> Keypoint {
    let (mut sum_x, mut sum_y, mut sum) = (0.0, 0.0, 0.0);
    for row in y.saturating_sub(3)..(y + 4).min(size.height) {
        for column in x.saturating_sub(3)..(x + 4).min(size.width) {
            let value = plane[row * size.width + column];
            if value > 0.0 {
                sum_x += column as f32 * value;
                sum_y += row as f32 * value;
                sum += value;
            }
        }
    }
    Keypoint { x: sum_x / sum + offset, y: sum_y / sum + offset, score: plane[y * size.width + x] }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { width: 9, height: 7 };

    fn peaks_at(points: &[(usize, usize)], parity: Parity) -> usize {
        let mut plane = vec![0.0; SIZE.pixels()];
        for &(x, y) in points {
            plane[y * SIZE.width + x] = 0.8;
        }
        let mut peaks = Vec::new();
        find(&plane, SIZE, 0.05, 1.0, parity, &mut peaks);
        peaks.len()
    }

    #[test]
    fn the_builds_differ_at_the_border() {
        let cases = [
            (&[(4, 3)][..], 1, 1),     // inside
            (&[(4, 3), (5, 3)], 0, 0), // a plateau inside
            (&[(1, 3)], 1, 1),         // the ring
            (&[(1, 3), (1, 4)], 0, 2), // a plateau in the ring
            (&[(0, 1)], 0, 1),         // where the ring meets the border
            (&[(0, 3)], 0, 0),         // the border
            (&[(0, 0)], 0, 0),         // the corner
        ];
        for (points, cuda, cpu) in cases {
            let found = (peaks_at(points, Parity::Cuda), peaks_at(points, Parity::Cpu));
            assert_eq!(found, (cuda, cpu), "{points:?}");
        }
    }

    #[test]
    fn a_peak_lies_at_the_weighted_mean_of_its_surroundings() {
        let mut plane = vec![-1.0; SIZE.pixels()];
        (plane[3 * 9 + 4], plane[3 * 9 + 5]) = (0.6, 0.2);
        let mut peaks = Vec::new();
        find(&plane, SIZE, 0.05, 2.0, Parity::Cuda, &mut peaks);
        let [peak] = peaks[..] else { panic!("{peaks:?}") };
        assert!((peak.x - 4.5).abs() < 1e-6 && (peak.y - 3.25).abs() < 1e-6 && peak.score == 0.6, "{peak:?}");
    }
}
