//! Files of other and older programs: each version of `.pose`, each version of OpenPose's JSON, and files that are neither.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use common::{Need, names, output, repository, run_python, trial};
use oppose::Chain;
use oppose::pose::openpose_json::file_name;
use oppose::pose::{FramePose, Pose, openpose_137};
use serde_json::{Value, json};

fn oppose(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.args(arguments);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn case(name: &str) -> PathBuf {
    repository("tests/data/cases").join(name)
}

/// Asserts that the program exits with this code and prints these words; returns everything that it printed.
#[track_caller]
fn assert_prints(arguments: &[&str], code: i32, words: &[&str]) -> String {
    let ended = oppose(arguments).output().unwrap();
    let printed = String::from_utf8(ended.stderr).unwrap() + &String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {printed}");
    words
        .iter()
        .for_each(|word| assert!(printed.contains(word), "{arguments:?}: {word:?} is not in: {printed}"));
    assert!(!printed.contains("panicked"), "{printed}");
    printed
}

/// A `.pose` file, written field by field.
struct File {
    version: f32,
    depth: u16,
    /// Point format, and number of points.
    components: Vec<(&'static str, u16)>,
    /// People of each frame.
    people: Vec<u16>,
}

impl File {
    fn points(&self) -> usize {
        self.components.iter().map(|component| usize::from(component.1)).sum()
    }

    fn dimensions(&self) -> usize {
        self.components.iter().map(|component| component.0.len()).max().unwrap() - 1
    }

    /// A coordinate or a confidence; a fifth of the points was not found, and some confidences are negative.
    fn value(frame: usize, person: usize, point: usize, letter: usize, is_confidence: bool) -> f32 {
        let number = frame * 31 + person * 17 + point * 3;
        match is_confidence {
            true => [0.0, 0.25, 0.5, 0.75, if number % 10 == 4 { -1.0 } else { 1.0 }][number % 5],
            false => number as f32 * 1.25 + letter as f32 * 0.5,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.version.to_le_bytes().to_vec();
        let short = |bytes: &mut Vec<u8>, value: u16| bytes.extend(value.to_le_bytes());
        let word = |bytes: &mut Vec<u8>, word: &str| {
            short(bytes, word.len() as u16);
            bytes.extend(word.as_bytes());
        };
        [640, 480, self.depth, self.components.len() as u16]
            .iter()
            .for_each(|&value| short(&mut bytes, value));
        for (index, (format, points)) in self.components.iter().enumerate() {
            word(&mut bytes, &format!("part{index}"));
            word(&mut bytes, format);
            [*points, 1, 1].iter().for_each(|&value| short(&mut bytes, value));
            (0..*points).for_each(|point| word(&mut bytes, &format!("p{point}")));
            [0, points - 1, 255, 0, 0].iter().for_each(|&value| short(&mut bytes, value));
        }
        let frames = self.people.len();
        let max_people = self.people.iter().copied().max().unwrap_or(0);
        if self.version == 0.0 {
            [25, frames as u16].iter().for_each(|&value| short(&mut bytes, value));
            for (frame, &people) in self.people.iter().enumerate() {
                short(&mut bytes, people);
                for person in 0..people {
                    // The person's identifier, which is not an index.
                    bytes.extend((-5 - person as i16).to_le_bytes());
                    let mut point = 0;
                    for (format, points) in &self.components {
                        for _ in 0..*points {
                            for letter in 0..format.len() {
                                let is_last = letter + 1 == format.len();
                                let value = Self::value(frame, person.into(), point, letter, is_last);
                                bytes.extend(value.to_le_bytes());
                            }
                            point += 1;
                        }
                    }
                }
            }
            return bytes;
        }
        match self.version == 0.1 {
            true => [25, frames as u16].iter().for_each(|&value| short(&mut bytes, value)),
            false => {
                bytes.extend(25.0_f32.to_le_bytes());
                bytes.extend((frames as u32).to_le_bytes());
            }
        }
        short(&mut bytes, max_people);
        bytes.extend(self.numbers(false).into_iter().chain(self.numbers(true)).flat_map(f32::to_le_bytes));
        bytes
    }

    /// Coordinates or confidences of all frames, padded with zeros.
    fn numbers(&self, confidences: bool) -> Vec<f32> {
        let max_people = self.people.iter().copied().max().unwrap_or(0);
        let mut numbers = Vec::new();
        for (frame, &people) in self.people.iter().enumerate() {
            for person in 0..max_people {
                let formats = self.components.iter().flat_map(|part| vec![part.0; part.1.into()]);
                for (point, format) in formats.enumerate() {
                    let exists = person < people;
                    let value = |letter, is_last| match exists && letter < format.len() {
                        true => Self::value(frame, person.into(), point, letter, is_last),
                        false => 0.0,
                    };
                    match confidences {
                        true => numbers.push(value(format.len() - 1, true)),
                        false => numbers.extend((0..self.dimensions()).map(|letter| {
                            if letter + 1 < format.len() { value(letter, false) } else { 0.0 }
                        })),
                    }
                }
            }
        }
        numbers
    }
}

/// Files of the first version: with one and several components, two and three dimensions, and varying numbers of people.
fn first_versions() -> Vec<(&'static str, File)> {
    let file = |components: &[(&'static str, u16)], people: &[u16], depth| File {
        version: 0.0,
        depth,
        components: components.to_vec(),
        people: people.to_vec(),
    };
    vec![
        ("one", file(&[("XYC", 3)], &[1, 1, 1], 0)),
        ("several_components", file(&[("XYC", 4), ("XYC", 2), ("XYC", 1)], &[1, 1], 0)),
        ("space", file(&[("XYZC", 5), ("XYZC", 3)], &[1, 0, 1, 1], 1000)),
        ("changing", file(&[("XYC", 3), ("XYC", 6)], &[0, 2, 1, 3, 0], 640)),
        ("nobody", file(&[("XYC", 3)], &[0, 0], 1)),
    ]
}

fn the_first_version_is_read_as_by_the_package() {
    let scene = tempfile::tempdir().unwrap();
    let mut files: Vec<(String, PathBuf)> = Vec::new();
    for (name, file) in first_versions() {
        let path = scene.path().join(format!("{name}.pose"));
        fs::write(&path, file.bytes()).unwrap();
        files.push((name.to_owned(), path));
    }
    files.push(("case".to_owned(), case("version_0.0.pose")));
    let numbers = |path: &Path| -> Value {
        serde_json::from_str(&run_python("pose_files.py", [Path::new("numbers"), path])).unwrap()
    };
    for (name, path) in files {
        let new = scene.path().join(format!("{name}.new.pose"));
        output(&mut oppose(&["convert", text(&path), "-o", text(&new)]));
        let (ours, theirs) = (Pose::read_file(&new).unwrap(), numbers(&path));
        let floats = |key: &str| -> Vec<f32> {
            theirs[key].as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
        };
        let shape: Vec<usize> =
            theirs["shape"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as usize).collect();
        let skeleton = &ours.header.skeleton;
        assert_eq!([shape[0], shape[2], shape[3]], [ours.frames(), skeleton.points(), skeleton.dimensions()]);
        assert_eq!((ours.fps, shape[1]), (theirs["fps"].as_f64().unwrap() as f32, 1), "{name}");
        // The package keeps the first person of each frame, and adds a person without points to frames without people.
        let mut first = FramePose::default();
        let (mut coordinates, mut confidences) = (Vec::new(), Vec::new());
        for frame in 0..ours.frames() {
            ours.copy_frame(frame, &mut first);
            first.truncate(1);
            coordinates.extend(first.coordinates().to_vec());
            confidences.extend(first.confidences().to_vec());
            coordinates.resize((frame + 1) * shape[2] * shape[3], 0.0);
            confidences.resize((frame + 1) * shape[2], 0.0);
        }
        assert_eq!(coordinates, floats("coordinates"), "{name}");
        assert_eq!(confidences, floats("confidences"), "{name}");
    }
}

fn the_first_version_is_read_completely() {
    let scene = tempfile::tempdir().unwrap();
    let path = scene.path().join("old.pose");
    // The package cannot read components of different formats.
    let mixed =
        File { version: 0.0, depth: 7, components: vec![("XYC", 2), ("XYZC", 3)], people: vec![2, 1] };
    let all = first_versions().into_iter().chain([("mixed", mixed)]);
    for (name, file) in all {
        fs::write(&path, file.bytes()).unwrap();
        let read = Pose::read_file(&path).unwrap();
        let max_people = file.people.iter().copied().max().unwrap();
        assert_eq!(
            (read.frames(), read.people(), read.fps),
            (file.people.len(), max_people.into(), 25.0),
            "{name}"
        );
        assert_eq!((read.header.skeleton.points(), read.header.depth), (file.points(), file.depth), "{name}");
        assert_eq!(read.coordinates(), file.numbers(false), "{name}");
        assert_eq!(read.confidences(), file.numbers(true), "{name}");
        // A file that is cut anywhere is refused, by its length alone and when it is read; so are additional bytes.
        let whole = file.bytes();
        for length in (1..whole.len()).step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(
                Pose::check_file(&path).is_err() && Pose::from_bytes(&whole[..length]).is_err(),
                "{name} {length}"
            );
        }
        fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
        let error = Chain(&Pose::check_file(&path).unwrap_err()).to_string();
        assert!(error.contains("old.pose: 1 bytes follow the last frame"), "{error}");
        fs::write(&path, &whole).unwrap();
        assert_eq!(Pose::check_file(&path).unwrap(), file.people.len() as u64);
    }
}

/// An output in an old version counts as complete and is kept.
fn a_file_of_the_first_version_counts_as_done() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    fs::copy(repository("tests/clips/h264_25.mp4"), path("a.mp4")).unwrap();
    fs::copy(case("version_0.0.pose"), path("a.pose")).unwrap();
    assert_prints(&[text(&path("a.mp4"))], 0, &["a.pose exists, with 4 frames"]);
    assert_eq!(names(scene.path()), ["a.mp4", "a.pose"]);
    assert!(fs::read(path("a.pose")).unwrap() == fs::read(case("version_0.0.pose")).unwrap());
}

fn the_depth_of_the_header_survives() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    for depth in [0, 1, 640, 1000, 65535] {
        let mut converted = Vec::new();
        for version in [0.0, 0.1, 0.2] {
            let file =
                File { version, depth, components: vec![("XYZC", 4), ("XYZC", 2)], people: vec![2, 2, 2] };
            fs::write(path("in.pose"), file.bytes()).unwrap();
            let out = path("out.pose");
            output(&mut oppose(&["convert", text(&path("in.pose")), "-o", text(&out), "--overwrite"]));
            assert_eq!(Pose::read_file(&out).unwrap().header.depth, depth, "{version}");
            converted.push(fs::read(&out).unwrap());
        }
        // All three have the same content.
        let newest =
            File { version: 0.2, depth, components: vec![("XYZC", 4), ("XYZC", 2)], people: vec![2, 2, 2] };
        assert!(converted.iter().all(|bytes| *bytes == newest.bytes()), "{depth}");
    }
    output(&mut oppose(&["convert", text(&case("depth640.pose")), "-o", text(&path("case.pose"))]));
    assert!(
        fs::read(path("case.pose")).unwrap() == fs::read(case("depth640.pose")).unwrap(),
        "the files differ"
    );
}

fn a_wrong_frame_rate_is_corrected() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    let rate = ["--fps", "30000/1001"];
    for (name, input) in [("new", case("depth640.pose")), ("old", case("version_0.0.pose"))] {
        let (pose, table) = (path(&format!("{name}.pose")), path(&format!("{name}.csv")));
        let printed = assert_prints(
            &[&["convert", text(&input), "-o", text(&pose)], &rate[..]].concat(),
            0,
            &["30000/1001"],
        );
        let (before, after) = (Pose::read_file(&input).unwrap(), Pose::read_file(&pose).unwrap());
        assert_eq!(after.fps, 29.97003, "{printed}");
        assert_eq!((after.coordinates(), after.confidences()), (before.coordinates(), before.confidences()));
        assert_prints(&["convert", text(&input), "-o", text(&table), "--fps", "50"], 0, &[]);
        assert!(
            fs::read_to_string(&table).unwrap().contains("\n1,0.02,0,"),
            "the second frame is not at 20 ms"
        );
    }
    // Also in place.
    let pose = path("new.pose");
    assert_prints(&["convert", text(&pose), "-o", text(&pose), "--fps", "12.5", "--overwrite"], 0, &[]);
    assert_eq!(Pose::read_file(&pose).unwrap().fps, 12.5);
    // JSON has no frame rate, and a .pose file already has a size.
    assert_prints(
        &["convert", text(&pose), "-o", text(&path("json")), "--fps", "25"],
        2,
        &["holds no frame rate"],
    );
    let other = path("x.pose");
    let size = ["convert", text(&pose), "-o", text(&other), "--fps", "25", "--size", "640x480"];
    assert_prints(&size, 2, &["--size", "for JSON files"]);
    // With a video, `--fps` changes only the frame rate.
    let json = path("keypoints");
    write_json(&json, &[json!({"people": []})]);
    let video = repository("tests/clips/h264_25.mp4");
    assert_prints(
        &["convert", text(&json), "-o", text(&path("y.pose")), "--video", text(&video), "--fps", "50"],
        0,
        &["50 frames at 50 per second"],
    );
    assert_prints(&["convert", text(&json), "-o", text(&path("z.pose")), "--fps", "50"], 2, &["--size"]);
}

