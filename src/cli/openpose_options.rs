//! OpenPose's options, under its own names (`--net_resolution`) and ours (`--net-resolution`).

use clap::Args;
use oppose::engine::native::assemble::Parity;
use oppose::engine::native::assemble::keypoint_scale::KeypointScale;
use oppose::engine::native::assemble::size::NetResolution;
use oppose::engine::native::{CropResolution, Options};

/// What the engines `openpose` and `native` are told. The defaults are OpenPose's.
#[derive(Args, Clone, Debug)]
#[command(
    next_help_heading = "Options of the engines openpose and native (OpenPose's own, also with underscores)"
)]
pub struct OpenPoseArguments {
    /// Size of the body net's input in multiples of 16; -1 lets one side follow the frame
    #[arg(long, alias = "net_resolution", value_name = "WxH", default_value_t, allow_hyphen_values = true)]
    net_resolution: NetResolution,

    /// Size of the face net's input, a square in multiples of 16
    #[arg(long, alias = "face_net_resolution", value_name = "WxH", default_value_t)]
    face_net_resolution: CropResolution,

    /// Size of the hand net's input, a square in multiples of 16
    #[arg(long, alias = "hand_net_resolution", value_name = "WxH", default_value_t)]
    hand_net_resolution: CropResolution,

    /// At how many sizes the body net sees each frame
    #[arg(long, alias = "scale_number", value_name = "N", default_value_t = Options::default().scale_number)]
    scale_number: u32,

    /// By how much each size is smaller than the one before
    #[arg(long, alias = "scale_gap", value_name = "SHARE", default_value_t = Options::default().scale_gap)]
    scale_gap: f64,

    /// At how many sizes the hand net sees each hand
    #[arg(long, alias = "hand_scale_number", value_name = "N",
          default_value_t = Options::default().hand_scale_number)]
    hand_scale_number: u32,

    /// From the smallest to the largest of those sizes
    #[arg(long, alias = "hand_scale_range", value_name = "SHARE",
          default_value_t = Options::default().hand_scale_range)]
    hand_scale_range: f32,

    /// Do not look for faces: their points are all 0
    #[arg(long, alias = "no_face")]
    no_face: bool,

    /// Do not look for hands: their points are all 0
    #[arg(long, alias = "no_hand")]
    no_hand: bool,

    /// Find more points, and more that are wrong
    #[arg(long, alias = "maximize_positives")]
    maximize_positives: bool,

    /// Unit of the coordinates: 0 pixels of the frame, 1 of the net's input, 3 from 0 to 1, 4 from -1 to 1
    #[arg(long, alias = "keypoint_scale", value_name = "0-4", default_value_t)]
    keypoint_scale: KeypointScale,

    /// Which of OpenPose's builds native follows in the last digits
    #[arg(long, value_name = "cuda|cpu", default_value_t)]
    parity: Parity,
}

impl OpenPoseArguments {
    /// The engine's options; of more people than `number_people_max` it keeps the best.
    pub fn options(&self, number_people_max: Option<u16>) -> Options {
        Options {
            net_resolution: self.net_resolution,
            face_net_resolution: self.face_net_resolution,
            hand_net_resolution: self.hand_net_resolution,
            scale_number: self.scale_number,
            scale_gap: self.scale_gap,
            hand_scale_number: self.hand_scale_number,
            hand_scale_range: self.hand_scale_range,
            faces: !self.no_face,
            hands: !self.no_hand,
            number_people_max: number_people_max.map_or(-1, i64::from),
            maximize_positives: self.maximize_positives,
            keypoint_scale: self.keypoint_scale,
            parity: self.parity,
        }
    }
}
