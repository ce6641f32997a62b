//! A loaded estimator and what there is to say of it.

use std::io;
use std::path::PathBuf;

use oppose::engine::description::{self, Description};
use oppose::engine::native::cuda::Precision;
use oppose::engine::{Engine, holistic};
use oppose::gpu;

/// Where an estimator runs that uses no GPU.
pub const CPU: &str = "cpu";

/// A loaded estimator.
pub struct Opened {
    /// The estimator.
    pub engine: Box<dyn Engine>,
    device: String,
    precision: Precision,
    model_folder: PathBuf,
    /// The settings, where it is the engine `holistic`.
    holistic: holistic::Options,
}

impl Opened {
    /// An estimator that has read its models from a folder.
    pub fn new(
        engine: impl Engine + 'static,
        device: String,
        precision: Precision,
        model_folder: PathBuf,
    ) -> Self {
        let holistic = holistic::Options::new();
        Self { engine: Box::new(engine), device, precision, model_folder, holistic }
    }

    /// The same with the settings of the engine `holistic`, which belong to its description.
    pub fn with_holistic(self, holistic: holistic::Options) -> Self {
        Self { holistic, ..self }
    }

    /// What it is, with the hashes of its models, which takes some tenths of a second.
    ///
    /// # Errors
    /// The models cannot be read any more.
    pub fn describe(&self) -> io::Result<Description> {
        let (device, precision) = (self.device.clone(), self.precision.to_string());
        if self.engine.name() == holistic::NAME {
            let (name, models) = (self.holistic.name(), description::holistic_models(&self.holistic));
            return Ok(Description { name, device, precision, models });
        }
        let models = description::openpose_models(&self.model_folder)?;
        Ok(Description { name: self.engine.name().into(), device, precision, models })
    }
}

/// Where an estimator runs that uses the GPU of this number.
pub fn on_gpu(number: usize) -> String {
    let name = gpu::detect().ok().and_then(|driver| driver.gpus.into_iter().nth(number)).map(|gpu| gpu.name);
    format!("cuda:{number} {}", name.unwrap_or_default()).trim_end().to_owned()
}
