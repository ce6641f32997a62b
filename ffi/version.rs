//! Which OpenPose the headers belong to. The shim also compiles against later versions, whose keypoints differ.

/// The only version whose results may be called OpenPose 1.5.1. Its successor on the way to 1.6 still calls itself so.
const SUPPORTED: &str = "1.5.1";

/// Checks the text of OpenPose's `include/openpose/core/macros.hpp`.
///
/// # Errors
/// It belongs to another version, or names none.
pub fn check(header: &str) -> Result<(), String> {
    match version(header) {
        Some(SUPPORTED) => Ok(()),
        Some(other) => Err(format!(
            "this is OpenPose {other}, whose keypoints differ from those of OpenPose {SUPPORTED}: build OpenPose {SUPPORTED}"
        )),
        None => Err(format!("its headers do not say which version it is: build OpenPose {SUPPORTED}")),
    }
}

/// `1.5.1` of the line `const std::string OPEN_POSE_VERSION_STRING = "1.5.1";`.
fn version(header: &str) -> Option<&str> {
    let line = header.lines().find(|line| line.contains("OPEN_POSE_VERSION_STRING"))?;
    line.split('"').nth(1)
}
