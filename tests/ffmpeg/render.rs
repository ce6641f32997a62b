//! Overlays: pictures compared with approved ones, and the properties of the files.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::env;
use std::fs;
use std::io::BufRead as _;
use std::path::Path;
use std::process::Command;

use common::{Need, names, output, repository, run_python, shared, trial};
use oppose::pose::{FramePose, Pose, holistic_576, openpose_137};
use oppose::video::{self, Frame};
use rustix::process::Signal;
use tiny_skia::Pixmap;

fn render(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.arg("render").args(arguments);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Two people whose points lie on circles, the second half as large and with half the confidence.
fn people(skeleton: &oppose::pose::Skeleton, frame: usize, width: f32, height: f32) -> FramePose {
    let (points, dimensions) = (skeleton.points(), skeleton.dimensions());
    let mut pose = FramePose::new(2, points, dimensions);
    for (person, share) in [(0, 1.0), (1, 0.5)] {
        let mut first = person * points;
        for (number, component) in skeleton.components.iter().enumerate() {
            let count = component.points.len();
            for point in 0..count {
                let angle = std::f32::consts::TAU * point as f32 / count as f32;
                let radius = height * 0.1 * (number + 1) as f32 * share;
                let x = width * (0.35 + 0.4 * person as f32) + radius * angle.cos() + 10.0 * frame as f32;
                let y = height * 0.5 + radius * angle.sin();
                pose.coordinates_mut()[(first + point) * dimensions..][..2].copy_from_slice(&[x, y]);
                // PoseVisualizer would draw metres as pixels.
                pose.confidences_mut()[first + point] =
                    if component.is_in_pixels() { share * 0.9 } else { 0.0 };
            }
            first += count;
        }
    }
    pose
}

/// Writes a `.pose` file with this many frames of these people.
fn write_pose(
    path: &Path,
    skeleton: &oppose::pose::Skeleton,
    (width, height): (u32, u32),
    rate: f32,
    frames: usize,
) {
    let frames: Vec<FramePose> =
        (0..frames).map(|frame| people(skeleton, frame % 4, width as f32, height as f32)).collect();
    let pose = Pose::from_frames(skeleton, width, height, rate, &frames).unwrap();
    fs::write(path, pose.to_bytes().unwrap()).unwrap();
}

/// Asserts that a picture equals the approved one in `tests/data/render`, except at the edges of lines, which differ
/// slightly between machines. With `OPPOSE_APPROVE=1` it becomes the approved one.
fn assert_approved(picture: &Path, name: &str) {
    let approved = repository("tests/data/render").join(name);
    if env::var_os("OPPOSE_APPROVE").is_some() {
        fs::create_dir_all(approved.parent().unwrap()).unwrap();
        fs::copy(picture, &approved).unwrap();
    }
    let (found, expected) = (Pixmap::load_png(picture).unwrap(), Pixmap::load_png(&approved).unwrap());
    assert_eq!((found.width(), found.height()), (expected.width(), expected.height()));
    let differences: Vec<u8> =
        found.data().iter().zip(expected.data()).map(|(a, b)| a.abs_diff(*b)).collect();
    let far =
        differences.iter().filter(|&&difference| difference > 24).count() as f64 / differences.len() as f64;
    let mean =
        differences.iter().map(|&difference| f64::from(difference)).sum::<f64>() / differences.len() as f64;
    assert!(
        mean < 0.5 && far < 0.002,
        "{name}: values differ by {mean} on average, a share of {far} by more than 24"
    );
}

fn pictures_match_the_approved_ones() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_pose(&at("openpose.pose"), openpose_137(), (320, 240), 25.0, 3);
    write_pose(&at("holistic.pose"), holistic_576(), (320, 240), 25.0, 3);
    for skeleton in ["openpose", "holistic"] {
        let pose = at(&format!("{skeleton}.pose"));
        output(&mut render(&[text(&pose), "-o", text(&at(skeleton))]));
        assert_eq!(names(&at(skeleton)), ["000000.png", "000001.png", "000002.png"]);
        assert_approved(&at(skeleton).join("000002.png"), &format!("{skeleton}.png"));
    }
    let (a, b) = (at("openpose.pose"), at("holistic.pose"));
    output(&mut render(&["--side-by-side", text(&a), text(&b), "--crop", "person", "-o", text(&at("both"))]));
    assert_approved(&at("both").join("000001.png"), "side_by_side_cropped.png");
    let (clip, turned) = (repository("tests/clips/rot90.mp4"), at("turned.pose"));
    write_pose(&turned, openpose_137(), (240, 320), 30.0, 30);
    output(&mut render(&[text(&clip), text(&turned), "-o", text(&at("x"))]));
    assert_approved(&at("x").join("000003.png"), "rotated.png");
    let (clip, odd) = (repository("tests/clips/odd_444.mp4"), at("odd.pose"));
    write_pose(&odd, openpose_137(), (321, 241), 25.0, 25);
    output(&mut render(&[text(&clip), text(&odd), "-o", text(&at("y"))]));
    assert_approved(&at("y").join("000003.png"), "odd.png");
    // Pixels of 16:15: circles in the file become slightly wider than tall, like everything in the video.
    let (clip, wide) = (repository("tests/clips/mpeg2_pal_interlaced_sar.mpg"), at("wide.pose"));
    write_pose(&wide, openpose_137(), (720, 576), 25.0, 50);
    let (frames, sheet) = (at("z"), at("sheet.png"));
    let one = ["--columns", "1", "--rows", "1"];
    output(render(&[text(&clip), text(&wide), "-o", text(&frames), "--sheet", text(&sheet)]).args(one));
    let picture = Pixmap::load_png(frames.join("000003.png")).unwrap();
    assert_eq!((picture.width(), picture.height()), (768, 576));
    assert_approved(&sheet, "not_square.png");
}

