//! How people move from frame to frame: jitter, jumps, and swaps of rows.

use std::ops::Range;

use super::shares::median;
use crate::Skeleton;
use crate::people::distance::{Detection, Locations, same_people};

/// The largest speed of any part of a person in shoulder widths per second: about 4.5 metres per second.
const MAX_SPEED: f32 = 12.5;

/// The shortest movement that counts as a jump, however fast it was, in shoulder widths.
const MIN_JUMP: f32 = 0.25;

/// Looks at the people of one frame after another.
pub(super) struct Motion {
    parts: Vec<Option<Range<usize>>>,
    shoulders: Option<(usize, usize)>,
    fps: f32,
    /// The people of the frame before, each with the points of the same person in the frame before that.
    before: Vec<(Detection, Option<Locations>)>,
    widths: Vec<f32>,
    accelerations: Vec<Vec<f32>>,
    /// For each component, the distances it moved and in which frames.
    moves: Vec<Vec<(usize, f32)>>,
    swaps: usize,
    frame: usize,
}

/// How people moved.
pub(super) struct Moved {
    pub components: Vec<ComponentMoved>,
    pub swaps: usize,
    pub frames_with_jump: usize,
}

/// How a component moved.
pub(super) struct ComponentMoved {
    pub jitter: Option<f32>,
    pub shoulders: Option<f32>,
    pub jumps: usize,
}

impl Motion {
    pub(super) fn new(skeleton: &Skeleton, fps: f32) -> Self {
        let count = skeleton.components.len();
        Self {
            parts: ranges_in_pixels(skeleton),
            shoulders: shoulders(skeleton),
            fps,
            before: Vec::new(),
            widths: Vec::new(),
            accelerations: vec![Vec::new(); count],
            moves: vec![Vec::new(); count],
            swaps: 0,
            frame: 0,
        }
    }

    /// The people of the next frame.
    pub(super) fn add(&mut self, people: Vec<Detection>) {
        let known: Vec<Detection> = self.before.iter().map(|(detection, _)| detection.clone()).collect();
        let mut swapped = false;
        let mut earlier: Vec<Option<Locations>> = people.iter().map(|_| None).collect();
        for (before, now) in same_people(&known, &people) {
            let (before, first) = &self.before[before];
            let person = &people[now];
            swapped |= before.row != person.row;
            for (component, part) in self.parts.iter().enumerate() {
                let Some(part) = part else { continue };
                let (last, points) = (&before.points[part.clone()], &person.points[part.clone()]);
                let mut moves: Vec<f32> =
                    last.iter().zip(points).filter_map(|pair| moved(*pair.0, *pair.1)).collect();
                self.moves[component].extend(median(&mut moves).map(|moved| (self.frame, moved)));
                if let Some(first) = first {
                    let three = first[part.clone()].iter().zip(last).zip(points);
                    self.accelerations[component]
                        .extend(three.filter_map(|((a, b), c)| acceleration(*a, *b, *c)));
                }
            }
            earlier[now] = Some(before.points.clone());
        }
        self.swaps += usize::from(swapped);
        let shoulders = self.shoulders;
        self.widths.extend(people.iter().filter_map(|person| shoulder_width(&person.points, shoulders)));
        self.before = people.into_iter().zip(earlier).collect();
        self.frame += 1;
    }

    pub(super) fn finish(mut self) -> Moved {
        let shoulders = median(&mut self.widths).filter(|&width| width > 0.0);
        let too_far = shoulders.map_or(f32::INFINITY, |width| {
            width * if self.fps > 0.0 { (MAX_SPEED / self.fps).max(MIN_JUMP) } else { MAX_SPEED }
        });
        let mut jumped = vec![false; self.frame];
        let each = self.accelerations.iter_mut().zip(&self.moves).map(|(accelerations, moves)| {
            // Two people may jump into the same frame.
            let mut frames: Vec<usize> =
                moves.iter().filter(|(_, moved)| *moved > too_far).map(|(frame, _)| *frame).collect();
            frames.dedup();
            frames.iter().for_each(|&frame| jumped[frame] = true);
            ComponentMoved { jitter: median(accelerations), shoulders, jumps: frames.len() }
        });
        let components = each.collect();
        let frames_with_jump = jumped.into_iter().filter(|&jumped| jumped).count();
        Moved { components, swaps: self.swaps, frames_with_jump }
    }
}

