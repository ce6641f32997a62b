//! Keeps each person in one row throughout a video.

use super::distance::{Detection, Locations, same_people};
use crate::{FramePose, FrameRate, Skeleton};

/// Seconds out of view after which a person is gone and their row free.
const PATIENCE: f64 = 2.0;

/// Keeps each person in one row, by matching the people of each frame with the places where those seen before are expected.
///
/// A person is expected where they were last seen, moved on at the speed they had. The nearest pairs are matched first. A
/// person who matches nobody takes the lowest free row; a row is free once its person has been out of view for two seconds.
/// Matching is by position only: a person who returns later than that is a new person.
#[derive(Debug)]
pub(super) struct Tracker {
    skeleton: Skeleton,
    /// Frames after which a row is free.
    patience: u64,
    max_people: usize,
    rows: Vec<Option<Known>>,
    frame: u64,
    arranged: FramePose,
}

/// A person who was seen before.
#[derive(Debug)]
struct Known {
    points: Locations,
    /// Pixels per frame.
    velocity: [f32; 2],
    size: f32,
    last_seen: u64,
}

impl Known {
    /// Where the points are expected in `frame`: moved on for at most half a second.
    fn expected(&self, frame: u64, patience: u64) -> Locations {
        let frames = (frame - self.last_seen).min(patience.div_ceil(4)) as f32;
        let moved = |[x, y]: [f32; 2]| [x + self.velocity[0] * frames, y + self.velocity[1] * frames];
        self.points.iter().map(|point| point.map(moved)).collect()
    }
}

impl Tracker {
    /// For a video with this frame rate; people beyond `max_people` at a time are dropped.
    pub(super) fn new(skeleton: &Skeleton, frame_rate: FrameRate, max_people: Option<usize>) -> Self {
        Self {
            skeleton: skeleton.clone(),
            patience: (frame_rate.as_f64() * PATIENCE).ceil().max(1.0) as u64,
            max_people: max_people.unwrap_or(usize::from(u16::MAX)),
            rows: Vec::new(),
            frame: 0,
            arranged: FramePose::default(),
        }
    }

    /// Puts the people of the next frame into their rows; rows between them are all zeros. If `only_new` is given, the person
    /// in that row is the only new one who gets a row. A frame of another skeleton is left unchanged.
    pub(super) fn arrange(&mut self, pose: &mut FramePose, only_new: Option<usize>) {
        let Ok(view) = pose.view(&self.skeleton) else { return };
        let seen = Detection::all(view);
        let frame = self.frame;
        self.frame += 1;
        for row in &mut self.rows {
            row.take_if(|known| frame - known.last_seen > self.patience);
        }

        let mut row_of = vec![None; seen.len()];
        for (row, index) in self.matches(&seen, frame) {
            row_of[index] = Some(row);
        }
        for index in 0..seen.len() {
            let may_enter = only_new.is_none_or(|row| seen[index].row == row);
            if row_of[index].is_none() && may_enter {
                row_of[index] = self.free_row();
                // Occupied at once, so that the next person does not get the same row.
                if let Some(row) = row_of[index] {
                    self.rows[row] = Some(updated(None, &seen[index], frame));
                }
            }
        }

        let people = row_of.iter().flatten().max().map_or(0, |&row| row + 1);
        let (width, values) = (pose.points(), pose.points() * pose.dimensions());
        self.arranged.reset(people, width, pose.dimensions());
        for (index, person) in seen.into_iter().enumerate() {
            let Some(row) = row_of[index] else { continue };
            let from = person.row;
            let target = &mut self.arranged.coordinates_mut()[row * values..][..values];
            target.copy_from_slice(&pose.coordinates()[from * values..][..values]);
            let target = &mut self.arranged.confidences_mut()[row * width..][..width];
            target.copy_from_slice(&pose.confidences()[from * width..][..width]);
            let known = self.rows[row].take();
            self.rows[row] = Some(updated(known.as_ref(), &person, frame));
        }
        std::mem::swap(pose, &mut self.arranged);
    }

    /// Rows and indices of detections that belong together, each at most once.
    fn matches(&self, seen: &[Detection], frame: u64) -> Vec<(usize, usize)> {
        let expected = |(row, known): (usize, &Option<Known>)| {
            let known = known.as_ref()?;
            Some(Detection { row, points: known.expected(frame, self.patience), size: known.size })
        };
        let expected: Vec<Detection> = self.rows.iter().enumerate().filter_map(expected).collect();
        let pairs = same_people(&expected, seen);
        pairs.into_iter().map(|(known, index)| (expected[known].row, index)).collect()
    }

    /// The lowest free row; `None` if there are as many people as allowed.
    fn free_row(&mut self) -> Option<usize> {
        if let Some(row) = self.rows.iter().position(Option::is_none) {
            return Some(row);
        }
        (self.rows.len() < self.max_people).then(|| {
            self.rows.push(None);
            self.rows.len() - 1
        })
    }
}

/// What is known of a person after this detection. Points that were not found are where they were before, moved along with
/// the others.
fn updated(before: Option<&Known>, seen: &Detection, frame: u64) -> Known {
    let Detection { points, size, .. } = seen;
    let fresh = Known { points: points.clone(), velocity: [0.0; 2], size: *size, last_seen: frame };
    let Some(before) = before.filter(|before| before.last_seen < frame) else { return fresh };
    let shared = before.points.iter().zip(points).filter_map(|(a, b)| Some((a.as_ref()?, b.as_ref()?)));
    let (sum, count) = shared.fold(([0.0, 0.0], 0.0_f32), |([x, y], count), (a, b)| {
        ([x + b[0] - a[0], y + b[1] - a[1]], count + 1.0)
    });
    let frames = (frame - before.last_seen) as f32;
    let moved = sum.map(|sum| sum / count.max(1.0));
    // The mean of the old and the new velocity, so that one bad frame does little harm.
    let velocity = std::array::from_fn(|axis| (before.velocity[axis] + moved[axis] / frames) / 2.0);
    let points = points
        .iter()
        .zip(&before.points)
        .map(|(now, before)| now.or_else(|| before.map(|[x, y]| [x + moved[0], y + moved[1]])));
    Known { points: points.collect(), velocity, size: size.max(0.9 * before.size), last_seen: frame }
}