fn standard_input_can_replace_a_file() {
    let scene = tempfile::tempdir().unwrap();
    for (name, arguments) in [
        ("out.pose", &["convert", "-", "-o", "out.pose"][..]),
        ("out.csv", &["convert", "-", "-o", "out.csv"][..]),
        ("", &["inspect", "-"][..]),
    ] {
        let mut command = oppose(arguments);
        command.current_dir(scene.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(&fs::read(case("version_0.0.pose")).unwrap()).unwrap();
        let ended = child.wait_with_output().unwrap();
        assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        assert!(scene.path().join(name).exists());
    }
    assert_eq!(Pose::read_file(&scene.path().join("out.pose")).unwrap().frames(), 4);
}

fn files_of_other_formats_are_named_in_every_subcommand() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    let video = repository("tests/clips/h264_25.mp4");
    let files: [(&str, Vec<u8>, &str); 7] = [
        ("zip.pose", b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), "it is a ZIP archive"),
        ("json.pose", b"{\"people\": []}".to_vec(), "it is JSON"),
        ("video.pose", fs::read(&video).unwrap(), "it is an MP4"),
        ("text.pose", b"keypoints\n".to_vec(), "it is text"),
        ("empty.pose", Vec::new(), "it is empty"),
        ("zeros.pose", vec![0; 4096], "only zeros"),
        ("numbers.pose", b"\x93NUMPY\x01\0v\0".to_vec(), "it is an array of NumPy"),
    ];
    for (name, bytes, found) in files {
        let file = path(name);
        fs::write(&file, bytes).unwrap();
        let (file, good) = (text(&file).to_owned(), case("depth640.pose"));
        let out = path("out");
        let words = [name, "this is not a .pose file", found];
        assert_prints(&["inspect", &file], 2, &words);
        assert_prints(&["compare", text(&good), &file], 2, &words);
        assert_prints(&["compare", &file, text(&good)], 2, &words);
        for target in ["out", "out.csv", "out.pose"] {
            assert_prints(&["convert", &file, "-o", text(&path(target))], 2, &words);
            assert!(!path(target).exists());
        }
        assert_prints(
            &["convert", &file, "-o", text(&path("out.pose")), "--fps", "25", "--size", "64x48"],
            2,
            &words,
        );
        assert_prints(&["render", &file, "-o", text(&out)], 2, &words);
        assert_prints(&["render", text(&video), &file, "-o", text(&out)], 2, &words);
        assert_prints(&["render", text(&video), &file, "--sheet", text(&path("out.png"))], 2, &words);
        assert_prints(&["render", "--side-by-side", text(&good), &file, "-o", text(&out)], 2, &words);
    }
    // Damaged files are named as well.
    fs::write(path("cut.pose"), &fs::read(case("depth640.pose")).unwrap()[..300]).unwrap();
    for command in ["inspect", "render"] {
        let more: &[&str] = if command == "render" { &["-o", "out"] } else { &[] };
        assert_prints(
            &[&[command, text(&path("cut.pose"))], more].concat(),
            2,
            &["cut.pose: the .pose file is cut off"],
        );
    }
}

