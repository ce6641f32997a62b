//! The files this engine needs, and how each is checked and loaded.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use crate::Chain;
#[cfg(target_arch = "x86_64")]
use oppose_tflite::Network;
use oppose_tflite::{keep_outputs, remove_metadata, split_multiply_add};
use sha2::{Digest, Sha256};

use super::litert::{self, LiteRtError, Runtime};
use super::net::{self, Net};
use super::options::{Complexity, Hands, Options, Threads};
use crate::engine::models::where_to_get_holistic;

/// Where the files lie inside the models folder.
pub const FOLDER: &str = crate::engine::models::HOLISTIC;

/// The runtime: LiteRT 2.3.0.
#[cfg(target_arch = "aarch64")]
const RUNTIME: ModelFile = ModelFile {
    name: "libLiteRt.so",
    bytes: 5_991_672,
    sha256: "b57687dc234d2b8b0598aef5a9c961ed24263df8f8b3f56adbee1cff618e544b",
};

/// The runtime: LiteRT 2.3.0.
#[cfg(not(target_arch = "aarch64"))]
const RUNTIME: ModelFile = ModelFile {
    name: "libLiteRt.so",
    bytes: 8_039_424,
    sha256: "eec47eb35e2924b3166015887e652a58edc9af823ae38e02bf83bef2548300bb",
};

/// A file as published.
#[derive(Clone, Copy, Debug)]
struct ModelFile {
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
}

/// A net: its file, the side of its square red-green-blue input, its outputs.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    file: ModelFile,
    /// Side of the input in pixels.
    pub side: usize,
    /// Number of values of each output in the file, and whether this engine reads it.
    outputs: &'static [(usize, bool)],
}

/// Finds people. Outputs: 0 boxes, 1 scores.
pub const POSE_DETECTION: Model = Model {
    file: ModelFile {
        name: "pose_detection.tflite",
        bytes: 2_959_046,
        sha256: "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
    },
    side: 224,
    outputs: &[(2254 * 12, true), (2254, true)],
};

/// Side of the input of the body's nets.
pub const BODY_SIDE: usize = 256;

/// What the body's nets give: landmarks, presence, a mask of the person, heat maps, world landmarks.
const BODY_OUTPUTS: &[(usize, bool)] =
    &[(195, true), (1, true), (256 * 256, false), (64 * 64 * 39, true), (117, true)];

/// The body's landmarks, by the smallest net. Outputs: 0 landmarks, 1 presence, 2 heat maps, 3 world landmarks. The
/// file has a mask of the person before the heat maps.
pub const POSE_LANDMARKS_LITE: Model = Model {
    file: ModelFile {
        name: "pose_landmark_lite.tflite",
        bytes: 2_819_824,
        sha256: "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
    },
    side: BODY_SIDE,
    outputs: BODY_OUTPUTS,
};

/// The body's landmarks, by the net in the middle. Outputs as those of [`POSE_LANDMARKS_LITE`].
pub const POSE_LANDMARKS_FULL: Model = Model {
    file: ModelFile {
        name: "pose_landmark_full.tflite",
        bytes: 6_440_512,
        sha256: "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    },
    side: BODY_SIDE,
    outputs: BODY_OUTPUTS,
};

/// The body's landmarks, by the largest net. Outputs as those of [`POSE_LANDMARKS_LITE`].
pub const POSE_LANDMARKS_HEAVY: Model = Model {
    file: ModelFile {
        name: "pose_landmark_heavy.tflite",
        bytes: 27_709_200,
        sha256: "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
    },
    side: BODY_SIDE,
    outputs: BODY_OUTPUTS,
};

/// The net for the body's landmarks.
pub fn body_landmarks(complexity: Complexity) -> &'static Model {
    match complexity {
        Complexity::Lite => &POSE_LANDMARKS_LITE,
        Complexity::Full => &POSE_LANDMARKS_FULL,
        Complexity::Heavy => &POSE_LANDMARKS_HEAVY,
    }
}

/// Where exactly a hand is. Output: 0 two points.
pub const HAND_RECROP: Model = Model {
    file: ModelFile {
        name: "hand_recrop.tflite",
        bytes: 123_792,
        sha256: "67d996ce96f9d36fe17d2693022c6da93168026ab2f028f9e2365398d8ac7d5d",
    },
    side: 256,
    outputs: &[(4, true)],
};

