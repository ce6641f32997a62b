//! The `.pose` format: people's keypoints over time, with the skeleton they belong to.

mod frame_pose;
mod skeleton;

pub use frame_pose::FramePose;
pub use skeleton::{Component, Skeleton};

/// Stand-in.
pub fn openpose_137() -> &'static Skeleton {
    static SKELETON: Skeleton = Skeleton { components: Vec::new() };
    &SKELETON
}