fn normalized_files_get_a_hint() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    let hint = "normalized.pose: the coordinates are normalized, not pixels";
    assert_prints(&["render", text(&case("normalized.pose")), "-o", text(&path("a"))], 0, &[hint]);
    assert_eq!(names(&path("a")).len(), 10, "it is not drawn");
    let printed =
        assert_prints(&["render", text(&case("depth640.pose")), "-o", text(&path("b"))], 0, &["10 frames"]);
    assert!(!printed.contains("normalized"), "{printed}");
}

/// If two components jump in the same frame, that is one frame with a jump.
fn jumps_are_counted_in_frames() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    let frames: Vec<FramePose> = [0.0, 1.0, 101.0, 102.0, 103.0, 203.0]
        .map(|x| {
            let mut frame = FramePose::new(1, 137, 2);
            for point in 0..137 {
                let at = [x + (point % 12) as f32 * 10.0, (point / 12) as f32 * 40.0];
                frame.coordinates_mut()[2 * point..][..2].copy_from_slice(&at);
            }
            frame.confidences_mut().fill(1.0);
            frame
        })
        .into();
    let pose = Pose::from_frames(openpose_137(), 640, 480, 25.0, &frames).unwrap().to_bytes().unwrap();
    fs::write(path("a.pose"), &pose).unwrap();
    fs::write(path("b.pose"), &pose).unwrap();
    let found: Value =
        serde_json::from_str(&output(&mut oppose(&["inspect", "--json", text(&path("a.pose"))]))).unwrap();
    assert_eq!(found["jumps"], 2);
    assert!(found["components"].as_array().unwrap().iter().all(|part| part["jumps"] == 2), "{found}");
    let table = output(&mut oppose(&["inspect", text(scene.path())]));
    let row: Vec<&str> =
        table.lines().find(|line| line.ends_with("a.pose")).unwrap().split_whitespace().collect();
    // The column before the swaps and the name of the file.
    assert_eq!(row[row.len() - 3], "2", "{table}");
}

