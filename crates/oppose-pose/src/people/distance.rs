//! Where a person is in a frame, and how far two people are apart.

use crate::{FrameView, PersonView};

/// The smallest number of points that two detections must share to be compared point by point.
const MIN_SHARED: usize = 3;

/// The largest mean distance that a person's points may move between two detections, as a share of the person's size (the
/// diagonal around all points). A detection farther away is another person.
const REACH: f32 = 0.5;

/// The location of each point in pixels, `None` if it was not found.
pub(crate) type Locations = Vec<Option<[f32; 2]>>;

/// A person found in one frame.
#[derive(Clone, Debug)]
pub(crate) struct Detection {
    /// The person's row in the file.
    pub(crate) row: usize,
    /// The points of all components in pixels, in the order of the file.
    pub(crate) points: Locations,
    /// The diagonal around all points, in pixels.
    pub(crate) size: f32,
}

impl Detection {
    /// Everybody with at least one point that was found.
    pub(crate) fn all(frame: FrameView<'_>) -> Vec<Self> {
        let detection = |person: PersonView<'_>| {
            let size = Extent::of(person)?.diagonal();
            Some(Self { row: person.row(), points: locations(person).collect(), size })
        };
        frame.people().filter_map(detection).collect()
    }
}

/// Pairs of indices of detections that show the same person, each index at most once. The nearest are paired first.
pub(crate) fn same_people(before: &[Detection], now: &[Detection]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (known, before) in before.iter().enumerate() {
        for (seen, now) in now.iter().enumerate() {
            let Some(distance) = distance(&before.points, &now.points) else { continue };
            let distance = distance / before.size.max(now.size).max(1.0);
            if distance < REACH {
                pairs.push((distance, known, seen));
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
    /// Around the points that were found; `None` if there are none.
    pub(super) fn of(person: PersonView<'_>) -> Option<Self> {
        locations(person).flatten().fold(None, |extent: Option<Self>, [x, y]| {
            let Self { left, top, right, bottom } =
                extent.unwrap_or(Self { left: x, top: y, right: x, bottom: y });
            Some(Self { left: left.min(x), top: top.min(y), right: right.max(x), bottom: bottom.max(y) })
        })
    }

    pub(super) fn area(self) -> f32 {
        (self.right - self.left) * (self.bottom - self.top)
    }

    pub(super) fn center(self) -> (f32, f32) {
        (self.left.midpoint(self.right), self.top.midpoint(self.bottom))
    }

    fn diagonal(self) -> f32 {
        (self.right - self.left).hypot(self.bottom - self.top)
    }
}

/// The location of each of a person's points in pixels of the frame, `None` if it was not found. Components in other units
/// are left out.
fn locations(person: PersonView<'_>) -> impl Iterator<Item = Option<[f32; 2]>> {
    let components = person.components().filter(|component| component.description().is_in_pixels());
    components.flat_map(|component| component.points()).map(|point| {
        let [x, y] = *point.coordinates().first_chunk()?;
        (point.is_found() && x.is_finite() && y.is_finite()).then_some([x, y])
    })
}

/// Mean distance in pixels of the points that both have; if these are too few, the distance of the centres.
pub(crate) fn distance(a: &[Option<[f32; 2]>], b: &[Option<[f32; 2]>]) -> Option<f32> {
    let (mut sum, mut shared) = (0.0, 0);
    for (a, b) in a.iter().zip(b) {
        if let (Some([ax, ay]), Some([bx, by])) = (a, b) {
            sum += (ax - bx).hypot(ay - by);
            shared += 1;
        }
    }
    if shared >= MIN_SHARED {
        return Some(sum / shared as f32);
    }
    let (a, b) = (center(a)?, center(b)?);
    Some((a[0] - b[0]).hypot(a[1] - b[1]))
}

fn center(points: &[Option<[f32; 2]>]) -> Option<[f32; 2]> {
    let found = points.iter().flatten().count() as f32;
    let [x, y] = points.iter().flatten().fold([0.0, 0.0], |[x, y], point| [x + point[0], y + point[1]]);
    (found > 0.0).then_some([x / found, y / found])
}
