//! The engine's options, under OpenPose's names and with its defaults.

use std::fmt;
use std::str::FromStr;

use super::assemble::Parity;
use super::assemble::heat_maps::MAX_SCALES;
use super::assemble::keypoint_scale::KeypointScale;
use super::assemble::size::{NetResolution, Size, SizeError, net_size, scales};
use super::backend::BackendInfo;
use super::model::Net;
use oppose_core::{EngineError, EngineInfo};
use oppose_pose::openpose_137;

/// Options of the engine: those of OpenPose's options that change keypoints, under its names and with its defaults.
///
/// The list is as complete as OpenPose's own, so the fields may be set by name: `Options { faces: false, ..Default::default() }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Size of the body net's input.
    pub net_resolution: NetResolution,
    /// Size of the face net's input.
    pub face_net_resolution: CropResolution,
    /// Size of the hand net's input.
    pub hand_net_resolution: CropResolution,
    /// Number of scales at which the body net sees each frame.
    pub scale_number: u32,
    /// Step between two successive scales, as a share of the first.
    pub scale_gap: f64,
    /// Number of scales at which the hand net sees each hand.
    pub hand_scale_number: u32,
    /// Range from the smallest to the largest of those scales, as a share of the hand's size.
    pub hand_scale_range: f32,
    /// Whether faces are estimated; otherwise their points are all 0.
    pub faces: bool,
    /// Whether hands are estimated; otherwise their points are all 0.
    pub hands: bool,
    /// Largest number of people per frame; with 0 or less, all are kept.
    pub number_people_max: i64,
    /// Whether to lower the detection thresholds: more keypoints, more false positives.
    pub maximize_positives: bool,
    /// The unit of the coordinates.
    pub keypoint_scale: KeypointScale,
    /// Which of OpenPose's two builds to follow.
    pub parity: Parity,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            net_resolution: NetResolution::default(),
            face_net_resolution: CropResolution::default(),
            hand_net_resolution: CropResolution::default(),
            scale_number: 1,
            scale_gap: 0.25,
            hand_scale_number: 1,
            hand_scale_range: 0.4,
            faces: true,
            hands: true,
            number_people_max: -1,
            maximize_positives: false,
            keypoint_scale: KeypointScale::default(),
            parity: Parity::default(),
        }
    }
}

/// Width and height of the face or hand net's input, which is square.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CropResolution(u16);

impl CropResolution {
    /// A resolution of `side` × `side` pixels: a multiple of 16 up to 2048; `None` for other values.
    pub fn new(side: u16) -> Option<Self> {
        (side.is_multiple_of(16) && (16..=2048).contains(&side)).then_some(Self(side))
    }

    /// Width and height in pixels.
    pub fn side(self) -> usize {
        self.0.into()
    }
}

impl Default for CropResolution {
    /// `368x368`
    fn default() -> Self {
        Self(368)
    }
}

/// An option that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{option} is {found}, expected {expected}")]
#[non_exhaustive]
pub struct OptionError {
    /// OpenPose's name of the option.
    pub option: &'static str,
    /// The value that was given.
    pub found: String,
    /// The values that are allowed.
    pub expected: &'static str,
}

impl OptionError {
    /// An option whose value `found` is not among the `expected` ones.
    pub fn new(option: &'static str, found: impl Into<String>, expected: &'static str) -> Self {
        Self { option, found: found.into(), expected }
    }
}

/// Largest number of scales of a hand. OpenPose's documentation recommends 6.
const MAX_HAND_SCALES: u32 = 64;

impl Options {
    /// The provenance of results of the engine of this name with these options. Hashing model files may take a few tenths
    /// of a second.
    ///
    /// # Errors
    /// The model files can no longer be read.
    pub fn describe(&self, name: &str, backend: &BackendInfo) -> Result<EngineInfo, EngineError> {
        let points = openpose_137().points();
        let mut info = EngineInfo::new(name, &backend.device, &backend.precision, points);
        if let Some(folder) = &backend.model_folder {
            let models = Net::hashes(folder).map_err(EngineError::failed)?;
            info = info.with_models(models);
        }
        for ((name, value), (_, default)) in self.settings().into_iter().zip(Self::default().settings()) {
            if value != default {
                info = info.with_setting(name, value);
            }
        }
        Ok(info)
    }

