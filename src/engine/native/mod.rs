//! OpenPose's own nets and assembly without OpenPose: no Caffe, no CUDA, no container.
//!
//! Written from a specification of what OpenPose 1.5.1 computes, not from its source.

pub mod assemble;
pub mod cpu;
pub mod model;
