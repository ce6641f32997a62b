//! OpenPose's options, under its own names (`--net_resolution`) and ours (`--net-resolution`).

use clap::Args;
use oppose::engine::native::assemble::Parity;
use oppose::engine::native::assemble::keypoint_scale::KeypointScale;
use oppose::engine::native::assemble::size::NetResolution;
use oppose::engine::native::{CropResolution, Options};

/// The options of the engines `openpose` and `native`. The defaults are OpenPose's.
#[derive(Args, Clone, Debug)]
#[command(
    next_help_heading = "Options of the engines openpose and native (OpenPose's own, also with underscores)"
)]
pub struct OpenPoseArguments {
    /// Set the size of the body net's input, in multiples of 16; -1 derives that side from the frame
    #[arg(long, alias = "net_resolution", value_name = "WxH", default_value_t, allow_hyphen_values = true)]
    net_resolution: NetResolution,

    /// Set the size of the face net's input, a square in multiples of 16
    #[arg(long, alias = "face_net_resolution", value_name = "WxH", default_value_t)]
    face_net_resolution: CropResolution,

    /// Set the size of the hand net's input, a square in multiples of 16
    #[arg(long, alias = "hand_net_resolution", value_name = "WxH", default_value_t)]
    hand_net_resolution: CropResolution,

    /// Run the body net at this many scales
    #[arg(long, alias = "scale_number", value_name = "N", default_value_t = Options::default().scale_number)]
    scale_number: u32,

    /// Make each scale smaller than the one before by this share
    #[arg(long, alias = "scale_gap", value_name = "SHARE", default_value_t = Options::default().scale_gap)]
    scale_gap: f64,

    /// Run the hand net at this many scales
    #[arg(long, alias = "hand_scale_number", value_name = "N",
          default_value_t = Options::default().hand_scale_number)]
    hand_scale_number: u32,

    /// Spread those scales over this range, from the smallest to the largest
    #[arg(long, alias = "hand_scale_range", value_name = "SHARE",
          default_value_t = Options::default().hand_scale_range)]
    hand_scale_range: f32,

    /// Skip the face net: all its points are 0
    #[arg(long, alias = "no_face")]
    no_face: bool,

    /// Skip the hand net: all its points are 0
    #[arg(long, alias = "no_hand")]
    no_hand: bool,

    /// Accept more points at the cost of more wrong ones
    #[arg(long, alias = "maximize_positives")]
    maximize_positives: bool,

    /// Write coordinates in this unit: 0 = pixels of the frame, 1 = pixels of the net's input, 3 = 0 to 1, 4 = -1 to 1
    #[arg(long, alias = "keypoint_scale", value_name = "0-4", default_value_t)]
    keypoint_scale: KeypointScale,

    /// Follow this build of OpenPose to the last digit with native
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