/// The pixels that are drawn on: at least one colour is below `limit`.
fn ink(picture: &Pixmap, limit: u8) -> Vec<bool> {
    picture.data().chunks_exact(4).map(|pixel| pixel[..3].iter().any(|&value| value < limit)).collect()
}

/// The share of one picture's ink that has ink of the other within three pixels.
fn covered(ink: &[bool], other: &[bool], width: usize) -> f64 {
    let near = |index: usize| {
        let (x, y) = ((index % width) as isize, (index / width) as isize);
        (-3..=3).any(|down| {
            (-3..=3).any(|right| {
                let (x, y) = (x + right, y + down);
                let inside = x >= 0 && y >= 0 && x < width as isize;
                inside && other.get(y as usize * width + x as usize) == Some(&true)
            })
        })
    };
    let drawn: Vec<usize> = (0..ink.len()).filter(|&index| ink[index]).collect();
    drawn.iter().filter(|&&index| near(index)).count() as f64 / drawn.len() as f64
}

fn lines_are_where_pose_format_draws_them() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, skeleton) in [("openpose", openpose_137()), ("holistic", holistic_576())] {
        let (pose, theirs) = (at(&format!("{name}.pose")), at(&format!("{name}.png")));
        write_pose(&pose, skeleton, (640, 480), 25.0, 3);
        run_python("pose_visualizer.py", [text(&pose), "2", text(&theirs)]);
        output(&mut render(&[text(&pose), "-o", text(&at(name))]));
        let ours = Pixmap::load_png(at(name).join("000002.png")).unwrap();
        let theirs = Pixmap::load_png(&theirs).unwrap();
        let width = ours.width() as usize;
        // What is dark in one picture exists in the other, even if paler: our lines in faces are thin.
        let covered = |a: &Pixmap, b: &Pixmap| covered(&ink(a, 96), &ink(b, 245), width);
        let shares = (covered(&ours, &theirs), covered(&theirs, &ours));
        println!("{name}: theirs covers {:.4} of our ink, ours {:.4} of theirs", shares.0, shares.1);
        assert!(shares.0 > 0.98 && shares.1 > 0.98, "{name}: {shares:?}");
    }
}