/// A hand's landmarks. Outputs: 0 landmarks, 1 presence. The file has handedness and world landmarks after
/// them.
pub const HAND_LANDMARKS: Model = Model {
    file: ModelFile {
        name: "hand_landmark_full.tflite",
        bytes: 5_478_917,
        sha256: "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
    },
    side: 224,
    outputs: &[(63, true), (1, true), (1, false), (63, false)],
};

/// The same with one more output: 2 handedness, how likely this is a right hand.
pub const SIDED_HAND_LANDMARKS: Model =
    Model { outputs: &[(63, true), (1, true), (1, true), (63, false)], ..HAND_LANDMARKS };

/// Finds palms. Outputs: 0 boxes, 1 scores.
pub const PALM_DETECTION: Model = Model {
    file: ModelFile {
        name: "palm_detection_full.tflite",
        bytes: 2_339_846,
        sha256: "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    },
    side: 192,
    outputs: &[(2016 * 18, true), (2016, true)],
};

/// Finds faces. Outputs: 0 boxes, 1 scores.
pub const FACE_DETECTION: Model = Model {
    file: ModelFile {
        name: "face_detection_short_range.tflite",
        bytes: 229_714,
        sha256: "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    },
    side: 128,
    outputs: &[(896 * 16, true), (896, true)],
};

/// A face's landmarks. Outputs: 0 landmarks, 1 presence (before the sigmoid).
pub const FACE_LANDMARKS: Model = Model {
    file: ModelFile {
        name: "face_landmark.tflite",
        bytes: 1_242_398,
        sha256: "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
    },
    side: 192,
    outputs: &[(1404, true), (1, true)],
};

/// A face's landmarks with finer lips, eyes and irises. It has operators that LiteRT does not know and is only ever
/// loaded in parts, by `attention.rs`. Outputs: 0 landmarks, 1 lips, 2 left eye, 3 right eye,
/// 4 left iris, 5 right iris, 6 presence (before the sigmoid).
pub const FACE_ATTENTION: Model = Model {
    file: ModelFile {
        name: "face_landmark_with_attention.tflite",
        bytes: 2_495_106,
        sha256: "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
    },
    side: 192,
    outputs: &[(1404, true), (160, true), (142, true), (142, true), (10, true), (10, true), (1, true)],
};

/// Settings that need another net than the defaults, and that net.
pub const FURTHER: [(&str, Model); 4] = [
    ("model_complexity=0", POSE_LANDMARKS_LITE),
    ("model_complexity=2", POSE_LANDMARKS_HEAVY),
    ("refine_face_landmarks", FACE_ATTENTION),
    ("--hands thorough", PALM_DETECTION),
];

/// The nets that these settings need.
pub fn needed(options: &Options) -> Vec<Model> {
    let face = if options.refine_face { FACE_ATTENTION } else { FACE_LANDMARKS };
    let body = *body_landmarks(options.complexity);
    let mut models = vec![POSE_DETECTION, body, HAND_RECROP, HAND_LANDMARKS, FACE_DETECTION, face];
    models.extend((options.hands == Hands::Thorough).then_some(PALM_DETECTION));
    models
}

/// The hashes of the files that these settings need, which are checked when they are loaded, as
/// [`EngineInfo`](crate::engine::EngineInfo) has them.
pub(super) fn hashes(options: &Options) -> BTreeMap<String, String> {
    let files = needed(options).into_iter().map(|model| model.file).chain([RUNTIME]);
    files.map(|file| (format!("{FOLDER}/{}", file.name), format!("sha256:{}", file.sha256))).collect()
}

/// A file that is not there or not the published one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileProblem {
    /// It cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its length is not that of the published file.
    #[error("{} has {found} bytes, the published file has {expected}", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The published length in bytes.
        expected: u64,
    },
    /// Its content is not that of the published file.
    #[error("{} has SHA-256 {found}, the published file has {expected}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The published hash.
        expected: &'static str,
    },
}

/// All that is wrong with a models folder, and what to do.
#[derive(Debug)]
#[non_exhaustive]
pub struct ModelsError {
    /// One for each file that is missing or wrong.
    pub problems: Vec<FileProblem>,
}

impl std::error::Error for ModelsError {}

