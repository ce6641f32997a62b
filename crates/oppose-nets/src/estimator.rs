//! From a frame to its people: the nets and everything around them, in OpenPose's order.

use std::mem;

use super::NativeError;
use super::assemble::body::{BODY_25, Thresholds};
use super::assemble::crop;
use super::assemble::heat_maps::{MAX_SCALES, Merge, NetOutput};
use super::assemble::people::{Assembly, People};
use super::assemble::size::{Scale, Size, net_size, net_to_frame, scales};
use super::assemble::warp::{Interpolation, Warp};
use super::assemble::{Keypoint, limit_people, peaks};
use super::backend::Backend;
use super::model::Net;
use super::options::{OptionError, Options};
use super::points::{BODY_POINTS, Crop, FACE_POINTS, HAND_POINTS, Points};
use oppose_core::Frame;
use oppose_pose::FramePose;

/// Finds the people in frames, one frame at a time. Reuses its memory: after the first frames of a size it allocates
/// nothing.
#[derive(Debug)]
pub struct Estimator<B> {
    backend: B,
    options: Options,
    body: BodyStage,
    faces: CropStage,
    hands: CropStage,
    warp: Warp,
    /// The input of a net.
    inputs: Vec<f32>,
    points: Points,
}

impl<B: Backend> Estimator<B> {
    /// An estimator that runs its nets on `backend`.
    ///
    /// # Errors
    /// An option cannot be used.
    pub fn new(backend: B, options: Options) -> Result<Self, OptionError> {
        options.check()?;
        Ok(Self {
            body: BodyStage::new(&options),
            faces: CropStage::new(Net::Face, &options),
            hands: CropStage::new(Net::Hand, &options),
            backend,
            options,
            warp: Warp::default(),
            inputs: Vec::new(),
            points: Points::default(),
        })
    }

    /// The back end that runs the nets.
    pub fn backend(&self) -> &B {
        &self.backend
    }

    /// Finds the people in a frame and writes them to `pose`: 137 points each, body, face, left hand,
    /// right hand.
    ///
    /// # Errors
    /// The frame cannot be used, or the back end has failed.
    pub fn estimate(&mut self, frame: &Frame, pose: &mut FramePose) -> Result<(), NativeError> {
        self.backend.set_busy(true);
        let outcome = self.find(frame, pose);
        self.backend.set_busy(false);
        outcome
    }

    fn find(&mut self, frame: &Frame, pose: &mut FramePose) -> Result<(), NativeError> {
        let Self { backend, options, body, faces, hands, warp, inputs, points } = self;
        let size = Size { width: frame.width() as usize, height: frame.height() as usize };
        let net_to_frame = body.run(frame, size, options, backend, warp, inputs)?;

        points.start(&body.people.keypoints, options);
        let crops = mem::take(&mut points.faces);
        faces.run(frame, &crops, backend, warp, inputs, points)?;
        points.faces = crops;
        let crops = mem::take(&mut points.hands);
        hands.run(frame, &crops, backend, warp, inputs, points)?;
        points.hands = crops;
        points.write(options, size, net_to_frame, pose);
        Ok(())
    }
}

/// From a frame to people's bodies.
#[derive(Debug)]
struct BodyStage {
    scales: Vec<Scale>,
    /// The net's output for each scale.
    outputs: [Vec<f32>; MAX_SCALES],
    merge: Merge,
    /// The heat map of a part.
    plane: Vec<f32>,
    peaks: [Vec<Keypoint>; BODY_POINTS],
    assembly: Assembly,
    people: People,
    ranks: Vec<f32>,
}

impl BodyStage {
    fn new(options: &Options) -> Self {
        Self {
            scales: Vec::new(),
            outputs: Default::default(),
            merge: Merge::new(options.parity),
            plane: Vec::new(),
            peaks: Default::default(),
            assembly: Assembly::default(),
            people: People::default(),
            ranks: Vec::new(),
        }
    }

