//! Which people are kept, and in which row: a step between an engine and the file.
//!
//! Engines return the people of each frame in an order of their own, which may change from frame to frame. By default this
//! order is kept. Everything here looks at one frame after another and remembers only the people last seen, so that it takes
//! the same memory for a video of any length.

pub(crate) mod distance;
mod track;

use std::str::FromStr;

use crate::{FramePose, FrameRate, FrameView, Skeleton};
use distance::Extent;
use track::Tracker;

/// The one person of a frame that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Person {
    /// The person whose points take up the largest rectangle.
    Largest,
    /// The person whose rectangle has its centre nearest to the centre of the frame.
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

/// Which people of a video are kept, and in which order. By default all, in the engine's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// Keep each person in one row throughout the video.
    pub track: bool,
    /// Keep only one person. With `track`, the person chosen first is followed until lost.
    pub person: Option<Person>,
    /// Keep at most this many people per frame: the first in the engine's order, or with `track` those who came first.
    pub max_people: Option<usize>,
}

impl Options {
    /// The same options with `track`.
    #[must_use]
    pub fn with_track(mut self, track: bool) -> Self {
        self.track = track;
        self
    }

    /// The same options with `person`.
    #[must_use]
    pub fn with_person(mut self, person: impl Into<Option<Person>>) -> Self {
        self.person = person.into();
        self
    }

    /// The same options with `max_people`.
    #[must_use]
    pub fn with_max_people(mut self, max_people: impl Into<Option<usize>>) -> Self {
        self.max_people = max_people.into();
        self
    }
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
    /// For a video with this frame rate, whose frames have `size`: width and height in pixels.
    pub fn new(options: Options, skeleton: &Skeleton, size: (u32, u32), frame_rate: FrameRate) -> Self {
        let rows = match options.person {
            Some(_) => Some(1),
            None => options.max_people,
        };
        let tracker = options.track.then(|| Tracker::new(skeleton, frame_rate, rows));
        Self { options, skeleton: skeleton.clone(), size, tracker }
    }

    /// Drops people who are not to be kept and puts the others into their rows. Must be given every frame of the video, in
    /// order. A frame of another skeleton is left unchanged.
    pub fn apply(&mut self, pose: &mut FramePose) {
        let Ok(frame) = pose.view(&self.skeleton) else { return };
        let chosen = self.options.person.and_then(|person| choose(person, frame, self.size));
        match (&mut self.tracker, self.options.person) {
            // The chosen person comes first, and so takes the row if only one is free.
            (Some(tracker), _) => tracker.arrange(pose, chosen),
            (None, Some(_)) => match chosen {
                Some(chosen) => keep(pose, chosen),
                None => pose.truncate(0),
            },
            (None, None) => pose.truncate(self.options.max_people.unwrap_or(usize::MAX)),
        }
    }
}

/// The row of the person to be kept; `None` if nobody was found.
fn choose(person: Person, frame: FrameView<'_>, size: (u32, u32)) -> Option<usize> {
    let extents = frame.people().filter_map(|person| Some((person.row(), Extent::of(person)?)));
    let score = |extent: Extent| match person {
        Person::Largest => -extent.area(),
        Person::Central => {
            let (x, y) = extent.center();
            (x - size.0 as f32 / 2.0).hypot(y - size.1 as f32 / 2.0)
        }
    };
    extents.map(|(row, extent)| (row, score(extent))).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(row, _)| row)
}

/// Keeps one row.
fn keep(pose: &mut FramePose, row: usize) {
    let (points, values) = (pose.points(), pose.points() * pose.dimensions());
    pose.coordinates_mut().copy_within(row * values..(row + 1) * values, 0);
    pose.confidences_mut().copy_within(row * points..(row + 1) * points, 0);
    pose.truncate(1);
}