impl fmt::Display for ModelsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problems: Vec<String> = self.problems.iter().map(|problem| Chain(problem).to_string()).collect();
        write!(
            f,
            "the files of the engine holistic are not complete: {}; {}, or name another models folder",
            problems.join(", "),
            where_to_get_holistic()
        )
    }
}

/// The loaded runtime and the checked bytes of all nets.
#[derive(Debug)]
pub struct Models {
    runtime: Arc<Runtime>,
    nets: Vec<(&'static str, Vec<u8>)>,
}

/// Why the nets cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Files are missing or wrong.
    #[error(transparent)]
    Files(#[from] ModelsError),
    /// LiteRT cannot be loaded, or refuses a net.
    #[error(transparent)]
    LiteRt(#[from] LiteRtError),
    /// A checked net is not laid out as this program expects.
    #[error("{0} cannot be cut to the part that is needed: its graph is not the expected one")]
    Graph(&'static str),
}

impl Models {
    /// Checks the files in `folder`/holistic that these settings need against their published SHA-256 and loads the
    /// runtime.
    ///
    /// # Errors
    /// Files are missing or wrong (all of them are named), or the runtime doesn't load.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, LoadError> {
        let folder = folder.join(FOLDER);
        // Side by side: hashing 24 MB and more takes a good part of the start.
        let checked: Vec<_> = thread::scope(|scope| {
            let files = needed(options).into_iter().map(|model| model.file).chain([RUNTIME]);
            let folder = &folder;
            let check = |file: ModelFile| (file.name, scope.spawn(move || read(folder, &file)));
            let threads: Vec<_> = files.map(check).collect();
            threads.into_iter().map(|(name, thread)| (name, thread.join())).collect()
        });
        let (mut nets, mut problems) = (Vec::new(), Vec::new());
        for (name, checked) in checked {
            match checked {
                // Loaded from its file, below.
                Ok(Ok(_)) if name == RUNTIME.name => {}
                Ok(Ok(mut bytes)) => {
                    // Every processor is to compute in single precision.
                    remove_metadata(&mut bytes).ok_or(LoadError::Graph(name))?;
                    nets.push((name, bytes));
                }
                Ok(Err(problem)) => problems.push(problem),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        if !problems.is_empty() {
            return Err(ModelsError { problems }.into());
        }
        Ok(Self { runtime: Arc::new(Runtime::open(&folder.join(RUNTIME.name))?), nets })
    }

    /// Loads a net for one thread, without the outputs that are not used.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load(&self, model: &Model) -> Result<Net, LoadError> {
        self.load_for(model, Threads::ONE)
    }

    /// Loads a net for this many threads, without the outputs that are not used.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub(super) fn load_for(&self, model: &Model, threads: Threads) -> Result<Net, LoadError> {
        let [net] = self.load_copies(model, threads)?;
        Ok(net)
    }

    /// Loads a net for one thread that two stages use at the same time. They share the weights.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub(super) fn load_twice(&self, model: &Model) -> Result<[Net; 2], LoadError> {
        self.load_copies(model, Threads::ONE)
    }

    fn load_copies<const COUNT: usize>(
        &self,
        model: &Model,
        threads: Threads,
    ) -> Result<[Net; COUNT], LoadError> {
        let used = model.outputs.iter().enumerate().filter(|(_, (_, used))| *used);
        let (kept, sizes): (Vec<usize>, Vec<usize>) = used.map(|(i, &(size, _))| (i, size)).unzip();
        let mut bytes = match model.is_split() {
            true => split_multiply_add(self.bytes(model)).ok_or(LoadError::Graph(model.file.name))?,
            false => self.bytes(model).to_vec(),
        };
        keep_outputs(&mut bytes, &kept).ok_or(LoadError::Graph(model.file.name))?;
        #[cfg(target_arch = "x86_64")]
        let network = model.has_own_kernels().then(|| Network::load(&bytes, threads.kernels)).flatten();
        let mut nets = Vec::with_capacity(COUNT);
        for _ in 0..COUNT {
            #[cfg(target_arch = "x86_64")]
            if let Some(network) = &network
                && let Some(net) = Net::by_network(&self.runtime, &bytes, &sizes, network.clone())?
            {
                nets.push(net);
                continue;
            }
            nets.push(
                litert::Net::load(&self.runtime, &bytes, &[model.input()], &sizes, threads.runtime)?.into(),
            );
        }
        Ok(nets.try_into().unwrap_or_else(|_| unreachable!("as many nets as were asked for")))
    }

    /// Loads a net as it is in its file, with all outputs. Slower, and for [`HAND_RECROP`] not the same to the last
    /// bit; for comparison.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub fn load_whole(&self, model: &Model) -> Result<Net, LoadError> {
        let sizes: Vec<usize> = model.outputs.iter().map(|&(size, _)| size).collect();
        Ok(litert::Net::load(&self.runtime, self.bytes(model), &[model.input()], &sizes, 1)?.into())
    }