    /// Leaves the bodies in `people`; returns the factor from the net's pixels to the frame's.
    fn run(
        &mut self,
        frame: &Frame,
        size: Size,
        options: &Options,
        backend: &mut impl Backend,
        warp: &mut Warp,
        inputs: &mut Vec<f32>,
    ) -> Result<f32, NativeError> {
        let net = net_size(options.net_resolution, size)?;
        scales(net, size, options.scale_number, options.scale_gap, &mut self.scales)?;
        for (&scale, output) in self.scales.iter().zip(&mut self.outputs) {
            inputs.resize(3 * scale.size.pixels(), 0.0);
            warp.net_input(frame, scale, inputs);
            backend.run(Net::Body25, inputs, scale.size, output).map_err(NativeError::Backend)?;
        }
        let mut outputs = [NetOutput { values: &[], size: Size::default() }; MAX_SCALES];
        for ((view, values), scale) in outputs.iter_mut().zip(&self.outputs).zip(&self.scales) {
            *view = net_result(values, scale.size);
        }
        let mut maps = self.merge.merge(&outputs[..self.scales.len()], &self.scales);
        let thresholds = Thresholds::new(options.maximize_positives);
        let net_to_frame = net_to_frame(size, net);
        self.plane.resize(net.pixels(), 0.0);
        for (part, peaks) in self.peaks.iter_mut().enumerate() {
            maps.plane(part, &mut self.plane);
            peaks::find(&self.plane, net, thresholds.peak, net_to_frame, options.parity, peaks);
        }
        let people = &mut self.people;
        self.assembly.assemble(
            &maps,
            &self.peaks,
            &BODY_25,
            thresholds,
            options.parity,
            net_to_frame,
            people,
        );
        let max_people = usize::try_from(options.number_people_max).unwrap_or(0);
        limit_people::limit_people(people, BODY_POINTS, max_people, &mut self.ranks);
        Ok(net_to_frame)
    }
}

/// Faces or hands of all people in a frame.
#[derive(Debug)]
struct CropStage {
    net: Net,
    size: Size,
    outputs: Vec<f32>,
    merge: Merge,
    plane: Vec<f32>,
    found: Vec<Keypoint>,
}

impl CropStage {
    fn new(net: Net, options: &Options) -> Self {
        let (resolution, points) = match net {
            Net::Face => (options.face_net_resolution, FACE_POINTS),
            _ => (options.hand_net_resolution, HAND_POINTS),
        };
        Self {
            net,
            size: Size { width: resolution.side(), height: resolution.side() },
            outputs: Vec::new(),
            merge: Merge::new(options.parity),
            plane: Vec::new(),
            found: vec![Keypoint::default(); points],
        }
    }

    /// Finds the points in all crops.
    fn run(
        &mut self,
        frame: &Frame,
        crops: &[Crop],
        backend: &mut impl Backend,
        warp: &mut Warp,
        inputs: &mut Vec<f32>,
        points: &mut Points,
    ) -> Result<(), NativeError> {
        let input = 3 * self.size.pixels();
        let output = self.net.output_channels() * self.size.pixels() / 64;
        let scale = [Scale { factor: 1.0, size: self.size }];
        for crops in crops.chunks(backend.batch().max(1)) {
            inputs.resize(crops.len() * input, 0.0);
            for (crop, input) in crops.iter().zip(inputs.chunks_exact_mut(input)) {
                warp.planes(frame, crop.placement, Interpolation::Bilinear, self.size, input);
            }
            backend.run(self.net, inputs, self.size, &mut self.outputs).map_err(NativeError::Backend)?;
            for (crop, output) in crops.iter().zip(self.outputs.chunks_exact(output)) {
                let outputs = [net_result(output, self.size)];
                let mut maps = self.merge.merge(&outputs, &scale);
                crop::keypoints(&mut maps, crop.placement, &mut self.plane, &mut self.found);
                points.put(*crop, &self.found);
            }
        }
        Ok(())
    }
}

/// A net's output for an input of this size.
fn net_result(values: &[f32], input: Size) -> NetOutput<'_> {
    NetOutput { values, size: Size { width: input.width / 8, height: input.height / 8 } }
}