fn different_skeletons_are_compared_by_their_common_points() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    let holistic = oppose::pose::holistic_576();
    let mut reduced = holistic.clone();
    // Like pose-format's hide_legs and reduced faces: fewer points, and no body in metres.
    reduced.components.truncate(4);
    reduced.components[0].points.truncate(25);
    reduced.components[1].points.truncate(128);
    reduced.components.iter_mut().for_each(|part| part.limbs.clear());
    let write = |skeleton: &oppose::pose::Skeleton, name: &str| {
        let mut frame = FramePose::new(1, skeleton.points(), 3);
        let mut place = 0;
        for (component, part) in skeleton.components.iter().enumerate() {
            for point in 0..part.points.len() {
                let at = [100.0 + (point % 20) as f32, 100.0 * component as f32 + (point / 20) as f32, 0.0];
                frame.coordinates_mut()[3 * place..][..3].copy_from_slice(&at);
                place += 1;
            }
        }
        frame.confidences_mut().fill(1.0);
        let pose = Pose::from_frames(skeleton, 640, 480, 25.0, &[frame]).unwrap();
        fs::write(path(name), pose.to_bytes().unwrap()).unwrap();
    };
    write(holistic, "whole.pose");
    write(&reduced, "reduced.pose");
    let files = [text(&path("whole.pose")).to_owned(), text(&path("reduced.pose")).to_owned()];
    let printed = assert_prints(
        &["compare", &files[0], &files[1], "--within", "0"],
        0,
        &[
            "only the first file has, not compared: POSE_LANDMARKS (8), FACE_LANDMARKS (340)",
            "100.00 % of the points",
        ],
    );
    assert!(!printed.contains("WORLD"), "{printed}");
    let found: Value =
        serde_json::from_str(&assert_prints(&["compare", &files[1], &files[0], "--json"], 0, &[])).unwrap();
    let in_both: Vec<u64> = found["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["in_both"].as_u64().unwrap())
        .collect();
    assert_eq!(in_both, [25, 128, 21, 21]);
    assert_eq!(found["not_shared"][1][1], json!({"name": "FACE_LANDMARKS", "points": 340}));
    let openpose = Pose::from_frames(openpose_137(), 640, 480, 25.0, &[]).unwrap();
    fs::write(path("openpose.pose"), openpose.to_bytes().unwrap()).unwrap();
    assert_prints(&["compare", &files[0], text(&path("openpose.pose"))], 2, &["no point has the same name"]);
}

