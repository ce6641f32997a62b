//! Single-shot detectors: from a net's raw boxes to detections. Used for people, faces and palms.

use super::geometry::sigmoid;

/// Boxes that overlap the best one by more than this (intersection over union) are the same object.
const SAME_OBJECT: f32 = 0.3;
/// Raw scores are clipped to plus or minus this before the sigmoid.
const SCORE_LIMIT: f32 = 100.0;
/// Anchors of each cell and layer.
const ANCHORS_PER_LAYER: usize = 2;

/// The shape of a detector with `K` keypoints a detection.
#[derive(Clone, Debug)]
pub struct Detector<const K: usize> {
    /// Side of the net's square input, in pixels.
    side: f32,
    /// Centres of the anchors, normalised. Their size is always 1.
    anchors: Vec<[f32; 2]>,
    /// Kept from call to call for its memory.
    found: Vec<Detection<K>>,
}

/// One detection; everything is normalised by the side of the net's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detection<const K: usize> {
    /// How sure the net is, from 0 to 1.
    pub score: f32,
    /// Left and top of its box.
    pub corner: [f32; 2],
    /// Width and height of its box.
    pub sides: [f32; 2],
    /// The keypoints.
    pub keypoints: [[f32; 2]; K],
}

impl<const K: usize> Detector<K> {
    /// A detector with a square input of `side` pixels and one layer for each of `strides` (in pixels);
    /// neighbouring layers of the same stride share their cells.
    pub fn new(side: usize, strides: &[usize]) -> Self {
        let mut anchors = Vec::new();
        for layers in strides.chunk_by(|a, b| a == b) {
            let cells = side.div_ceil(layers[0]);
            let center = |i: usize| (i as f32 + 0.5) / cells as f32;
            for (y, x) in (0..cells).flat_map(|y| (0..cells).map(move |x| (y, x))) {
                let copies = ANCHORS_PER_LAYER * layers.len();
                anchors.extend(std::iter::repeat_n([center(x), center(y)], copies));
            }
        }
        Self { side: side as f32, anchors, found: Vec::new() }
    }

    /// Number of values the net gives for each anchor: a box and the keypoints.
    pub const VALUES: usize = 4 + 2 * K;

    /// The best detection of those with at least `minimum_score`, averaged with those that overlap it, or `None`.
    ///
    /// `boxes` are anchors × [`VALUES`](Self::VALUES) (centre x, y, width, height, then the
    /// keypoints' x, y; all in pixels relative to the anchor), `scores` one raw value an anchor.
    pub fn best(&mut self, boxes: &[f32], scores: &[f32], minimum_score: f32) -> Option<Detection<K>> {
        self.all(boxes, scores, minimum_score).next()
    }

    /// As [`best`](Self::best), then the best of those that overlap none so far, and so on.
    pub fn all(
        &mut self,
        boxes: &[f32],
        scores: &[f32],
        minimum_score: f32,
    ) -> impl Iterator<Item = Detection<K>> + '_ {
        self.found.clear();
        for ((&score, values), anchor) in scores.iter().zip(boxes.chunks(Self::VALUES)).zip(&self.anchors) {
            let score = sigmoid(score.clamp(-SCORE_LIMIT, SCORE_LIMIT));
            if score >= minimum_score && values.len() == Self::VALUES {
                let detection = decode(score, values, *anchor, self.side);
                if detection.sides.iter().all(|&side| side >= 0.0) {
                    self.found.push(detection);
                }
            }
        }
        // Sums of floating-point numbers depend on the order: the best first, as MediaPipe has it.
        self.found.sort_by(|a, b| b.score.total_cmp(&a.score));
        std::iter::from_fn(|| {
            let best = *self.found.first()?;
            let average = average(best, &self.found);
            // A box without area overlaps nothing, not even itself.
            self.found.remove(0);
            self.found.retain(|one| overlap(one, &best) <= SAME_OBJECT);
            Some(average)
        })
    }
}

fn decode<const K: usize>(score: f32, values: &[f32], anchor: [f32; 2], side: f32) -> Detection<K> {
    let [x, y] = [values[0] / side + anchor[0], values[1] / side + anchor[1]];
    let [w, h] = [values[2] / side, values[3] / side];
    let (left, top) = (x - w / 2.0, y - h / 2.0);
    let (right, bottom) = (x + w / 2.0, y + h / 2.0);
    let mut keypoints = [[0.0; 2]; K];
    for (keypoint, raw) in keypoints.iter_mut().zip(values[4..].chunks_exact(2)) {
        *keypoint = [raw[0] / side + anchor[0], raw[1] / side + anchor[1]];
    }
    Detection { score, corner: [left, top], sides: [right - left, bottom - top], keypoints }
}

/// The mean of all that overlap `best`, weighted by their scores: the step of weighted non-maximum suppression.
fn average<const K: usize>(best: Detection<K>, all: &[Detection<K>]) -> Detection<K> {
    let add =
        |sum: [f32; 2], value: [f32; 2], score: f32| [sum[0] + value[0] * score, sum[1] + value[1] * score];
    let (mut weight, mut sum, mut corner, mut sides) = (0f32, [[0f32; 2]; K], [0f32; 2], [0f32; 2]);
    for one in all.iter().filter(|one| overlap(one, &best) > SAME_OBJECT) {
        weight += one.score;
        for (sum, value) in sum.iter_mut().zip(one.keypoints) {
            *sum = add(*sum, value, one.score);
        }
        (corner, sides) = (add(corner, one.corner, one.score), add(sides, one.sides, one.score));
    }
    if weight == 0.0 {
        // A box without area.
        return best;
    }
    let mean = |[x, y]: [f32; 2]| [x / weight, y / weight];
    Detection { keypoints: sum.map(mean), corner: mean(corner), sides: mean(sides), ..best }
}

