//! The nets and the paths of their files.

use std::path::Path;

use super::{Graph, GraphError, ModelError};

/// A net of OpenPose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Net {
    /// The body with feet: 25 parts, background, 52 planes of part affinity fields.
    Body25,
    /// The body without feet: 18 parts, background, 38 planes of part affinity fields.
    Coco,
    /// The face: 70 points, background.
    Face,
    /// A right hand (or a mirrored left one): 21 points, background.
    Hand,
}

impl Net {
    /// The nets of a person with face and hands, which the engines load.
    pub const OF_A_PERSON: [Self; 3] = [Self::Body25, Self::Face, Self::Hand];

    /// The path of the net's description in the models folder.
    pub fn prototxt(self) -> &'static str {
        match self {
            Self::Body25 => "pose/body_25/pose_deploy.prototxt",
            Self::Coco => "pose/coco/pose_deploy_linevec.prototxt",
            Self::Face => "face/pose_deploy.prototxt",
            Self::Hand => "hand/pose_deploy.prototxt",
        }
    }

    /// The path of the net's trained values in the models folder.
    pub fn caffemodel(self) -> &'static str {
        match self {
            Self::Body25 => "pose/body_25/pose_iter_584000.caffemodel",
            Self::Coco => "pose/coco/pose_iter_440000.caffemodel",
            Self::Face => "face/pose_iter_116000.caffemodel",
            Self::Hand => "hand/pose_iter_102000.caffemodel",
        }
    }

    /// Number of planes of the net's result.
    pub fn output_channels(self) -> usize {
        match self {
            Self::Body25 => 78,
            Self::Coco => 57,
            Self::Face => 71,
            Self::Hand => 22,
        }
    }

    /// Reads the net from OpenPose's models folder.
    ///
    /// # Errors
    /// A file is missing or damaged, or holds a different net.
    pub fn read(self, model_folder: &Path) -> Result<Graph, ModelError> {
        self.read_files(&model_folder.join(self.prototxt()), &model_folder.join(self.caffemodel()))
    }

    /// Reads the net from two files, wherever they are.
    ///
    /// # Errors
    /// A file is missing or damaged, or holds a different net.
    pub fn read_files(self, prototxt: &Path, caffemodel: &Path) -> Result<Graph, ModelError> {
        let graph = Graph::read(prototxt, caffemodel)?;
        let failed = |error: GraphError| ModelError::Graph {
            prototxt: prototxt.into(),
            caffemodel: caffemodel.into(),
            source: error.into(),
        };
        let output = &graph.tensors[graph.output];
        let (channels, stride, expected) = (output.channels, output.stride, self.output_channels());
        if channels != expected || stride != 8 {
            return Err(failed(GraphError::Output { channels, stride, expected }));
        }
        match graph.input_channels() {
            3 => Ok(graph),
            _ => Err(failed(GraphError::NoInput)),
        }
    }
}
