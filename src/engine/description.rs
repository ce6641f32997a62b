//! What a result came from, for journals.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread;

use serde::{Deserialize, Serialize};

use super::holistic::Options;
use super::holistic::models::published;
use super::native::model::Net;

/// Which estimator it was, where it ran and with which models: results of different ones must not be mixed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The engine's name, as on the command line, and settings that change the results: `holistic`,
    /// `holistic model_complexity=2`.
    pub name: String,
    /// `cpu`, or `cuda:0` and the GPU's name.
    pub device: String,
    /// The numbers it computes in: `fp16`.
    pub precision: String,
    /// The hash of each model file, by its name below the models folder: as `md5:` or `sha256:`, whichever it was
    /// published with, and lower-case hexadecimal digits.
    pub models: BTreeMap<String, String>,
}

/// The hashes of OpenPose's nets in its model folder. Takes some tenths of a second.
///
/// # Errors
/// A file cannot be read.
pub fn openpose_models(folder: &Path) -> io::Result<BTreeMap<String, String>> {
    thread::scope(|scope| {
        let hash = |net: Net| (net, scope.spawn(move || net.md5(folder)));
        let threads = Net::OF_A_PERSON.map(hash);
        let hashes = threads.into_iter().map(|(net, thread)| {
            let (_, md5) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            Ok((net.caffemodel().to_owned(), format!("md5:{md5}")))
        });
        hashes.collect()
    })
}

/// The hashes of the files that the engine `holistic` needs for these settings. It checks them when it loads them.
pub fn holistic_models(options: &Options) -> BTreeMap<String, String> {
    published(options).map(|(name, sha256)| (name, format!("sha256:{sha256}"))).collect()
}