/// Writes one file per frame.
fn write_json(folder: &Path, frames: &[Value]) {
    fs::create_dir_all(folder).unwrap();
    for (frame, content) in frames.iter().enumerate() {
        fs::write(folder.join(file_name("v", frame as u64)), content.to_string()).unwrap();
    }
}

/// x, y and confidence of each point, starting at `first`.
fn points(count: usize, first: f64) -> Vec<f64> {
    (0..count).flat_map(|point| [first + point as f64, 2.0 * first + point as f64, 0.5]).collect()
}

fn convert_json(folder: &Path) -> Pose {
    let target = folder.with_extension("pose");
    let arguments = ["convert", text(folder), "-o", text(&target), "--fps", "25", "--size", "640x480"];
    output(oppose(&arguments).arg("--overwrite"));
    Pose::read_file(&target).unwrap()
}

fn keys_of_the_first_json_version_are_read() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    let folder = case("openpose_json_1.0_old_keys");
    let target = path("case.pose");
    let printed = assert_prints(
        &["convert", text(&folder), "-o", text(&target), "--fps", "25", "--size", "640x480"],
        0,
        &["3 frames at 25", "COCO, with 18 points", "BODY_25"],
    );
    let pose = Pose::read_file(&target).unwrap();
    assert_eq!((pose.frames(), pose.people()), (3, 1), "{printed}");
    // The index of each of COCO's points, by name.
    let coco =
        ["Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "RHip", "RKnee"];
    let coco = coco.into_iter().chain(["RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar"]);
    let names = &openpose_137().components[0].points;
    let places: Vec<usize> = coco.map(|name| names.iter().position(|known| known == name).unwrap()).collect();
    for frame in 0..3 {
        let json: Value =
            serde_json::from_slice(&fs::read(folder.join(file_name("v", frame))).unwrap()).unwrap();
        let person = &json["people"][0];
        let mut expected = FramePose::new(1, 137, 2);
        let parts = [
            ("pose_keypoints", 0),
            ("face_keypoints", 25),
            ("hand_left_keypoints", 95),
            ("hand_right_keypoints", 116),
        ];
        for (key, first) in parts {
            for (point, values) in person[key].as_array().unwrap().chunks(3).enumerate() {
                let place = if first == 0 { places[point] } else { first + point };
                let [x, y, confidence] = [0, 1, 2].map(|index| values[index].as_f64().unwrap() as f32);
                expected.coordinates_mut()[2 * place..][..2].copy_from_slice(&[x, y]);
                expected.confidences_mut()[place] = confidence;
            }
        }
        let mut found = FramePose::default();
        pose.copy_frame(frame as usize, &mut found);
        assert_eq!(found, expected, "frame {frame}");
    }
}

