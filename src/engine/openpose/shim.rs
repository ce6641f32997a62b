//! The shim: a shared library in C++ (`ffi/`) that calls OpenPose, looked up at run time.
//!
//! Everything unsafe of this engine is in this file.

// A foreign library is called here; nothing above this file sees a raw pointer.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::env;
use std::ffi::{CStr, CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::ptr::{self, NonNull};

use libloading::Library;

use super::{OpenPoseError, Options};
use crate::engine::loader_error;
use crate::pose::FramePose;
use oppose_core::Frame;

/// Generated from `ffi/openpose_shim.h` by the build script.
#[allow(non_camel_case_types, dead_code, missing_docs, clippy::all, clippy::undocumented_unsafe_blocks)]
mod bindings {
    include!(concat!(env!("OUT_DIR"), "/openpose_shim.rs"));
}

use bindings::{
    Functions, OPPOSE_SHIM_EMPTY, OPPOSE_SHIM_OK, OPPOSE_SHIM_POINTS, OPPOSE_SHIM_VERSION,
    oppose_shim_engine, oppose_shim_options, oppose_shim_status,
};

/// The environment variable that names the shim.
pub const SHIM_VARIABLE: &str = "OPPOSE_SHIM";
const FILE_NAME: &str = "liboppose_openpose.so";
/// Where the build script put it, if OpenPose was present.
const BUILT: Option<&str> = option_env!("OPPOSE_BUILT_SHIM");

/// Points of a person.
pub(super) const POINTS: usize = OPPOSE_SHIM_POINTS as usize;
/// OpenPose's messages name every function that they passed through.
const MESSAGE: usize = 8192;

/// Where to look for the shim, in order: only [`SHIM_VARIABLE`] if it is set; otherwise beside the program, then
/// where it was built.
pub(super) fn shim_paths() -> Vec<PathBuf> {
    if let Some(path) = env::var_os(SHIM_VARIABLE).filter(|path| !path.is_empty()) {
        return vec![path.into()];
    }
    let program = env::current_exe().ok();
    let beside = program.as_deref().and_then(Path::parent).map(|folder| folder.join(FILE_NAME));
    beside.into_iter().chain(BUILT.map(PathBuf::from)).collect()
}

/// The file of the shim. Loads nothing.
///
/// # Errors
/// It was not found.
pub fn find_shim() -> Result<PathBuf, OpenPoseError> {
    let mut searched = shim_paths();
    match searched.iter().position(|path| path.exists()) {
        Some(index) => Ok(searched.swap_remove(index)),
        None => Err(OpenPoseError::NoShim { searched }),
    }
}

/// The shim, loaded.
pub(super) struct Shim {
    functions: Functions,
}

impl Shim {
    /// Loads the shim, and with it OpenPose.
    pub(super) fn load() -> Result<Self, OpenPoseError> {
        Self::load_from(&find_shim()?)
    }

    fn load_from(path: &Path) -> Result<Self, OpenPoseError> {
        let failed = |error| OpenPoseError::Load { path: path.to_owned(), source: loader_error(error) };
        // SAFETY: the initialisers are those of OpenPose and of what it is made of; they ask nothing of us.
        let library = unsafe { Library::new(path) }.map_err(failed)?;
        // SAFETY: the function has had this signature since the first version.
        let version = unsafe { library.get::<unsafe extern "C" fn() -> u32>(c"oppose_shim_version") };
        // SAFETY: it takes nothing and gives a number.
        let found = unsafe { version.map_err(failed)?() };
        if found != OPPOSE_SHIM_VERSION {
            return Err(OpenPoseError::ShimVersion {
                path: path.to_owned(),
                found,
                expected: OPPOSE_SHIM_VERSION,
            });
        }
        // SAFETY: a library of this version has these functions.
        let functions = unsafe { Functions::from_library(library) }.map_err(failed)?;
        Ok(Self { functions })
    }

    /// The OpenPose for which the shim was built.
    pub(super) fn openpose(&self) -> String {
        // SAFETY: the function takes nothing and gives a constant text.
        let text = unsafe { CStr::from_ptr(self.functions.oppose_shim_openpose()) };
        text.to_string_lossy().into_owned()
    }

    /// Whether that OpenPose runs on a GPU.
    pub(super) fn needs_gpu(&self) -> bool {
        // SAFETY: the function takes nothing and gives a number.
        unsafe { self.functions.oppose_shim_needs_gpu() != 0 }
    }
}

/// A running OpenPose with the frames in flight.
pub(super) struct Running {
    shim: Shim,
    engine: NonNull<oppose_shim_engine>,
    /// OpenPose reads their pixels until they are popped.
    in_flight: VecDeque<Frame>,
    popped: u64,
    message: Vec<c_char>,
}

// SAFETY: the shim asks that one thread at a time uses an engine, not always the same one.
unsafe impl Send for Running {}

impl Running {
    pub(super) fn start(shim: Shim, folder: &Path, options: &Options) -> Result<Self, OpenPoseError> {
        let model_folder = CString::new(folder.as_os_str().as_bytes())
            .map_err(|_| OpenPoseError::ModelFolder { folder: folder.to_owned() })?;
        let wanted = shim_options(&model_folder, options);
        let mut message = vec![0; MESSAGE];
        let mut engine = ptr::null_mut();
        // SAFETY: the options and the folder's name live through the call, and `message` has its size.
        let status = unsafe {
            shim.functions.oppose_shim_open(&wanted, &mut engine, message.as_mut_ptr(), message.len())
        };
        match NonNull::new(engine) {
            Some(engine) if status == OPPOSE_SHIM_OK => {
                Ok(Self { shim, engine, in_flight: VecDeque::new(), popped: 0, message })
            }
            _ => Err(failed(&message)),
        }
    }

    /// Number of frames in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn push(&mut self, frame: Frame) -> Result<(), OpenPoseError> {
        let side = |side: u32| i32::try_from(side).unwrap_or(0);
        let (width, height) = (side(frame.width()), side(frame.height()));
        // Kept before OpenPose sees it, and whatever comes of it: its threads may read the pixels until they
        // have ended. Moving the frame does not move its pixels.
        self.in_flight.push_back(frame);
        let Some(frame) = self.in_flight.back() else { return Ok(()) };
        // SAFETY: the pixels have width × height × 3 bytes without gaps and stay in `in_flight` until
        // their result is popped, or beyond the engine's end.
        let status = unsafe {
            self.shim.functions.oppose_shim_push(
                self.engine.as_ptr(),
                frame.pixels().as_ptr(),
                width,
                height,
                self.message.as_mut_ptr(),
                self.message.len(),
            )
        };
        self.check(status)
    }

    /// Waits for the oldest frame in flight; `false` if there is none.
    pub(super) fn pop(&mut self, pose: &mut FramePose) -> Result<bool, OpenPoseError> {
        let (mut number, mut people) = (0, 0);
        let engine = self.engine.as_ptr();
        // SAFETY: both places and the message live through the call.
        let status = unsafe {
            self.shim.functions.oppose_shim_pop(
                engine,
                &mut number,
                &mut people,
                self.message.as_mut_ptr(),
                self.message.len(),
            )
        };
        if status == OPPOSE_SHIM_EMPTY {
            return Ok(false);
        }
        self.check(status)?;
        if number != self.popped {
            return Err(OpenPoseError::Order { found: number, expected: self.popped });
        }
        self.popped += 1;
        pose.reset(usize::try_from(people).unwrap_or(0), POINTS, 2);
        let coordinates = pose.coordinates_mut().as_mut_ptr();
        let confidences = pose.confidences_mut().as_mut_ptr();
        // SAFETY: the pose was given room for these people just now: two numbers and one for each of their
        // points. No scores are asked for.
        let status = unsafe {
            let copy = &self.shim.functions;
            copy.oppose_shim_copy(engine, people, coordinates, confidences, ptr::null_mut())
        };
        self.check(status)?;
        self.in_flight.pop_front();
        Ok(true)
    }

    fn check(&self, status: oppose_shim_status) -> Result<(), OpenPoseError> {
        if status == OPPOSE_SHIM_OK { Ok(()) } else { Err(failed(&self.message)) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // SAFETY: the engine was opened by this library and is used no more. Its threads end here, before
        // the frames in flight are dropped.
        unsafe { self.shim.functions.oppose_shim_close(self.engine.as_ptr()) };
    }
}

fn shim_options(model_folder: &CStr, options: &Options) -> oppose_shim_options {
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let side = |side: Option<u32>| side.map_or(-1, number);
    let keypoints = &options.keypoints;
    oppose_shim_options {
        model_folder: model_folder.as_ptr(),
        net_width: side(keypoints.net_resolution.width),
        net_height: side(keypoints.net_resolution.height),
        scale_number: number(keypoints.scale_number),
        scale_gap: keypoints.scale_gap as f32,
        face_net_side: if keypoints.faces { keypoints.face_net_resolution.side() as i32 } else { 0 },
        hand_net_side: if keypoints.hands { keypoints.hand_net_resolution.side() as i32 } else { 0 },
        hand_scale_number: number(keypoints.hand_scale_number),
        hand_scale_range: keypoints.hand_scale_range,
        number_people_max: i32::try_from(keypoints.number_people_max).unwrap_or(-1),
        maximize_positives: keypoints.maximize_positives.into(),
        keypoint_scale: keypoints.keypoint_scale as i32,
        gpu: i32::try_from(options.gpu).unwrap_or(i32::MAX),
        queue_size: super::QUEUE_SIZE,
        is_verbose: options.is_verbose.into(),
    }
}

/// OpenPose's message without the list of functions that it passed through.
fn failed(message: &[c_char]) -> OpenPoseError {
    let bytes: Vec<u8> = message.iter().map(|&byte| byte as u8).take_while(|&byte| byte != 0).collect();
    OpenPoseError::Failed { words: sentence(&String::from_utf8_lossy(&bytes)) }
}

fn sentence(text: &str) -> String {
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Coming from"));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty() && *line != "Error:").collect();
    let words = lines.join(" ");
    if words.is_empty() { "it gives no reason".into() } else { words.trim_end_matches('.').into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_its_first_sentence() {
        let text = "\nError:\nNo such file.\n\nComing from:\n- a.cpp:check():12\n- b.cpp:start():7\n";
        assert_eq!(sentence(text), "No such file");
        assert_eq!(sentence("Coming from:\n- a.cpp"), "it gives no reason");
    }
}