/// Takes a screenshot of a file in the real pose-viewer, in a real browser.
fn in_pose_viewer(pose: &Path, target: &Path) {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(pose, folder.path().join("a.pose")).unwrap();
    std::os::unix::fs::symlink(common::pose_viewer().unwrap(), folder.path().join("viewer")).unwrap();
    let page = "<!doctype html><style>body{margin:0;overflow:hidden}</style>\
                <script type=module src=viewer/dist/pose-viewer/pose-viewer.esm.js></script>\
                <pose-viewer src=a.pose width=640px height=480px background=white></pose-viewer>";
    fs::write(folder.path().join("page.html"), page).unwrap();
    let mut server = Command::new("python3")
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
        .arg(folder.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let port = line.split("port ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap();
    let mut browser = Command::new("chromium");
    browser.args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000"]);
    browser.args(["--window-size=640,480", &format!("--screenshot={}", text(target))]);
    let ended = browser.arg(format!("http://127.0.0.1:{port}/page.html")).output().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(target.exists(), "{}", String::from_utf8_lossy(&ended.stderr));
}

fn the_javascript_viewer_shows_our_files() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, skeleton) in [("openpose", openpose_137()), ("holistic", holistic_576())] {
        let (pose, theirs) = (at(&format!("{name}.pose")), at(&format!("{name}.png")));
        write_pose(&pose, skeleton, (640, 480), 25.0, 1);
        in_pose_viewer(&pose, &theirs);
        output(&mut render(&[text(&pose), "-o", text(&at(name))]));
        let ours = Pixmap::load_png(at(name).join("000000.png")).unwrap();
        let theirs = Pixmap::load_png(&theirs).unwrap();
        let width = ours.width() as usize;
        let share = covered(&ink(&ours, 96), &ink(&theirs, 245), width);
        println!("{name}: theirs covers {share:.4} of our ink");
        assert!(share > 0.95, "{name}: {share}");
    }
}

fn an_interrupted_render_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pose = folder.path().join("long.pose");
    write_pose(&pose, openpose_137(), (1280, 720), 25.0, 4000);
    let mut child = render(&[text(&pose), "-o", text(&folder.path().join("a.mp4"))]).spawn().unwrap();
    let started = std::time::Instant::now();
    while names(folder.path()).len() < 2 {
        assert!(started.elapsed().as_secs() < 20, "it does not start writing");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(common::signal(child.id(), Signal::INT));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(names(folder.path()), ["long.pose"]);
}

/// All frames of a video, upright.
fn frames(path: &Path) -> Vec<Frame> {
    let mut video = video::open(path, &video::Options::default()).unwrap();
    std::iter::from_fn(|| video.next_frame().unwrap()).collect()
}

/// What ffprobe reports about a stream, one line per entry.
fn probe(path: &Path, stream: &str, entries: &str) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-count_frames", "-select_streams", stream, "-show_entries", entries]);
    output(command.args(["-of", "csv=p=0"]).arg(path)).trim().trim_end_matches(',').to_owned()
}

/// Asserts that the overlay is the video under the lines: the same size, the same frames at the same times, the same
/// colours, upright.
fn assert_overlay_is_the_video(clip: &Path, suffix: &str, colour_limit: f64) {
    let folder = tempfile::tempdir().unwrap();
    let theirs = frames(clip);
    let (width, height) = (theirs[0].width(), theirs[0].height());
    let rate = video::open(clip, &video::Options::default()).unwrap().info().frame_rate;
    let nobody = vec![FramePose::new(0, 137, 2); theirs.len()];
    let pose = Pose::from_frames(openpose_137(), width, height, rate.as_f32(), &nobody).unwrap();
    let (pose_file, target) = (folder.path().join("a.pose"), folder.path().join(format!("a.{suffix}")));
    fs::write(&pose_file, pose.to_bytes().unwrap()).unwrap();
    output(&mut render(&[text(clip), text(&pose_file), "-o", text(&target)]));

    let name = clip.file_name().unwrap();
    let ours = frames(&target);
    assert_eq!(ours.len(), theirs.len(), "{name:?}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!((ours.width(), ours.height()), (width.next_multiple_of(2), height.next_multiple_of(2)));
        let (a, b) = (ours.timestamp().unwrap(), theirs.timestamp().unwrap());
        // WebM and Matroska store milliseconds.
        let allowed = if suffix == "mp4" { 20e-6 } else { 0.6e-3 };
        assert!((a.as_secs_f64() - b.as_secs_f64()).abs() < allowed, "{name:?}: {a:?} and {b:?}");
        let rows = ours.pixels().chunks_exact(ours.width() as usize * 3);
        let difference: u64 = rows
            .zip(theirs.pixels().chunks_exact(width as usize * 3))
            .flat_map(|(ours, theirs)| ours.iter().zip(theirs))
            .map(|(a, b)| u64::from(a.abs_diff(*b)))
            .sum();
        let mean = difference as f64 / theirs.pixels().len() as f64;
        assert!(mean < colour_limit, "{name:?}, frame {}: they differ by {mean} on average", ours.index());
    }
}