fn json_of_every_version_and_with_missing_parts_is_read() {
    let scene = tempfile::tempdir().unwrap();
    let folder = scene.path().join("mixed");
    // Mixed versions, only hands, missing keys, both versions of one key, nobody.
    write_json(
        &folder,
        &[
            json!({"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": points(25, 1.0)}]}),
            json!({"version": 1.0, "people": [{"pose_keypoints": points(25, 2.0), "hand_right_keypoints": []}]}),
            json!({"people": [{"hand_left_keypoints_2d": points(21, 3.0)}, {"hand_left_keypoints": points(21, 4.0)}]}),
            json!({"people": [{"face_keypoints": points(70, 5.0), "pose_keypoints_2d": [], "pose_keypoints": points(25, 6.0)}]}),
            json!({"people": [{"pose_keypoints_2d": points(25, 7.0), "pose_keypoints": points(25, 8.0)}]}),
            json!({"people": []}),
            json!({"people": [{"pose_keypoints_2d": [], "face_keypoints_2d": [], "hand_left_keypoints_2d": [], "hand_right_keypoints_2d": []}]}),
        ],
    );
    // With a byte order mark, and with files that macOS leaves behind.
    let last = folder.join(file_name("v", 5));
    fs::write(&last, [b"\xef\xbb\xbf", &fs::read(&last).unwrap()[..]].concat()).unwrap();
    for name in ["._v_000000000000_keypoints.json", ".DS_Store", "v_000000000000_rendered.png"] {
        fs::write(folder.join(name), b"\0\x05\x16\x07").unwrap();
    }
    let pose = convert_json(&folder);
    assert_eq!((pose.frames(), pose.people()), (7, 2));
    let x = |frame: usize, person: usize, place: usize| {
        pose.coordinates()[2 * ((frame * 2 + person) * 137 + place)]
    };
    assert_eq!([x(0, 0, 0), x(1, 0, 0), x(1, 0, 24)], [1.0, 2.0, 26.0]);
    assert_eq!([x(2, 0, 0), x(2, 0, 95), x(2, 1, 95)], [0.0, 3.0, 4.0]);
    assert_eq!([x(3, 0, 0), x(3, 0, 25), x(4, 0, 0)], [6.0, 5.0, 7.0]);
    assert!(pose.confidences()[5 * 274..].iter().all(|&confidence| confidence == 0.0));
}

fn other_json_is_explained() {
    let scene = tempfile::tempdir().unwrap();
    let folder = scene.path().join("json");
    let target = scene.path().join("out.pose");
    fs::create_dir(&folder).unwrap();
    let body = |count: usize| json!({"people": [{"pose_keypoints_2d": points(count, 1.0)}]}).to_string();
    let person = |person: Value| json!({"people": [person]}).to_string();
    let text_number = "{\"people\":[{\"pose_keypoints_2d\":[\"12.5\",1,1]}]}".to_owned();
    let cases = [
        (person(json!({})), "person 0 has none of OpenPose's keys"),
        (person(json!({"keypoints": [1, 2, 3], "score": 1})), "found keypoints, score"),
        (
            json!({"people": [{"pose_keypoints_2d": []}, {"id": 1}]}).to_string(),
            "person 1 has none of OpenPose's keys",
        ),
        (person(json!({"pose_keypoints_2d": [], "pose_keypoints_3d": [1, 2, 3, 1]})), "only points in space"),
        (person(json!({"pose_keypoints_3d": [1, 2, 3, 1]})), "only points in space"),
        (body(15), "a body of 15 points, OpenPose's model MPI; only BODY_25"),
        (body(135), "a body of 135 points, OpenPose's model BODY_135; only BODY_25"),
        (body(23), "OpenPose's model BODY_23"),
        (body(17), "a body of 17 points, COCO as other programs"),
        (body(33), "MediaPipe's body"),
        (body(26), "a body of 26 points, which is not one of OpenPose's"),
        (person(json!({"pose_keypoints_2d": [1, 2]})), "has 2 numbers, expected 75 or none"),
        (
            person(json!({"face_keypoints": points(68, 1.0)})),
            "face_keypoints_2d of person 0 has 204 numbers, expected 210",
        ),
        (json!({"people": null}).to_string(), "found null, expected a list of people"),
        (json!({"people": 3}).to_string(), "expected a list of people"),
        (json!({"persons": []}).to_string(), "there is no \"people\" in it"),
        (json!([{"keypoints": [1]}]).to_string(), "it is a list, as AlphaPose"),
        ("[[]]".into(), "it is a list, as AlphaPose"),
        (person(json!([points(25, 1.0)])), "found sequence, expected a person, which is an object"),
        (person(json!(null)), "found null, expected a person"),
        (person(json!({"pose_keypoints_2d": null})), "found null, expected a list of numbers"),
        (person(json!({"pose_keypoints_2d": [null, 1, 1]})), "found null, expected a number"),
        (text_number, "found string \"12.5\", expected a number"),
        ("{\"people\":[{\"pose_keypoints_2d\":[NaN,NaN,0]}]}".into(), "NaN in line 1"),
        ("{\"people\":[\n{\"pose_keypoints_2d\":[1, -Infinity,0]}]}".into(), "Infinity in line 2"),
        (
            format!("{{\"people\":[{{\"hand_left_keypoints_2d\":[1e300{}]}}]}}", ",1".repeat(62)),
            "too large for a coordinate",
        ),
        (String::new(), "the file is empty"),
        (" \n".into(), "the file is empty"),
        ("\0\0\0\0".into(), "the file is empty"),
        (body(25)[..200].into(), "the file is cut off"),
        ("{\"people\":[".into(), "the file is cut off"),
        ("frame 1".into(), "nor valid JSON at all"),
    ];
    let name = file_name("v", 0);
    for (content, words) in cases {
        fs::write(folder.join(&name), &content).unwrap();
        let arguments = ["convert", text(&folder), "-o", text(&target), "--fps", "25", "--size", "640x480"];
        let printed = assert_prints(&arguments, 2, &[&name, words]);
        assert_eq!(printed.lines().count(), 1, "{printed}");
        assert!(!target.exists());
    }
    // A single file of the folder, and a table as output.
    let file = folder.join(&name);
    fs::write(&file, body(25)).unwrap();
    assert_prints(
        &["convert", text(&file), "-o", text(&target), "--fps", "25", "--size", "640x480"],
        2,
        &["give the folder"],
    );
    let table = scene.path().join("out.csv");
    assert_prints(
        &["convert", text(&folder), "-o", text(&table), "--fps", "25", "--size", "64x48"],
        2,
        &["becomes a .pose file"],
    );
}

