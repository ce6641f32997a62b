//! By which matrix luma and chroma become colours.

use std::fmt;
use std::str::FromStr;

/// By which matrix luma and chroma become blue, green and red.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Colors {
    /// As the video's own tags say, and BT.601 where there are none: the colours that players show.
    #[default]
    Auto,
    /// BT.601, whatever the tags say: what OpenCV up to 4 does, and so what most existing pose corpora were made of.
    /// Tags of the range are not looked at either.
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
