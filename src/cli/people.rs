//! Which people are kept, and in which row.

use std::num::NonZeroU16;
use std::str::FromStr;

use clap::Args;
use oppose::people::{Options, Person};

/// How many people a frame may have, as it was typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxPeople {
    /// As many as the engine finds by default.
    #[default]
    Unsaid,
    /// 0 or -1, OpenPose's spelling.
    All,
    /// At most this many.
    Limit(NonZeroU16),
}

impl MaxPeople {
    /// The limit, if there is one.
    pub fn limit(self) -> Option<u16> {
        match self {
            Self::Limit(people) => Some(people.get()),
            Self::Unsaid | Self::All => None,
        }
    }

    /// How many people to follow, for an engine that follows one by default.
    pub fn followed(self) -> usize {
        match self {
            Self::Unsaid => 1,
            Self::All => usize::MAX,
            Self::Limit(people) => people.get().into(),
        }
    }
}

impl FromStr for MaxPeople {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<i32>() {
            Ok(-1 | 0) => Some(Self::All),
            Ok(people) => u16::try_from(people).ok().and_then(NonZeroU16::new).map(Self::Limit),
            Err(_) => None,
        }
        .ok_or_else(|| "expected a number from -1 to 65535".to_owned())
    }
}

/// Options about the people found.
#[derive(Args, Clone, Copy, Debug)]
pub struct PeopleArguments {
    /// Keep each person in the same row through a video; without it rows are in the estimator's order
    #[arg(long)]
    track: bool,

    /// Keep one person of each frame; with --track the one chosen first, until lost for two seconds
    #[arg(long, value_name = "largest|central")]
    person: Option<Person>,
}

impl PeopleArguments {
    /// The library's options.
    pub fn options(&self, max_people: MaxPeople) -> Options {
        Options::default()
            .with_track(self.track)
            .with_person(self.person)
            .with_max_people(max_people.limit().map(usize::from))
    }
}