fn json_of_a_different_video_is_noticed() {
    let scene = tempfile::tempdir().unwrap();
    let path = |name: &str| scene.path().join(name);
    // 50 frames of 320x240.
    let video = repository("tests/clips/h264_25.mp4");
    let person = |far: f64| {
        let mut body = points(25, 20.0);
        body[..6].copy_from_slice(&[far, far * 0.75, 0.5, far, far * 0.75, 0.5]);
        json!({"people": [{"pose_keypoints_2d": body}]})
    };
    let convert = |name: &str, frames: usize, far: f64, code: i32, words: &[&str]| {
        write_json(&path(name), &vec![person(far); frames]);
        let target = path(name).with_extension("pose");
        let printed = assert_prints(
            &["convert", text(&path(name)), "-o", text(&target), "--video", text(&video)],
            code,
            words,
        );
        assert_eq!(target.exists(), code == 0);
        printed
    };
    let printed = convert("right", 50, 300.0, 0, &["50 frames at 25 per second"]);
    assert_eq!(printed.lines().count(), 1, "there is a warning: {printed}");
    convert("shorter", 40, 300.0, 0, &["10 of them without a file", "end at frame 39, the video has 50"]);
    convert("longer", 51, 300.0, 2, &["up to frame 50", "has 50 frames", "--fps RATE and --size"]);
    convert("larger", 50, 640.0, 2, &["points as far as 640, 480", "320x240"]);
    convert("smaller", 50, 160.0, 0, &["all bodies lie within 160x120 of frames of 320x240"]);
    // OpenPose's keypoint_scale.
    let body: Vec<f64> = (0..25).flat_map(|point| [f64::from(point) / 25.0, 0.5, 0.9]).collect();
    write_json(&path("shares"), &vec![json!({"people": [{"pose_keypoints_2d": body}]}); 50]);
    let shares = path("shares");
    let target = path("shares.pose");
    assert_prints(
        &["convert", text(&shares), "-o", text(&target), "--video", text(&video)],
        0,
        &["between -1 and 1", "keypoint_scale"],
    );
    // A few points may lie in the margin of OpenPose's net.
    let mut frames = vec![person(300.0); 50];
    frames[7] = person(330.0);
    write_json(&path("margin"), &frames);
    let (margin, target) = (path("margin"), path("margin.pose"));
    assert_prints(
        &["convert", text(&margin), "-o", text(&target), "--video", text(&video)],
        0,
        &["2 of 1250 points of bodies are outside of frames of 320x240, as far as 330, 248"],
    );
    // Faces and hands may lie outside the frame, and points that were not found do not count.
    let mut body = points(25, 110.0);
    body[..3].copy_from_slice(&[5000.0, 5000.0, 0.0]);
    let hand = points(21, 330.0);
    let frame = json!({"people": [{"pose_keypoints_2d": body, "hand_left_keypoints_2d": hand}]});
    write_json(&path("hands"), &vec![frame; 50]);
    let (hands, target) = (path("hands"), path("hands.pose"));
    // The outermost point of a body is at 134, 244; 1 % and two pixels are tolerated as rounding.
    let printed = assert_prints(
        &["convert", text(&hands), "-o", text(&target), "--video", text(&video)],
        0,
        &["50 frames"],
    );
    assert_eq!(printed.lines().count(), 1, "{printed}");
    // A size on the command line is used, with a warning.
    let other = path("other.pose");
    let size = ["convert", text(&hands), "-o", text(&other), "--fps", "25", "--size", "160x120"];
    assert_prints(&size, 0, &["points of bodies are outside of frames of 160x120, as far as 134, 244"]);
}