    /// The options that change keypoints, under OpenPose's names.
    fn settings(&self) -> [(&'static str, String); 12] {
        [
            ("net_resolution", self.net_resolution.to_string()),
            ("face_net_resolution", self.face_net_resolution.to_string()),
            ("hand_net_resolution", self.hand_net_resolution.to_string()),
            ("scale_number", self.scale_number.to_string()),
            ("scale_gap", self.scale_gap.to_string()),
            ("hand_scale_number", self.hand_scale_number.to_string()),
            ("hand_scale_range", self.hand_scale_range.to_string()),
            ("face", self.faces.to_string()),
            ("hand", self.hands.to_string()),
            ("maximize_positives", self.maximize_positives.to_string()),
            ("keypoint_scale", self.keypoint_scale.to_string()),
            ("parity", self.parity.to_string()),
        ]
    }

    /// Checks that frames of this size, in pixels, can be used with these options.
    ///
    /// # Errors
    /// The frames are too small or too large for a net of this resolution.
    pub fn check_frame(&self, width: u32, height: u32) -> Result<(), SizeError> {
        let frame = Size { width: width as usize, height: height as usize };
        let net = net_size(self.net_resolution, frame)?;
        scales(net, frame, self.scale_number, self.scale_gap, &mut Vec::new())
    }

    /// Checks that the options can be used, each alone and all together.
    ///
    /// # Errors
    /// One of them cannot; the error names the first.
    pub fn check(&self) -> Result<(), OptionError> {
        let require = |is_right: bool, option, found: &dyn fmt::Display, expected| match is_right {
            true => Ok(()),
            false => Err(OptionError { option, found: found.to_string(), expected }),
        };
        let NetResolution { width, height } = self.net_resolution;
        let is_resolution = [width, height].into_iter().flatten().all(|side| side > 0 && side % 16 == 0);
        let is_resolution = is_resolution && (width.is_some() || height.is_some());
        require(is_resolution, "net_resolution", &self.net_resolution, NetResolution::EXPECTED)?;
        let scales = 1..=MAX_SCALES as u32;
        require(scales.contains(&self.scale_number), "scale_number", &self.scale_number, "1 to 8")?;
        let is_single = self.scale_number == 1 || self.parity == Parity::Cuda;
        let expected = "1 with parity cpu: OpenPose's CPU build has no scales";
        require(is_single, "scale_number", &self.scale_number, expected)?;
        let is_gap = self.scale_gap > 0.0 && f64::from(self.scale_number - 1) * self.scale_gap < 1.0;
        let expected = "above 0, and below 1 when multiplied by scale_number less 1";
        require(is_gap, "scale_gap", &self.scale_gap, expected)?;
        let hand_scales = 1..=MAX_HAND_SCALES;
        let expected = "1 to 64";
        require(
            hand_scales.contains(&self.hand_scale_number),
            "hand_scale_number",
            &self.hand_scale_number,
            expected,
        )?;
        let is_range = (0.0..2.0).contains(&self.hand_scale_range);
        require(is_range, "hand_scale_range", &self.hand_scale_range, "0 up to, but not including, 2")
    }
}

impl NetResolution {
    const EXPECTED: &str = "WIDTHxHEIGHT in multiples of 16, one of them may be -1 (as in -1x368)";
}

impl FromStr for NetResolution {
    type Err = OptionError;

    /// `656x368` or, to let one side follow the frame, `-1x368`.
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let error = || OptionError { option: "net_resolution", found: text.into(), expected: Self::EXPECTED };
        let (width, height) = split(text).ok_or_else(error)?;
        // For OpenPose, every side of 0 or less follows the frame.
        let side = |side: i32| u32::try_from(side).ok().filter(|&side| side > 0);
        let resolution = Self { width: side(width), height: side(height) };
        let options = Options { net_resolution: resolution, ..Options::default() };
        options.check().map_err(|_| error())?;
        Ok(resolution)
    }
}

impl FromStr for CropResolution {
    type Err = OptionError;

