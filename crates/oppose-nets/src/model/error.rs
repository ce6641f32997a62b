//! Why a net cannot be read.

use std::io;
use std::path::PathBuf;

/// Why the files of a net cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A file is not there.
    #[error("{} is missing; copy OpenPose's own folder models again, with all files in it", .0.display())]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file is larger than any net.
    #[error("{} has {found} bytes, a net has at most {limit}: is it the right file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        found: u64,
        /// Largest number of bytes that is read.
        limit: u64,
    },
    /// The prototxt is not a text that describes a net.
    #[error("{} is not the description of a net (is it OpenPose's own file?)", path.display())]
    Prototxt {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: PrototxtError,
    },
    /// The caffemodel is not a file of trained layers.
    #[error("{} is not a caffemodel, or is damaged (is the download complete?)", path.display())]
    Caffemodel {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: CaffemodelError,
    },
    /// Prototxt and caffemodel do not form a net that can be run.
    #[error("{} and {} do not form a net that can be run (are both OpenPose's own?)", prototxt.display(), caffemodel.display())]
    Graph {
        /// The description of the net.
        prototxt: PathBuf,
        /// The weights of the net.
        caffemodel: PathBuf,
        /// Which layer and why.
        source: Box<GraphError>,
    },
}

/// What is wrong with a prototxt.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrototxtError {
    /// Not text at all.
    #[error("not UTF-8 text, although a prototxt was expected; is this a caffemodel?")]
    NotText,
    /// The text is not in protobuf's text format.
    #[error("line {line}: expected {expected}, found {}", quoted(found))]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// What is allowed there.
        expected: &'static str,
        /// What was found; empty at the end of the file.
        found: String,
    },
    /// More of something than any net has.
    #[error("line {line}: more than {limit} {what}")]
    TooMany {
        /// Line, from 1.
        line: usize,
        /// What there is too much of.
        what: &'static str,
        /// The largest number that is read.
        limit: usize,
    },
}

fn quoted(found: &str) -> String {
    if found.is_empty() { "the end of the file".to_owned() } else { format!("{found:?}") }
}

/// What is wrong with a caffemodel.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaffemodelError {
    /// The bytes are not protobuf messages, or the file ends too early.
    #[error("byte {offset}: expected {expected}")]
    Malformed {
        /// Position in the file.
        offset: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// More of something than any net has.
    #[error("byte {offset}: more than {limit} {what}")]
    TooMany {
        /// Position in the file.
        offset: usize,
        /// What there is too much of.
        what: &'static str,
        /// The largest number that is read.
        limit: usize,
    },
}

/// Why a prototxt and a caffemodel do not form a net that can be run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// No input is declared.
    #[error("the prototxt declares no input of 4 dimensions (1, channels, height, width)")]
    NoInput,
    /// The tensor with the result is missing.
    #[error("no layer computes the tensor \"net_output\"")]
    NoOutput,
    /// The net's result does not have the channels that its use requires.
    #[error("\"net_output\" has {channels} channels at stride {stride}, expected {expected} at stride 8")]
    Output {
        /// Channels found.
        channels: usize,
        /// Stride found.
        stride: usize,
        /// Channels expected.
        expected: usize,
    },
    /// A layer of a type that OpenPose's nets do not use.
    #[error(
        "layer {layer:?}: type {found:?} is not supported (Convolution, ReLU, PReLU, Pooling, Concat, Input are)"
    )]
    UnknownType {
        /// Name of the layer.
        layer: String,
        /// Its type.
        found: String,
    },
    /// A setting of a layer that OpenPose's nets do not use.
    #[error("layer {layer:?}: {what} is {found}, only {expected} is supported")]
    Unsupported {
        /// Name of the layer.
        layer: String,
        /// The setting.
        what: &'static str,
        /// Its value.
        found: String,
        /// The values that are supported.
        expected: &'static str,
    },
    /// A layer reads a tensor that no layer before it makes.
    #[error("layer {layer:?}: its input {tensor:?} is computed by no layer before it")]
    UnknownTensor {
        /// Name of the layer.
        layer: String,
        /// Name of the tensor.
        tensor: String,
    },
    /// The caffemodel lacks the weights of a layer.
    #[error("layer {layer:?}: the caffemodel has no {blob} for it")]
    MissingBlob {
        /// Name of the layer.
        layer: String,
        /// Weights, bias or slopes.
        blob: &'static str,
    },
    /// The weights of a layer have another shape than the prototxt requires.
    #[error("layer {layer:?}: its {blob} are {found} in the caffemodel, expected {expected}")]
    MisshapenBlob {
        /// Name of the layer.
        layer: String,
        /// Weights, bias or slopes.
        blob: &'static str,
        /// Shape in the caffemodel and, if it differs, the number of values.
        found: String,
        /// Shape according to the prototxt.
        expected: String,
    },
}
