//! Who is kept, and in which row: a step between an engine's people and the file.
//!
//! Engines give the people of each frame in an order of their own, which may change from frame to frame: that raw
//! order is the default. Everything here looks at the frames one after another and keeps no more than the people last
//! seen, so that a video of any length takes the same memory.

pub(crate) mod distance;
mod track;

use std::str::FromStr;

pub use track::Tracker;

use crate::{FramePose, FrameRate, Skeleton};
use distance::Extent;

/// Which one person is kept of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Person {
    /// Whose points take up the largest rectangle.
    Largest,
    /// Whose points' rectangle has its middle nearest to that of the frame.
    Central,
}

impl FromStr for Person {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "largest" => Ok(Self::Largest),
            "central" => Ok(Self::Central),
            _ => Err("expected largest or central".to_owned()),
        }
    }
}

/// What is asked of the people of a video.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Each person stays in one row through the video.
    pub track: bool,
    /// Keep one person only. With `track` the one chosen first is followed until lost.
    pub person: Option<Person>,
    /// Keep at most this many people a frame: the first of the engine's order, or with `track` those who came first.
    pub max_people: Option<usize>,
}

/// Arranges the people of one video, frame by frame.
#[derive(Debug)]
pub struct Arrangement {
    options: Options,
    skeleton: Skeleton,
    size: (u32, u32),
    tracker: Option<Tracker>,
}

impl Arrangement {
    /// For a video whose frames have this size, width and height in pixels.
    pub fn new(options: Options, skeleton: &Skeleton, size: (u32, u32), frame_rate: FrameRate) -> Self {
        let rows = match options.person {
            Some(_) => Some(1),
            None => options.max_people,
        };
        let tracker = options.track.then(|| Tracker::new(skeleton, frame_rate, rows));
        Self { options, skeleton: skeleton.clone(), size, tracker }
    }

    /// Keeps who is to be kept and puts everybody in their row. Must see every frame of the video, in order.
    pub fn apply(&mut self, pose: &mut FramePose) {
        match (&mut self.tracker, self.options.person) {
            (Some(tracker), person) => {
                // The one chosen comes first: where one row is free, that is who takes it.
                let chosen = person.and_then(|person| choose(person, pose, &self.skeleton, self.size));
                tracker.arrange(pose, chosen);
            }
            (None, Some(person)) => match choose(person, pose, &self.skeleton, self.size) {
                Some(chosen) => keep(pose, chosen),
                None => pose.truncate(0),
            },
            (None, None) => pose.truncate(self.options.max_people.unwrap_or(usize::MAX)),
        }
    }
}

/// The row of the person asked for; `None` where nobody is seen.
fn choose(person: Person, pose: &FramePose, skeleton: &Skeleton, size: (u32, u32)) -> Option<usize> {
    let seen = (0..pose.people()).filter_map(|row| Some((row, Extent::of(pose, skeleton, row)?)));
    let score = |extent: Extent| match person {
        Person::Largest => -extent.area(),
        Person::Central => {
            let (x, y) = extent.middle();
            (x - size.0 as f32 / 2.0).hypot(y - size.1 as f32 / 2.0)
        }
    };
    seen.map(|(row, extent)| (row, score(extent))).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(row, _)| row)
}

/// Keeps one row.
fn keep(pose: &mut FramePose, row: usize) {
    let (points, values) = (pose.points(), pose.points() * pose.dimensions());
    pose.coordinates_mut().copy_within(row * values..(row + 1) * values, 0);
    pose.confidences_mut().copy_within(row * points..(row + 1) * points, 0);
    pose.truncate(1);
}