fn options_of_similar_programs_are_understood() {
    let scene = tempfile::tempdir().unwrap();
    let video = scene.path().join("x.mp4");
    fs::copy(repository("tests/clips/h264_25.mp4"), &video).unwrap();
    let video = text(&video);
    let planned = format!("{video}\t{}", video.replace(".mp4", ".pose"));
    let openpose = ["--video", video, "--face", "--hand", "--display", "0", "--render_pose", "0"];
    let more = ["--model_pose", "BODY_25", "--number_people_max", "1", "-num_gpu=1", "--dry_run"];
    assert_prints(&[&openpose[..], &more].concat(), 0, &[&planned]);
    assert_prints(&["-i", video, "--format", "mediapipe", "--num-workers", "1", "--dry-run"], 0, &[&planned]);
    let folder = text(scene.path());
    assert_prints(&["-d", folder, "-r", "--keep-video-suffixes", "--dry-run"], 0, &["x.mp4.pose"]);
    assert_prints(
        &["-i", video, "--format", "mediapipe", "--engine", "holistic", "--dry-run"],
        0,
        &[&planned],
    );
    assert_prints(&["-d", folder, "--video-suffixes", ".mp4", "--dry-run"], 0, &[&planned]);
    let none = assert_prints(&["-d", folder, "--video-suffixes", ".webm", "--dry-run"], 0, &[]);
    assert!(!none.contains("x.mp4"), "{none}");
    // `video_to_pose` replaces existing files, `videos_to_poses` does not.
    let target = video.replace(".mp4", ".pose");
    let empty = Pose::from_frames(oppose::pose::holistic_576(), 9, 9, 25.0, &[]).unwrap();
    fs::write(&target, empty.to_bytes().unwrap()).unwrap();
    for (arguments, is_replaced) in [(&["-i", video, "-o", &target][..], true), (&["-d", folder], false)] {
        let printed = assert_prints(&[arguments, &["--dry-run"]].concat(), 0, &[]);
        assert_eq!(printed.contains(&planned), is_replaced, "{printed}");
    }
    fs::remove_file(&target).unwrap();
    for (arguments, words) in [
        (&["--write_json", "out"][..], "convert x.pose -o out"),
        (&["--write_video=o.avi"][..], "render"),
        (&["--model_pose", "COCO"][..], "BODY_25"),
        (&["-display", "2"][..], "no window"),
        (&["--format", "mediapipe", "--engine", "native"][..], "leave one of them out"),
    ] {
        let printed = assert_prints(&[&["--video", video], arguments].concat(), 2, &[words]);
        assert!(!printed.contains("tip") && printed.lines().count() == 1, "{printed}");
    }
    assert_eq!(names(scene.path()), ["x.mp4"]);
}

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let package = Need::Python("pose_format");
    vec![
        trial(
            "the_first_version_is_read_as_by_the_package",
            &[package],
            the_first_version_is_read_as_by_the_package,
        ),
        trial("the_first_version_is_read_completely", &[], the_first_version_is_read_completely),
        trial("a_file_of_the_first_version_counts_as_done", &[], a_file_of_the_first_version_counts_as_done),
        trial("the_depth_of_the_header_survives", &[], the_depth_of_the_header_survives),
        trial("a_wrong_frame_rate_is_corrected", &[], a_wrong_frame_rate_is_corrected),
        trial("standard_input_can_replace_a_file", &[], standard_input_can_replace_a_file),
        trial(
            "files_of_other_formats_are_named_in_every_subcommand",
            &[],
            files_of_other_formats_are_named_in_every_subcommand,
        ),
        trial("normalized_files_get_a_hint", &[], normalized_files_get_a_hint),
        trial("jumps_are_counted_in_frames", &[], jumps_are_counted_in_frames),
        trial(
            "different_skeletons_are_compared_by_their_common_points",
            &[],
            different_skeletons_are_compared_by_their_common_points,
        ),
        trial("keys_of_the_first_json_version_are_read", &[], keys_of_the_first_json_version_are_read),
        trial(
            "json_of_every_version_and_with_missing_parts_is_read",
            &[],
            json_of_every_version_and_with_missing_parts_is_read,
        ),
        trial("other_json_is_explained", &[], other_json_is_explained),
        trial("json_of_a_different_video_is_noticed", &[], json_of_a_different_video_is_noticed),
        trial("options_of_similar_programs_are_understood", &[], options_of_similar_programs_are_understood),
    ]
}