fn the_overlay_is_the_video() {
    let clips = [
        "h264_2997_bframes.mp4",
        "rot90.mp4",
        "rot180.mp4",
        "rot270.mp4",
        "odd_444.mp4",
        "odd_420.avi",
        "vfr.mp4",
        "editlist_cut.mp4",
        "audio_first.mp4",
    ];
    for clip in clips {
        assert_overlay_is_the_video(&repository("tests/clips").join(clip), "mp4", 8.0);
    }
    assert_overlay_is_the_video(&repository("tests/clips/odd_420.webm"), "webm", 12.0);
    assert_overlay_is_the_video(&repository("tests/clips/rot90.mp4"), "mkv", 8.0);
}

fn ffprobe_agrees() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let clip = repository("tests/clips/audio_first.mp4");
    write_pose(&at("a.pose"), openpose_137(), (320, 240), 25.0, 50);
    let made = |name: &str| output(&mut render(&[text(&clip), text(&at("a.pose")), "-o", text(&at(name))]));
    made("a.mp4");
    let entries = "stream=codec_name,width,height,pix_fmt,avg_frame_rate,nb_read_frames";
    assert_eq!(probe(&at("a.mp4"), "v", entries), "h264,320,240,yuv420p,25/1,50");
    assert_eq!(probe(&at("a.mp4"), "v", "stream=r_frame_rate,start_time"), "25/1,0.000000");
    made("a.webm");
    assert_eq!(
        probe(&at("a.webm"), "v", "stream=codec_name,width,height,r_frame_rate,nb_read_frames"),
        "vp9,320,240,25/1,50"
    );
    made("a.gif");
    assert_eq!(
        probe(&at("a.gif"), "v", "stream=codec_name,width,height,r_frame_rate,nb_read_frames"),
        "gif,320,240,25/1,50"
    );
    // Without the video, the rate is that of the .pose file, as a fraction.
    write_pose(&at("b.pose"), openpose_137(), (320, 240), 30000.0 / 1001.0, 12);
    output(&mut render(&[text(&at("b.pose")), "-o", text(&at("b.mp4"))]));
    assert_eq!(
        probe(&at("b.mp4"), "v", "stream=r_frame_rate,avg_frame_rate,nb_read_frames"),
        "30000/1001,30000/1001,12"
    );
    output(&mut render(&[
        "--side-by-side",
        text(&at("b.pose")),
        text(&at("b.pose")),
        "-o",
        text(&at("c.mp4")),
    ]));
    assert_eq!(probe(&at("c.mp4"), "v", "stream=width,height"), "640,240");
    let left: Vec<String> = names(folder.path()).into_iter().filter(|name| name.starts_with('.')).collect();
    assert_eq!(left, [""; 0]);
}

fn bad_input_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let clip = repository("tests/clips/h264_25.mp4");
    write_pose(&at("a.pose"), openpose_137(), (320, 240), 25.0, 50);
    write_pose(&at("short.pose"), openpose_137(), (320, 240), 25.0, 49);
    write_pose(&at("small.pose"), openpose_137(), (160, 120), 25.0, 50);
    write_pose(&at("still.pose"), openpose_137(), (320, 240), f32::NAN, 2);
    write_pose(&at("large.pose"), openpose_137(), (65535, 65535), 25.0, 2);
    fs::write(at("there.mp4"), "mine").unwrap();
    let clip = text(&clip);
    let cases: [(&[&str], &str); 11] = [
        (&[clip, "short.pose", "-o", "a.mp4"], "50 frames"),
        (&[clip, "small.pose", "-o", "a.mp4"], "160x120"),
        (&["still.pose", "-o", "a.mp4"], "no video can have"),
        (&[clip, "a.pose", "-o", "there.mp4"], "--overwrite"),
        (&[clip, "a.pose", "-o", "a.docx"], "expected .mp4"),
        (&["-", "a.pose", "-o", "a.mp4"], "standard input"),
        (&["a.pose", "--sheet", "a.png"], "before the .pose file"),
        (&["--side-by-side", "a.pose", "short.pose", "-o", "a.mp4"], "50 and 49 frames"),
        (&["-o", "a.mp4"], "found 0 files"),
        (&["large.pose", "-o", "a.mp4"], "65535x65535"),
        (&["there.mp4", "a.pose", "-o", "./there.mp4", "--overwrite"], "another name"),
    ];
    let before = names(folder.path());
    for (arguments, words) in cases {
        let ended = render(arguments).current_dir(folder.path()).output().unwrap();
        let printed = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(2), "{printed}");
        assert!(printed.contains(words), "{words:?} is not in: {printed}");
        assert_eq!(names(folder.path()), before, "{words}");
    }
    assert_eq!(fs::read(at("there.mp4")).unwrap(), b"mine");
    // The error comes before anything is estimated.
    let mut piped = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    let ended = piped.args(["-", "-o", text(&at("b.pose")), "--render"]).output().unwrap();
    let printed = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(2), "{printed}");
    assert!(printed.contains("save the video to a file"), "{printed}");
}

