//! The matrix that converts luma and chroma to colours.

use std::fmt;
use std::str::FromStr;

/// The matrix that converts luma and chroma to blue, green and red.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Colors {
    /// The one that the video's tags name, and BT.601 if there are none: the colours that players show.
    #[default]
    Auto,
    /// BT.601, whatever the tags say. OpenCV up to version 4 does this, so most existing pose corpora were made this way.
    /// Tags of the range are ignored too.
    Bt601,
}

impl Colors {
    const NAMES: [(&str, Self); 2] = [("auto", Self::Auto), ("bt601", Self::Bt601)];
}

impl fmt::Display for Colors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, colors)| colors == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl FromStr for Colors {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text);
        found.map(|&(_, colors)| colors).ok_or_else(|| "expected auto or bt601".to_owned())
    }
}
