//! From a frame to what the nets see, and from what they answer to people: all that OpenPose does around
//! its nets, a stage a file, in the order of the work.
//!
//! | stage | from | to |
//! | --- | --- | --- |
//! | [`size`] | frame size, options | net sizes, scales |
//! | [`warp`] | frame | net input: the frame, or the crop of a face or hand |
//! | [`heat_maps`] | a net's planes | planes of the net input's size |
//! | [`peaks`] | part planes | peaks: where a part may be |
//! | [`people`] | peaks, part affinity fields | people |
//! | [`top`] | people | at most `number_people_max` of them |
//! | [`rectangles`] | a person | where its face and hands are |
//! | [`crop`] | rectangles, a face's or hand's planes | crops, points in the frame |
//! | [`keypoint_scale`] | points in the frame | points in the asked unit |
//!
//! Stages are functions over slices; what they need of memory is kept by their caller and reused.

pub mod body;
pub mod crop;
pub mod heat_maps;
pub mod keypoint_scale;
mod limb;
pub mod peaks;
pub mod people;
mod people_cpu;
mod people_cuda;
pub mod rectangles;
pub mod size;
pub mod top;
pub mod warp;

/// Which of OpenPose's two builds is followed, where they compute different things: in resizing heat
/// maps, at the border in finding peaks, and in assembling people.
///
/// The two differ by up to a pixel of the net input, and in crowds in who is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Parity {
    /// The build for GPUs, from which nearly all of OpenPose users' data came.
    #[default]
    Cuda,
    /// The build without a GPU.
    Cpu,
}

/// A point and how sure the net is of it; all 0 where nothing was found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keypoint {
    /// Pixels to the right.
    pub x: f32,
    /// Pixels down.
    pub y: f32,
    /// Value of the heat map there, about 0 to 1.
    pub score: f32,
}