/// Intersection over union of two boxes.
fn overlap<const K: usize>(a: &Detection<K>, b: &Detection<K>) -> f32 {
    let ends = |d: &Detection<K>| {
        let ([left, top], [width, height]) = (d.corner, d.sides);
        [left, top, left + width, top + height]
    };
    let (a, b) = (ends(a), ends(b));
    let area = |[left, top, right, bottom]: [f32; 4]| (right - left) * (bottom - top);
    let shared = [a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])];
    if shared[0] > shared[2] || shared[1] > shared[3] {
        return 0.0;
    }
    let shared = area(shared);
    let all = area(a) + area(b) - shared;
    if all > 0.0 { shared / all } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anchors_are_those_of_the_two_nets() {
        let person = Detector::<4>::new(224, &[8, 16, 32, 32, 32]);
        assert_eq!(person.anchors.len(), 2254);
        assert_eq!(person.anchors[0], [0.5 / 28.0, 0.5 / 28.0]);
        assert_eq!(person.anchors[2], [1.5 / 28.0, 0.5 / 28.0]);
        // The first cell of the three merged layers of stride 32 has six anchors.
        assert_eq!(person.anchors[1960..1966], [[0.5 / 7.0, 0.5 / 7.0]; 6]);
        assert_eq!(Detector::<6>::new(128, &[8, 16, 16, 16]).anchors.len(), 896);
    }

    /// A detector with 4 × 4 cells of two anchors and one of 2 × 2 cells; all scores "no".
    fn nothing() -> (Detector<1>, Vec<f32>, Vec<f32>) {
        let detector = Detector::<1>::new(32, &[8, 16]);
        let anchors = detector.anchors.len();
        (detector, vec![0.0; anchors * 6], vec![-1000.0; anchors])
    }

    #[test]
    fn nothing_is_found_where_all_scores_are_low() {
        let (mut detector, boxes, mut scores) = nothing();
        assert_eq!(detector.best(&boxes, &scores, 0.5), None);
        scores[0] = -0.01;
        assert_eq!(detector.best(&boxes, &scores, 0.5), None);
    }

    #[test]
    fn overlapping_boxes_are_averaged_by_score_and_others_ignored() {
        let (mut detector, mut boxes, mut scores) = nothing();
        // Two boxes of the first cell (centre 1/8), 16 pixels wide, the second one moved by 4 pixels: they
        // share 12 of 20 columns.
        boxes[..6].copy_from_slice(&[0.0, 0.0, 16.0, 16.0, 0.0, 0.0]);
        boxes[6..12].copy_from_slice(&[4.0, 0.0, 16.0, 16.0, 8.0, 0.0]);
        // A third one far away, less sure than the best.
        boxes[90..96].copy_from_slice(&[100.0, 100.0, 16.0, 16.0, 0.0, 0.0]);
        (scores[0], scores[1], scores[15]) = (1000.0, 0.0, 3.0);
        let best = detector.best(&boxes, &scores, 0.5).unwrap();
        assert_eq!(best.score, 1.0);
        // Weights 1 and 0.5.
        assert!((best.keypoints[0][0] - (0.125 + 8.0 / 32.0 / 3.0)).abs() < 1e-6);
        assert!((best.keypoints[0][1] - 0.125).abs() < 1e-6);
    }

    #[test]
    fn what_overlaps_nothing_so_far_is_found_too() {
        let (mut detector, mut boxes, mut scores) = nothing();
        boxes[..6].copy_from_slice(&[0.0, 0.0, 16.0, 16.0, 0.0, 0.0]);
        boxes[6..12].copy_from_slice(&[0.0, 0.0, 16.0, 16.0, 0.0, 0.0]);
        boxes[90..96].copy_from_slice(&[100.0, 100.0, 16.0, 16.0, 0.0, 0.0]);
        // The last one without area.
        (scores[0], scores[1], scores[15], scores[20]) = (3.0, 2.0, 1.0, 0.5);
        let found: Vec<f32> = detector.all(&boxes, &scores, 0.5).map(|one| one.score).collect();
        assert_eq!(found, [3.0, 1.0, 0.5].map(sigmoid));
    }

    #[test]
    fn a_box_without_area_is_still_a_detection() {
        let (mut detector, boxes, mut scores) = nothing();
        scores[3] = 2.0;
        let best = detector.best(&boxes, &scores, 0.5).unwrap();
        assert_eq!(best.keypoints[0], [0.375, 0.125]);
    }

    #[test]
    fn short_input_is_no_panic() {
        let (mut detector, _, _) = nothing();
        assert_eq!(detector.best(&[1.0; 7], &[5.0, 5.0], 0.5).unwrap().keypoints[0], [0.125 + 1.0 / 32.0; 2]);
        assert_eq!(detector.best(&[], &[], 0.5), None);
    }
}
