//! Each person in one row through a video.

use super::distance::{Points, Sighting, same_people};
use crate::{FramePose, FrameRate, Skeleton};

/// Seconds after which somebody not seen is gone, and the row free for somebody new.
const PATIENCE: f64 = 2.0;

/// Follows people by where their points were when last seen, moved on by how they moved.
///
/// The nearest pairs of a person known and a person seen are matched first. Who matches nobody takes the lowest row
/// that is free; the row of somebody gone for two seconds is. People are told apart by their places alone: who leaves
/// and comes back later than that is a new person.
#[derive(Debug)]
pub struct Tracker {
    skeleton: Skeleton,
    /// Frames after which a row is free.
    patience: u64,
    /// Largest number of rows.
    most: usize,
    rows: Vec<Option<Known>>,
    frame: u64,
    arranged: FramePose,
}

/// A person who was seen before.
#[derive(Debug)]
struct Known {
    points: Points,
    /// Pixels a frame.
    velocity: [f32; 2],
    size: f32,
    last_seen: u64,
}

impl Known {
    /// The points where they are expected in `frame`. Nobody is expected farther than half a second carries.
    fn expected(&self, frame: u64, patience: u64) -> Points {
        let frames = (frame - self.last_seen).min(patience.div_ceil(4)) as f32;
        let moved = |[x, y]: [f32; 2]| [x + self.velocity[0] * frames, y + self.velocity[1] * frames];
        self.points.iter().map(|point| point.map(moved)).collect()
    }
}

impl Tracker {
    /// For a video of this rate, with at most `most` people in it at a time.
    pub fn new(skeleton: &Skeleton, frame_rate: FrameRate, most: Option<usize>) -> Self {
        Self {
            skeleton: skeleton.clone(),
            patience: (frame_rate.as_f64() * PATIENCE).ceil().max(1.0) as u64,
            most: most.unwrap_or(usize::from(u16::MAX)),
            rows: Vec::new(),
            frame: 0,
            arranged: FramePose::default(),
        }
    }

    /// Puts the people of the next frame into their rows; rows between them are all zeros. Of those who are new, the
    /// one in row `first` is put into a row first, and nobody else if there is one.
    pub fn arrange(&mut self, pose: &mut FramePose, first: Option<usize>) {
        let seen = Sighting::all(pose, &self.skeleton);
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
            let may_enter = first.is_none_or(|first| seen[index].row == first);
            if row_of[index].is_none() && may_enter {
                row_of[index] = self.free_row();
                // Taken at once: the next one must not get the same.
                if let Some(row) = row_of[index] {
                    self.rows[row] = Some(sighting(None, &seen[index], frame));
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
            self.rows[row] = Some(sighting(known.as_ref(), &person, frame));
        }
        std::mem::swap(pose, &mut self.arranged);
    }

    /// Rows and indices of people seen that belong together, each at most once.
    fn matches(&self, seen: &[Sighting], frame: u64) -> Vec<(usize, usize)> {
        let expected = |(row, known): (usize, &Option<Known>)| {
            let known = known.as_ref()?;
            Some(Sighting { row, points: known.expected(frame, self.patience), size: known.size })
        };
        let expected: Vec<Sighting> = self.rows.iter().enumerate().filter_map(expected).collect();
        let pairs = same_people(&expected, seen);
        pairs.into_iter().map(|(known, index)| (expected[known].row, index)).collect()
    }

    /// The lowest row that nobody has; `None` where there are as many people as may be.
    fn free_row(&mut self) -> Option<usize> {
        if let Some(row) = self.rows.iter().position(Option::is_none) {
            return Some(row);
        }
        (self.rows.len() < self.most).then(|| {
            self.rows.push(None);
            self.rows.len() - 1
        })
    }
}

/// What is known of a person after this sighting. Points that were not found now are where they were, moved along.
fn sighting(before: Option<&Known>, seen: &Sighting, frame: u64) -> Known {
    let Sighting { points, size, .. } = seen;
    let fresh = Known { points: points.clone(), velocity: [0.0; 2], size: *size, last_seen: frame };
    let Some(before) = before.filter(|before| before.last_seen < frame) else { return fresh };
    let shared = before.points.iter().zip(points).filter_map(|(a, b)| Some((a.as_ref()?, b.as_ref()?)));
    let (sum, count) = shared.fold(([0.0, 0.0], 0.0_f32), |([x, y], count), (a, b)| {
        ([x + b[0] - a[0], y + b[1] - a[1]], count + 1.0)
    });
    let frames = (frame - before.last_seen) as f32;
    let moved = sum.map(|sum| sum / count.max(1.0));
    // Half the old and half the new: one bad frame throws nobody off.
    let velocity = std::array::from_fn(|axis| (before.velocity[axis] + moved[axis] / frames) / 2.0);
    let points = points
        .iter()
        .zip(&before.points)
        .map(|(now, before)| now.or_else(|| before.map(|[x, y]| [x + moved[0], y + moved[1]])));
    Known { points: points.collect(), velocity, size: size.max(0.9 * before.size), last_seen: frame }
}
