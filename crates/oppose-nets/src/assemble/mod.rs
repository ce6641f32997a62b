//! From a frame to the inputs of the nets, and from their outputs to people: everything that OpenPose does around its nets,
//! one stage per file, in the order of the work.
//!
//! | stage | from | to |
//! | --- | --- | --- |
//! | [`size`] | frame size, options | net sizes, scales |
//! | [`warp`] | frame | net input: the frame, or the crop of a face or hand |
//! | [`heat_maps`] | a net's planes | planes of the net input's size |
//! | [`peaks`] | part planes | peaks: candidates for a part |
//! | [`people`] | peaks, part affinity fields | people |
//! | [`limit_people`] | people | at most `number_people_max` of them |
//! | [`rectangles`] | a person | where face and hands are |
//! | [`crop`] | rectangles, a face's or hand's planes | crops, points in the frame |
//! | [`keypoint_scale`] | points in the frame | points in the unit of the options |
//!
//! Stages are functions over slices; their callers keep the memory that they need and reuse it.

pub mod body;
pub mod crop;
pub mod heat_maps;
pub mod keypoint_scale;
mod limb;
pub mod limit_people;
pub mod peaks;
pub mod people;
mod people_cpu;
mod people_cuda;
pub mod rectangles;
pub mod size;
pub mod warp;

/// Which of OpenPose's two builds is followed where they compute different things: in resizing heat maps, in finding peaks
/// at the border, and in assembling people.
///
/// The results differ by up to a pixel of the net input, and in crowds also in which people are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Parity {
    /// The GPU build, from which nearly all of the data comes that users of OpenPose have.
    #[default]
    Cuda,
    /// The build without a GPU.
    Cpu,
}

/// A point and its score; all 0 if it was not found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Keypoint {
    /// Pixels from the left.
    pub x: f32,
    /// Pixels from the top.
    pub y: f32,
    /// Value of the heat map at the peak, about 0 to 1.
    pub score: f32,
}