/// Where each component's points are among a person's points in pixels; `None` for those in other units.
pub(super) fn ranges_in_pixels(skeleton: &Skeleton) -> Vec<Option<Range<usize>>> {
    let mut first = 0;
    let range = |component: &crate::Component| {
        component.is_in_pixels().then(|| {
            let range = first..first + component.points.len();
            first = range.end;
            range
        })
    };
    skeleton.components.iter().map(range).collect()
}

/// Which of a person's points in pixels are the shoulders.
pub(super) fn shoulders(skeleton: &Skeleton) -> Option<(usize, usize)> {
    let names = skeleton.components.iter().filter(|component| component.is_in_pixels());
    let names: Vec<String> =
        names.flat_map(|component| &component.points).map(|name| name.to_ascii_lowercase()).collect();
    let of = |side: char| names.iter().position(|name| name.starts_with(side) && name.contains("shoulder"));
    Some((of('l')?, of('r')?))
}

/// The distance between the shoulders in pixels.
pub(super) fn shoulder_width(points: &Locations, shoulders: Option<(usize, usize)>) -> Option<f32> {
    let (left, right) = shoulders?;
    moved(points[left], points[right])
}

/// The distance between two locations in pixels.
pub(super) fn moved(from: Option<[f32; 2]>, to: Option<[f32; 2]>) -> Option<f32> {
    let (from, to) = (from?, to?);
    Some((to[0] - from[0]).hypot(to[1] - from[1]))
}

fn acceleration(a: Option<[f32; 2]>, b: Option<[f32; 2]>, c: Option<[f32; 2]>) -> Option<f32> {
    let (a, b, c) = (a?, b?, c?);
    let [x, y] = std::array::from_fn(|axis| a[axis] - 2.0 * b[axis] + c[axis]);
    Some(f32::hypot(x, y))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FramePose, holistic_576, openpose_137};

    /// A person whose points lie on a grid, moved to `x`; the shoulders are 20 pixels apart.
    fn person(frame: &mut FramePose, row: usize, x: f32) {
        for point in 0..137 {
            let place = row * 137 + point;
            let at = [x + (point % 12) as f32 * 10.0, (point / 12) as f32 * 10.0];
            frame.coordinates_mut()[2 * place..][..2].copy_from_slice(&at);
            frame.confidences_mut()[place] = 1.0;
        }
    }

    fn of(frames: &[FramePose]) -> Moved {
        let mut motion = Motion::new(openpose_137(), 25.0);
        frames.iter().for_each(|frame| motion.add(Detection::all(frame.view(openpose_137()).unwrap())));
        motion.finish()
    }

    fn at(xs: &[f32]) -> FramePose {
        let mut frame = FramePose::new(xs.len(), 137, 2);
        xs.iter().enumerate().for_each(|(row, &x)| person(&mut frame, row, x));
        frame
    }

    #[test]
    fn shoulders_are_found_by_name() {
        assert_eq!(shoulders(openpose_137()), Some((5, 2)));
        assert_eq!(shoulders(holistic_576()), Some((11, 12)));
    }

    #[test]
    fn steady_movement_is_no_jitter_and_trembling_is() {
        let steady = of(&[at(&[0.0]), at(&[1.0]), at(&[2.0]), at(&[3.0])]);
        assert_eq!(steady.components[0].jitter, Some(0.0));
        let trembling = of(&[at(&[0.0]), at(&[1.0]), at(&[0.0]), at(&[1.0])]);
        assert_eq!(trembling.components[3].jitter, Some(2.0));
        assert_eq!((trembling.frames_with_jump, trembling.swaps), (0, 0));
        // The second of three detections is missing: the acceleration is unknown.
        assert_eq!(of(&[at(&[0.0]), at(&[]), at(&[1.0])]).components[0].jitter, None);
    }

    #[test]
    fn a_jump_is_farther_than_anybody_moves() {
        // 12.5 widths per second at 25 frames per second are half a width per frame: 15 pixels if a width is 30.
        let moved = of(&[at(&[0.0]), at(&[14.0]), at(&[30.0])]);
        assert_eq!(moved.components.iter().map(|part| part.jumps).collect::<Vec<_>>(), [1, 1, 1, 1]);
        assert_eq!(moved.frames_with_jump, 1);
    }

    #[test]
    fn two_people_who_swap_rows_are_noticed() {
        let moved = of(&[at(&[0.0, 500.0]), at(&[501.0, 1.0]), at(&[501.0, 1.0])]);
        assert_eq!((moved.swaps, moved.frames_with_jump), (1, 0));
    }
}
