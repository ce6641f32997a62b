//! Who is kept, and in which row.

use clap::Args;
use oppose::people::{Options, Person};

/// What concerns the people found.
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
    /// The library's words for it.
    pub fn options(&self, max_people: Option<u16>) -> Options {
        Options::default()
            .with_track(self.track)
            .with_person(self.person)
            .with_max_people(max_people.map(usize::from))
    }
}