    /// Loads the part of a net that computes some of its tensors from others: number in the file and size of each.
    ///
    /// # Errors
    /// The runtime refuses the net.
    pub(super) fn load_part(
        &self,
        model: &Model,
        inputs: &[(u32, usize)],
        outputs: &[(u32, usize)],
    ) -> Result<Net, LoadError> {
        let part = net::load_part(&self.runtime, self.bytes(model), inputs, outputs)?;
        part.map(Net::from).ok_or(LoadError::Graph(model.file.name))
    }

    fn bytes(&self, model: &Model) -> &[u8] {
        let found = self.nets.iter().find(|(name, _)| *name == model.file.name);
        found.map_or(&[], |(_, bytes)| bytes)
    }
}

impl Model {
    /// The file's name.
    pub fn name(&self) -> &'static str {
        self.file.name
    }

    /// Checks the net's file in `folder`/holistic against its published SHA-256.
    ///
    /// # Errors
    /// It is missing or another file.
    pub fn check(&self, folder: &Path) -> Result<(), FileProblem> {
        read(&folder.join(FOLDER), &self.file).map(drop)
    }

    /// For each output in the file, whether this engine reads it.
    pub fn used_outputs(&self) -> impl Iterator<Item = bool> {
        self.outputs.iter().map(|&(_, used)| used)
    }

    /// Whether some of its operators are taken apart. Those of the other nets give MediaPipe's numbers as they are.
    fn is_split(&self) -> bool {
        self.file.name == HAND_RECROP.file.name
    }

    /// Whether this program computes the net itself where the processor allows it: those that take the most time.
    #[cfg(target_arch = "x86_64")]
    fn has_own_kernels(&self) -> bool {
        let body = [Complexity::Lite, Complexity::Full, Complexity::Heavy].map(body_landmarks);
        body.iter()
            .map(|model| model.file.name)
            .chain([HAND_LANDMARKS, HAND_RECROP, FACE_DETECTION, FACE_LANDMARKS].map(|model| model.file.name))
            .any(|name| name == self.file.name)
    }

    /// Number of values of the input.
    fn input(&self) -> usize {
        self.side * self.side * 3
    }
}

/// The bytes of a file, if they are the published ones.
fn read(folder: &Path, file: &ModelFile) -> Result<Vec<u8>, FileProblem> {
    let path = folder.join(file.name);
    let unreadable = |source| FileProblem::Unreadable { path: path.clone(), source };
    // The length is looked at first: a wrong file may be huge.
    let found = fs::metadata(&path).map_err(unreadable)?.len();
    if found != file.bytes {
        return Err(FileProblem::Length { path, found, expected: file.bytes });
    }
    let bytes = fs::read(&path).map_err(unreadable)?;
    let found: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    if found != file.sha256 {
        return Err(FileProblem::Content { path, found, expected: file.sha256 });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_missing_or_wrong_file_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join(FOLDER);
        fs::create_dir(&files).unwrap();
        fs::write(files.join("hand_recrop.tflite"), vec![0; 123_792]).unwrap();
        fs::write(files.join("face_landmark.tflite"), b"short").unwrap();
        let message = Models::open(folder.path(), &Options::new()).unwrap_err().to_string();
        for model in needed(&Options::new()) {
            assert!(message.contains(model.name()), "{message}");
        }
        assert!(message.contains("libLiteRt.so cannot be read"), "{message}");
        assert!(message.contains("has 5 bytes, the published file has 1242398"), "{message}");
        assert!(message.contains("the published file has 67d996ce"), "{message}");
        assert!(message.contains("scripts/fetch-models.sh"), "{message}");
    }
}