    /// `368x368`
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let side = split(text).filter(|(width, height)| width == height).map(|(side, _)| side);
        let resolution = side.and_then(|side| Self::new(side.try_into().ok()?));
        resolution.ok_or_else(|| OptionError {
            option: "face_net_resolution or hand_net_resolution",
            found: text.into(),
            expected: "a square of a multiple of 16 up to 2048 (as in 368x368)",
        })
    }
}

fn split(text: &str) -> Option<(i32, i32)> {
    let (width, height) = text.split_once('x')?;
    Some((width.parse().ok()?, height.parse().ok()?))
}

impl fmt::Display for CropResolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{0}x{0}", self.0)
    }
}

impl FromStr for Parity {
    type Err = OptionError;

    fn from_str(text: &str) -> Result<Self, OptionError> {
        match text {
            "cuda" => Ok(Self::Cuda),
            "cpu" => Ok(Self::Cpu),
            _ => Err(OptionError { option: "parity", found: text.into(), expected: "cuda or cpu" }),
        }
    }
}

impl fmt::Display for Parity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cuda => "cuda",
            Self::Cpu => "cpu",
        })
    }
}

impl KeypointScale {
    const ALL: [Self; 5] = [Self::Frame, Self::NetInput, Self::Output, Self::ZeroToOne, Self::PlusMinusOne];
}

impl FromStr for KeypointScale {
    type Err = OptionError;

    /// OpenPose's numbers, 0 to 4.
    fn from_str(text: &str) -> Result<Self, OptionError> {
        let number = text.parse().ok().and_then(|number: usize| Self::ALL.get(number));
        let expected = "0 to 4";
        number.copied().ok_or_else(|| OptionError { option: "keypoint_scale", found: text.into(), expected })
    }
}

impl fmt::Display for KeypointScale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = Self::ALL.iter().position(|scale| scale == self).unwrap_or(0);
        write!(f, "{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_round_trip<T: FromStr<Err = OptionError> + fmt::Display>(text: &str) {
        assert_eq!(text.parse::<T>().unwrap().to_string(), text);
    }

    #[test]
    fn spellings_match_openpose() {
        ["-1x368", "656x368", "656x-1"].iter().for_each(|text| assert_round_trip::<NetResolution>(text));
        ["368x368", "96x96"].iter().for_each(|text| assert_round_trip::<CropResolution>(text));
        ["cuda", "cpu"].iter().for_each(|text| assert_round_trip::<Parity>(text));
        ["0", "1", "2", "3", "4"].iter().for_each(|text| assert_round_trip::<KeypointScale>(text));
        let defaults = Options::default();
        let spelled = format!("{} {}", defaults.net_resolution, defaults.face_net_resolution);
        assert_eq!(spelled, "-1x368 368x368");
    }

    #[test]
    fn other_spellings_say_what_is_expected() {
        for text in ["368", "-1x-1", "0x0", "100x368", "-1x367", "x", "ax368", ""] {
            let error = text.parse::<NetResolution>().unwrap_err();
            assert!(error.to_string().contains("net_resolution is"), "{error}");
        }
        for text in ["368x384", "-1x-1", "0x0", "100x100", "4096x4096"] {
            assert!(text.parse::<CropResolution>().is_err(), "{text}");
        }
        assert!("CPU".parse::<Parity>().is_err() && "5".parse::<KeypointScale>().is_err());
    }

    #[test]
    fn options_are_checked_together() {
        let ok = Options::default;
        let cases = [
            (Options { scale_number: 4, ..ok() }, None),
            (Options { scale_number: 5, ..ok() }, Some("scale_gap")),
            (Options { scale_number: 0, ..ok() }, Some("scale_number")),
            (Options { scale_number: 9, scale_gap: 0.01, ..ok() }, Some("scale_number")),
            (Options { scale_number: 2, parity: Parity::Cpu, ..ok() }, Some("scale_number")),
            (Options { scale_gap: f64::NAN, ..ok() }, Some("scale_gap")),
            (Options { hand_scale_number: 0, ..ok() }, Some("hand_scale_number")),
            (Options { hand_scale_range: 2.0, ..ok() }, Some("hand_scale_range")),
        ];
        for (options, expected) in cases {
            assert_eq!(options.check().err().map(|error| error.option), expected, "{options:?}");
        }
    }
}
