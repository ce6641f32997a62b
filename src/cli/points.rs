//! Which points of a person are written.

use clap::{Args, ValueEnum};
use oppose::pose::Points;

/// Which points of a person are written.
#[derive(Args, Clone, Copy, Debug)]
pub struct PointArguments {
    /// Keep these points of a person found by holistic
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    points: Choice,

    /// Set the points of legs and hips to 0, as pose-format's pose_hide_legs does
    #[arg(long)]
    hide_legs: bool,
}

/// A choice of points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// all 576, or 586 with a refined face
    #[default]
    All,
    /// without the body in metres: 543, or 553 with a refined face
    NoWorld,
    /// as pose-format's reduce_holistic: 178
    Reduced,
}

impl PointArguments {
    /// Which points are kept.
    pub fn points(self) -> Points {
        match self.points {
            Choice::All => Points::All,
            Choice::NoWorld => Points::NoWorld,
            Choice::Reduced => Points::Reduced,
        }
    }

    /// Whether legs are set to 0.
    pub fn hides_legs(self) -> bool {
        self.hide_legs
    }

    /// Whether everything is written as it is.
    pub fn are_default(self) -> bool {
        self.points == Choice::All && !self.hide_legs
    }
}
