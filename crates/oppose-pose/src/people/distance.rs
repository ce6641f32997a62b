//! Where a person is, and how far two of them are apart.

use crate::{FramePose, Skeleton};

/// Fewest points that two sightings must share to be compared.
const FEWEST_SHARED: usize = 3;

/// How far a person's points may move on average between two sightings, as a share of the person's size (the
/// diagonal around all points): farther is somebody else.
const REACH: f32 = 0.5;

/// Where each point is in pixels, `None` where it was not found.
pub(crate) type Points = Vec<Option<[f32; 2]>>;

/// A person at an instant.
#[derive(Clone, Debug)]
pub(crate) struct Sighting {
    /// Where the person stands in the file.
    pub(crate) row: usize,
    /// Those of the components in pixels, in the order of the file.
    pub(crate) points: Points,
    /// The diagonal around all points, in pixels.
    pub(crate) size: f32,
}

impl Sighting {
    /// Everybody of whom a point was found.
    pub(crate) fn all(pose: &FramePose, skeleton: &Skeleton) -> Vec<Self> {
        let seen = |row| {
            let size = Extent::of(pose, skeleton, row)?.diagonal();
            Some(Self { row, points: points(pose, skeleton, row).collect(), size })
        };
        (0..pose.people()).filter_map(seen).collect()
    }
}

/// Indices of sightings that are of one person, each at most once: the nearest first.
pub(crate) fn same_people(before: &[Sighting], now: &[Sighting]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (known, before) in before.iter().enumerate() {
        for (seen, now) in now.iter().enumerate() {
            let Some(apart) = distance(&before.points, &now.points) else { continue };
            let apart = apart / before.size.max(now.size).max(1.0);
            if apart < REACH {
                pairs.push((apart, known, seen));
            }
        }
    }
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut matches: Vec<(usize, usize)> = Vec::new();
    for (_, known, seen) in pairs {
        if matches.iter().all(|&(other_known, other_seen)| other_known != known && other_seen != seen) {
            matches.push((known, seen));
        }
    }
    matches
}

/// The rectangle around a person's points, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Extent {
    left: f32,
    top: f32,
    right: f32,
    bottom: f32,
}

impl Extent {
    /// Around the points that were found; `None` where there are none.
    pub(super) fn of(pose: &FramePose, skeleton: &Skeleton, row: usize) -> Option<Self> {
        points(pose, skeleton, row).flatten().fold(None, |extent: Option<Self>, [x, y]| {
            let Self { left, top, right, bottom } =
                extent.unwrap_or(Self { left: x, top: y, right: x, bottom: y });
            Some(Self { left: left.min(x), top: top.min(y), right: right.max(x), bottom: bottom.max(y) })
        })
    }

    pub(super) fn area(self) -> f32 {
        (self.right - self.left) * (self.bottom - self.top)
    }

    pub(super) fn middle(self) -> (f32, f32) {
        (self.left.midpoint(self.right), self.top.midpoint(self.bottom))
    }

    fn diagonal(self) -> f32 {
        (self.right - self.left).hypot(self.bottom - self.top)
    }
}

/// The points of a person in pixels of the frame, `None` for each that was not found. Components in other units
/// are left out.
fn points<'a>(
    pose: &'a FramePose,
    skeleton: &'a Skeleton,
    row: usize,
) -> impl Iterator<Item = Option<[f32; 2]>> + 'a {
    let in_pixels = skeleton
        .components
        .iter()
        .flat_map(|component| std::iter::repeat_n(component.is_in_pixels(), component.points.len()));
    let first = row * pose.points();
    in_pixels.enumerate().filter(|&(_, in_pixels)| in_pixels).map(move |(point, _)| {
        let index = first + point;
        let confidence = *pose.confidences().get(index)?;
        let [x, y] = *pose.coordinates().get(index * pose.dimensions()..)?.first_chunk()?;
        (confidence > 0.0 && x.is_finite() && y.is_finite()).then_some([x, y])
    })
}

/// Mean distance in pixels of the points that both have; the distance of the middles where these are too few.
pub(crate) fn distance(a: &[Option<[f32; 2]>], b: &[Option<[f32; 2]>]) -> Option<f32> {
    let (mut sum, mut shared) = (0.0, 0);
    for (a, b) in a.iter().zip(b) {
        if let (Some([ax, ay]), Some([bx, by])) = (a, b) {
            sum += (ax - bx).hypot(ay - by);
            shared += 1;
        }
    }
    if shared >= FEWEST_SHARED {
        return Some(sum / shared as f32);
    }
    let (a, b) = (centre(a)?, centre(b)?);
    Some((a[0] - b[0]).hypot(a[1] - b[1]))
}

fn centre(points: &[Option<[f32; 2]>]) -> Option<[f32; 2]> {
    let found = points.iter().flatten().count() as f32;
    let [x, y] = points.iter().flatten().fold([0.0, 0.0], |[x, y], point| [x + point[0], y + point[1]]);
    (found > 0.0).then_some([x / found, y / found])
}
