//! The guarantees of the writer of `.pose` files: a complete file or none, and errors before the work, not after.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use std::error::Error as _;
use std::fs;
use std::path::Path;

use oppose_pose::{Component, FramePose, Header, Pose, PoseError, PoseWriter, Skeleton, openpose_137};

/// Names of the files in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn create(path: &Path, overwrite: bool) -> Result<PoseWriter, PoseError> {
    PoseWriter::options().overwrite(overwrite).create(path, &Header::new(openpose_137(), 640, 480)?, 25.0)
}

fn person(value: f32) -> FramePose {
    let mut frame = FramePose::new(1, 137, 2);
    frame.coordinates_mut().fill(value);
    frame.confidences_mut().fill(1.0);
    frame
}

#[test]
fn a_file_appears_only_when_it_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.pose");
    let mut dropped = create(&path, false).unwrap();
    dropped.write(&person(1.0)).unwrap();
    drop(dropped);
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));

    let mut writer = create(&path, false).unwrap();
    writer.write(&person(1.0)).unwrap();
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
    writer.finish().unwrap();
    assert_eq!(names(folder.path()), ["video.pose"]);
    assert_eq!(Pose::read_file(&path).unwrap().coordinates(), person(1.0).coordinates());
}

#[test]
fn an_existing_file_is_replaced_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.pose");
    let racing = create(&path, false).unwrap();
    fs::write(&path, "someone else's").unwrap();
    assert!(matches!(racing.finish(), Err(PoseError::Exists(found)) if found == path));
    assert!(matches!(create(&path, false), Err(PoseError::Exists(found)) if found == path));
    assert_eq!(fs::read(&path).unwrap(), b"someone else's");
    assert_eq!(names(folder.path()), ["video.pose"]);

    create(&path, true).unwrap().finish().unwrap();
    assert_eq!(Pose::read_file(&path).unwrap().frames(), 0);
}

/// On Linux, a file name has at most 255 bytes.
#[test]
fn long_names_work_or_are_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a".repeat(250), "手".repeat(83)] {
        let path = folder.path().join(name + ".pose");
        create(&path, false).unwrap().finish().unwrap();
        assert_eq!(Pose::read_file(&path).unwrap().frames(), 0);
    }
    let path = folder.path().join("a".repeat(256));
    assert!(matches!(create(&path, false), Err(PoseError::Io { path: found, .. }) if found == path));
}

#[test]
fn an_impossible_path_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent/video.pose");
    let error = create(&absent, true).unwrap_err();
    assert!(error.to_string().ends_with("absent"), "{error}");
    let cause = error.source().unwrap().to_string();
    assert!(cause.starts_with("No such file") && cause.ends_with("check the path"), "{cause}");
    for directory in [folder.path().to_owned(), folder.path().join("..")] {
        let message = create(&directory, true).unwrap_err().to_string();
        assert!(message.contains("is a folder"), "{message}");
    }
}

/// The target of a dangling link does not exist, but the link itself is in the way.
#[cfg(unix)]
#[test]
fn a_dangling_link_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.pose");
    std::os::unix::fs::symlink("nowhere", &path).unwrap();
    assert!(matches!(create(&path, false), Err(PoseError::Exists(found)) if found == path));
}

/// Temporary files are private by default, and colleagues have to be able to read the result.
#[cfg(unix)]
#[test]
fn a_file_has_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let (path, plain) = (folder.path().join("video.pose"), folder.path().join("plain"));
    create(&path, false).unwrap().finish().unwrap();
    fs::write(&plain, "").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&path), mode(&plain));
}

#[test]
fn a_refused_frame_leaves_the_file_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.pose");
    let names = vec!["point".to_owned()];
    let component =
        Component { name: "dot".into(), format: "XC".into(), points: names, ..Default::default() };
    let skeleton = Skeleton { components: vec![component] };
    let mut writer = PoseWriter::create(&path, &Header::new(&skeleton, 1, 1).unwrap(), 25.0).unwrap();
    writer.write(&FramePose::new(1, 1, 1)).unwrap();
    let crowd = writer.write(&FramePose::new(65_536, 1, 1)).unwrap_err().to_string();
    assert!(crowd.contains("65536") && crowd.contains("at most 65535"), "{crowd}");
    let shape = writer.write(&FramePose::new(1, 137, 2)).unwrap_err().to_string();
    assert!(shape.contains("(137, 2)") && shape.contains("(1, 1)"), "{shape}");
    writer.write(&FramePose::new(2, 1, 1)).unwrap();
    assert_eq!(writer.frames(), 2);
    writer.finish().unwrap();
    let read = Pose::read_file(&path).unwrap();
    assert_eq!((read.frames(), read.people()), (2, 2));
}

#[test]
fn errors_name_the_number_that_is_too_large_and_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("video.pose");
    let wide = Header::new(openpose_137(), 65_536, 480).unwrap_err().to_string();
    assert!(wide.contains("width is 65536") && wide.contains("at most 65535"), "{wide}");
    let long = Component { name: "n".repeat(65_536), format: "XYC".into(), ..Default::default() };
    let skeleton = Skeleton { components: vec![long] };
    let header = Header::new(&skeleton, 640, 480).unwrap();
    let long = PoseWriter::create(&path, &header, 25.0).unwrap_err().to_string();
    assert!(long.contains("length of a name is 65536"), "{long}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_pose_in_memory_is_written_to_any_writer() {
    let pose = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[person(1.0), person(2.0)]).unwrap();
    let bytes = pose.to_bytes().unwrap();
    let mut out = Vec::new();
    pose.write_to(&mut out).unwrap();
    assert!(out == bytes);
    let mut short = vec![0; bytes.len() - 1];
    assert!(matches!(pose.write_to(&mut short[..]), Err(PoseError::Write(_))));
}