fn the_main_command_draws_overlays() {
    let folder = tempfile::tempdir().unwrap();
    let clip = folder.path().join("clip.mp4");
    fs::copy(repository("assets/sample.mp4"), &clip).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
        command.arg(folder.path()).args(["--engine", "holistic", "--render", "--track"]);
        output(command.args(more).arg("--model-folder").arg(common::models()));
    };
    let made = folder.path().join("clip.pose.mp4");
    let modified = || fs::metadata(&made).unwrap().modified().unwrap();
    run(&[]);
    let facts = || probe(&made, "v", "stream=r_frame_rate,nb_read_frames");
    assert_eq!(facts(), "30000/1001,90");
    // The second run does not mistake the overlay for a video of the folder, nor one that was drawn without H.264.
    fs::copy(&made, folder.path().join("clip.pose.webm")).unwrap();
    run(&["--overwrite"]);
    assert_eq!(names(folder.path()), ["clip.mp4", "clip.pose", "clip.pose.mp4", "clip.pose.webm"]);
    // The overlay of a video that is done is kept, or drawn if it is missing.
    let before = modified();
    run(&[]);
    assert_eq!(modified(), before);
    fs::remove_file(&made).unwrap();
    run(&[]);
    assert_eq!(facts(), "30000/1001,90");
    // With several processes.
    fs::copy(&clip, folder.path().join("other.mp4")).unwrap();
    run(&["--workers", "2", "--overwrite"]);
    let all = [
        "clip.mp4",
        "clip.pose",
        "clip.pose.mp4",
        "clip.pose.webm",
        "oppose.jsonl",
        "other.mp4",
        "other.pose",
        "other.pose.mp4",
    ];
    assert_eq!(names(folder.path()), all);
}

fn overlays_of_real_people() {
    let folder = tempfile::tempdir().unwrap();
    for (clip, facts, sound) in
        [("media/signer.mp4", "540,720,359/12,58", ""), ("media/crowd.avi", "1280,720,50/1,205", "aac")]
    {
        let (pose, target) = (folder.path().join("a.pose"), folder.path().join("a.mp4"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
        command.arg(shared(clip)).args(["--engine", "holistic", "--overwrite", "-o"]).arg(&pose);
        output(command.arg("--model-folder").arg(common::models()));
        output(&mut render(&[text(&shared(clip)), text(&pose), "--overwrite", "-o", text(&target)]));
        assert_eq!(probe(&target, "v", "stream=width,height,r_frame_rate,nb_read_frames"), facts);
        assert_eq!(probe(&target, "a", "stream=codec_name"), sound);
    }
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let probes = || Need::Program("ffprobe");
    vec![
        trial("pictures_match_the_approved_ones", &[], pictures_match_the_approved_ones),
        trial(
            "lines_are_where_pose_format_draws_them",
            &[Need::Python("cv2, pose_format")],
            lines_are_where_pose_format_draws_them,
        ),
        trial(
            "the_javascript_viewer_shows_our_files",
            &[Need::PoseViewer],
            the_javascript_viewer_shows_our_files,
        ),
        trial("an_interrupted_render_leaves_nothing", &[], an_interrupted_render_leaves_nothing),
        trial("the_overlay_is_the_video", &[], the_overlay_is_the_video),
        trial("ffprobe_agrees", &[probes()], ffprobe_agrees),
        trial("bad_input_is_refused", &[], bad_input_is_refused),
        trial("the_main_command_draws_overlays", &[probes(), Need::Models], the_main_command_draws_overlays),
        trial(
            "overlays_of_real_people",
            &[probes(), Need::Models, Need::Shared("media/signer.mp4")],
            overlays_of_real_people,
        ),
    ]
}
