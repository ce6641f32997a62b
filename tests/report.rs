//! The pages of `report` and `view`: their numbers, hostile names in them, and their use in a real browser.

#![allow(clippy::unwrap_used)] // Clippy does not recognise tests without the standard harness.

#[path = "common/browser.rs"]
mod browser;
mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use browser::Browser;
use common::{Need, output, trial};
use oppose::batch::Job;
use oppose::batch::journal::{Journal, NAME, Outcome};
use oppose::batch::slurm::{Run, Settings};
use oppose::engine::EngineInfo;
use oppose::pose::{FramePose, Pose, openpose_137};
use oppose::report::{Collector, Options, Progress};
use rustix::process::Signal;
use serde_json::Value;

fn main() {
    let browser = [Need::Program("chromium"), Need::Program("chromedriver")];
    let video = [Need::Program("chromium"), Need::Program("chromedriver"), Need::Program("ffmpeg")];
    common::run_one_at_a_time(vec![
        trial("numbers equal those of inspect", &[], numbers_equal_those_of_inspect),
        trial("hostile names are text", &[], hostile_names_are_text),
        trial("failures are explained", &[], failures_are_explained),
        trial("a page is updated during a run", &[], a_page_is_updated_during_a_run),
        trial("videos are found, and their frames are in the page", &[], frames_of_videos_are_in_the_page),
        trial("the time left follows from the journal", &[], the_time_left_follows_from_the_journal),
        trial("slurm status writes the page", &[], slurm_status_writes_the_page),
        trial("names of videos are refused as pages", &[], names_of_videos_are_refused_as_pages),
        trial("ten thousand files", &[], ten_thousand_files),
        trial("a browser sorts and filters", &browser, a_browser_sorts_and_filters),
        trial("a browser shows frames of videos", &browser, a_browser_shows_frames_of_videos),
        trial("a browser runs no hostile script", &browser, a_browser_runs_no_hostile_script),
        trial("a browser sorts ten thousand files", &browser, a_browser_sorts_ten_thousand_files),
        trial("a browser steps and compares", &video, a_browser_steps_and_compares),
    ])
}

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    command.args(arguments);
    command
}

/// A waving person; every `missing`th frame lacks the right hand, and `shift` is added to all coordinates.
fn person(frames: usize, missing: usize, shift: f32) -> Pose {
    let frames: Vec<FramePose> = (0..frames)
        .map(|frame| {
            let mut pose = FramePose::new(1, 137, 2);
            for point in 0..137 {
                // The body as a vertical line, the face as a circle, the hands as fans.
                let angle = point as f32 * 0.7 + frame as f32 * 0.1;
                let at = match point {
                    0..25 => [160.0 + 40.0 * angle.sin(), 60.0 + point as f32 * 5.0],
                    25..95 => [160.0 + 25.0 * angle.cos(), 50.0 + 30.0 * angle.sin()],
                    _ => [
                        100.0 + 120.0 * f32::from(u8::from(point > 115)) + 8.0 * angle.cos(),
                        140.0 + 12.0 * angle.sin(),
                    ],
                };
                pose.coordinates_mut()[2 * point..][..2].copy_from_slice(&at.map(|value| value + shift));
                let is_missing = point > 115 && missing > 0 && frame % missing == 0;
                pose.confidences_mut()[point] =
                    if is_missing { 0.0 } else { 0.5 + 0.4 * (frame as f32 * 0.2).sin() };
            }
            pose
        })
        .collect();
    Pose::from_frames(openpose_137(), 320, 240, 25.0, &frames).unwrap()
}

fn write(pose: &Pose, path: &Path) {
    fs::write(path, pose.to_bytes().unwrap()).unwrap();
}

fn report(folder: &Path) -> (PathBuf, String) {
    let page = folder.join("report.html");
    output(program(&["report", "-o"]).arg(&page).arg(folder));
    (page.clone(), fs::read_to_string(page).unwrap())
}

/// The data of a page.
fn data(page: &str) -> Value {
    let (_, data) = page.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap()
}

fn numbers_equal_those_of_inspect() {
    let folder = tempfile::tempdir().unwrap();
    for (index, missing) in [0, 2, 3].into_iter().enumerate() {
        write(&person(40 + index, missing, 0.0), &folder.path().join(format!("clip {index}.pose")));
    }
    fs::create_dir(folder.path().join("sub")).unwrap();
    let holistic = Pose::read_file(&common::repository("tests/data/cases/depth640.pose")).unwrap();
    write(&holistic, &folder.path().join("sub/holistic.pose"));
    let (_, page) = report(folder.path());
    let data = data(&page);
    let lines = output(program(&["inspect", "--json"]).arg(folder.path()));
    let rows = data["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for (line, row) in lines.lines().zip(rows) {
        let line: Value = serde_json::from_str(line).unwrap();
        let file = line["file"].as_str().unwrap();
        assert_eq!(Path::new(file), folder.path().join(row["file"].as_str().unwrap()));
        let keys = [
            "version",
            "width",
            "height",
            "fps",
            "frame_rate",
            "frames",
            "seconds",
            "people",
            "frames_with_people",
            "jumps",
            "swaps",
            "faults",
        ];
        for key in keys {
            assert_eq!(line[key], row[key], "{key} of {file}");
        }
        let skeleton = &data["skeletons"][row["skeleton"].as_u64().unwrap() as usize];
        for (index, component) in line["components"].as_array().unwrap().iter().enumerate() {
            let keys = ["present", "confidence", "jitter_pixels", "jitter_shoulders", "jumps"];
            for (place, key) in keys.into_iter().enumerate() {
                assert_eq!(component[key], row["components"][index][place], "{key} of {file}");
            }
            assert_eq!(component["name"], skeleton["components"][index]["name"]);
            assert_eq!(component["points"], skeleton["components"][index]["points"]);
        }
    }
}

/// A name that must not be interpreted as HTML, script or escape sequence.
const HOSTILE: &str = "<img src=x onerror=\"window.alive=1\"></script><script>window.alive=1</script><!--\u{202e}\u{1b}[2J'\"&amp;";

/// A corpus with hostile text wherever text can come from outside.
fn hostile_corpus(folder: &Path) {
    // A file name cannot contain a slash.
    let name = HOSTILE.replace('/', "\u{2215}");
    let mut skeleton = openpose_137().clone();
    skeleton.components[0].name = format!("pose {HOSTILE}");
    skeleton.components[0].points[0] = HOSTILE.to_owned();
    let mut frame = FramePose::new(1, 137, 2);
    frame.coordinates_mut().iter_mut().enumerate().for_each(|(index, value)| *value = index as f32);
    frame.confidences_mut().fill(0.9);
    let pose = Pose::from_frames(&skeleton, 320, 240, 25.0, [&frame, &frame]).unwrap();
    write(&pose, &folder.join(format!("{name}.pose")));
    fs::create_dir(folder.join(&name)).unwrap();
    write(&pose, &folder.join(&name).join("a.pose"));
    fs::write(folder.join(format!("{name} broken.pose")), HOSTILE).unwrap();
    let mut journal = Journal::open(&folder.join(NAME)).unwrap();
    let engine = EngineInfo::new(HOSTILE, HOSTILE, HOSTILE, 137)
        .with_models([(HOSTILE.to_owned(), HOSTILE.to_owned())].into())
        .with_setting(HOSTILE, HOSTILE);
    journal.set_engine(0, engine);
    let reason = format!(
        "expected a video, but its format is not recognised ({HOSTILE}); is it a video, and complete?"
    );
    let failed = Outcome::Failed { reason, crashed: true };
    journal
        .add(0, &folder.join(format!("{name}.mp4")), &folder.join(format!("{name}.pose")), failed)
        .unwrap();
}

fn hostile_names_are_text() {
    let folder = tempfile::tempdir().unwrap();
    hostile_corpus(folder.path());
    // The broken file makes the exit code 1.
    let page = folder.path().join("report.html");
    let run = program(&["report"]).arg(folder.path()).output().unwrap();
    assert_eq!(run.status.code(), Some(1), "{}", String::from_utf8_lossy(&run.stderr));
    let view = folder.path().join("view.html");
    let pose = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let pose = pose.into_iter().find(|path| path.is_file() && Pose::read_file(path).is_ok()).unwrap();
    output(program(&["view", "-o"]).arg(&view).arg(&pose));
    for page in [page, view] {
        let page = fs::read_to_string(page).unwrap();
        let lower = page.to_lowercase();
        // Only the data and the page's own program.
        assert_eq!((lower.matches("<script").count(), lower.matches("</script").count()), (2, 2));
        assert!(!lower.contains("<img") && !page.contains(['\u{202e}', '\u{1b}']));
        assert!(page.contains("window.alive"), "the name is not in the page");
        assert!(page.contains("Content-Security-Policy") && page.contains("default-src"));
        assert!(!lower.contains("http-equiv=\"refresh\"") && !lower.contains(" src=\"http"));
    }
}

fn failures_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    write(&person(5, 0, 0.0), &folder.path().join("a.pose"));
    fs::write(folder.path().join("b.pose"), b"\0\0\0\x20ftypisom").unwrap();
    let mut journal = Journal::open(&folder.path().join(NAME)).unwrap();
    let failed =
        Outcome::Failed { reason: "expected a video stream, found only audio".into(), crashed: false };
    journal.add(0, Path::new("/v/c.mp4"), &folder.path().join("c.pose"), failed).unwrap();
    program(&["report"]).arg(folder.path()).status().unwrap();
    let page = fs::read_to_string(folder.path().join("report.html")).unwrap();
    assert!(page.contains("found only audio") && page.contains("<a href=\"#explanation-0\">"), "no link");
    assert!(page.contains("An audio file, or one whose only picture is a cover."), "no explanation");
    assert!(page.contains("b.pose") && page.contains("this is not a .pose file"), "no damaged file");
}

fn a_page_is_updated_during_a_run() {
    let folder = tempfile::tempdir().unwrap();
    write(&person(5, 0, 0.0), &folder.path().join("first.pose"));
    let page = folder.path().join("report.html");
    let mut watch = program(&["report", "--watch", "--interval", "1"]).arg(folder.path()).spawn().unwrap();
    let mut wait = |name: &str| {
        let end = Instant::now() + Duration::from_secs(120);
        while !fs::read_to_string(&page).is_ok_and(|page| page.contains(name)) {
            assert!(Instant::now() < end && watch.try_wait().unwrap().is_none(), "{name} did not appear");
            thread::sleep(Duration::from_millis(100));
        }
    };
    wait("first.pose");
    write(&person(5, 0, 0.0), &folder.path().join("second.pose"));
    wait("second.pose");
    common::signal(watch.id(), Signal::TERM);
    assert_eq!(watch.wait().unwrap().code(), Some(143));
    let rows = data(&fs::read_to_string(&page).unwrap())["rows"].as_array().unwrap().len();
    assert_eq!((rows, common::names(folder.path()).len()), (2, 3), "unfinished files are left");
}

/// A person in each frame of the sample, without the right hand.
fn sample_pose() -> Pose {
    let mut frame = FramePose::new(1, 137, 2);
    for point in 0..137 {
        let angle = point as f32 * 0.7;
        let at = [240.0 + 60.0 * angle.cos(), 200.0 + 120.0 * angle.sin()];
        frame.coordinates_mut()[2 * point..][..2].copy_from_slice(&at);
    }
    frame.confidences_mut()[..116].fill(0.9);
    Pose::from_frames(openpose_137(), 480, 480, 30.0, &vec![frame; 90]).unwrap()
}

/// The pictures in the row of a file.
fn pictures(page: &str, file: &str) -> Vec<String> {
    let data = data(page);
    let row = data["rows"].as_array().unwrap().iter().find(|row| row["file"] == file).unwrap();
    let pictures = row["sketch"]["pictures"].as_array().cloned().unwrap_or_default();
    pictures.into_iter().map(|picture| picture.as_str().unwrap().to_owned()).collect()
}

fn frames_of_videos_are_in_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let sample = common::repository("assets/sample.mp4");
    for folder in ["poses", "poses/sub", "videos", "videos/sub", "elsewhere"] {
        fs::create_dir(at(folder)).unwrap();
    }
    // At the path in the journal; beside the file; below --videos; a different video; nowhere; not a video.
    for name in ["journal", "beside", "sub/below", "other", "nowhere", "broken"] {
        write(&sample_pose(), &at("poses").join(name).with_extension("pose"));
    }
    let mut journal = Journal::open(&at("poses").join(NAME)).unwrap();
    for (name, video) in [("journal", at("elsewhere/it.mp4")), ("changed", at("elsewhere/changed.mp4"))] {
        fs::copy(&sample, &video).unwrap();
        let failed = Outcome::Failed { reason: "no matter".into(), crashed: false };
        journal.add(0, &video, &at("poses").join(name).with_extension("pose"), failed).unwrap();
    }
    fs::copy(&sample, at("poses/beside.mp4")).unwrap();
    fs::copy(&sample, at("videos/sub/below.MP4")).unwrap();
    fs::copy(common::repository("tests/clips/vfr.mp4"), at("poses/other.mp4")).unwrap();
    fs::write(at("poses/broken.mp4"), b"\0\0\0\x20ftypisom, but no more than that").unwrap();
    let page = at("report.html");
    output(program(&["report", "-o"]).arg(&page).arg("--videos").arg(at("videos")).arg(at("poses")));
    let page = fs::read_to_string(page).unwrap();
    for found in ["journal.pose", "beside.pose", "sub/below.pose"] {
        let pictures = pictures(&page, found);
        assert_eq!(pictures.len(), 12, "{found}");
        // The first bytes of every JPEG, in base64.
        assert!(pictures.iter().all(|picture| picture.starts_with("/9j/")), "{found}");
        assert!(pictures[0] != pictures[11] && pictures[0].len() < 40_000, "{found}");
    }
    for missing in ["other.pose", "nowhere.pose", "broken.pose"] {
        assert_eq!(pictures(&page, missing), [""; 0], "{missing}");
    }
    let (_, page) = report(&at("poses"));
    assert_eq!((pictures(&page, "sub/below.pose").len(), pictures(&page, "beside.pose").len()), (0, 12));
    let page = at("report.html");
    output(program(&["report", "--no-thumbnails", "-o"]).arg(&page).arg(at("poses")));
    assert_eq!(pictures(&fs::read_to_string(page).unwrap(), "beside.pose"), [""; 0]);
}

fn the_time_left_follows_from_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    write(&person(5, 0, 0.0), &folder.path().join("0.pose"));
    // Ten videos, started 100 seconds ago: two are done, one has failed, one is in progress.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut lines = String::new();
    let mut add = |ago: u64, video: usize, outcome: &str| {
        let (video, output) =
            (folder.path().join(format!("{video}.mp4")), folder.path().join(format!("{video}.pose")));
        lines += &format!(
            "{{\"time\":{},\"video\":{video:?},\"output\":{output:?},\"version\":\"1\",{outcome}}}\n",
            now - ago
        );
    };
    let done = "\"outcome\":\"done\",\"frames\":5,\"announced_frames\":null,\"frames_with_people\":5,\"present\":{},\
                \"people\":1,\"frame_rate\":\"25\",\"variable_rate\":false,\"damaged_packets\":0,\"seconds\":30.0";
    // An earlier run, followed by a pause.
    add(9000, 20, "\"outcome\":\"started\",\"left\":2");
    add(8000, 20, done);
    add(100, 0, "\"outcome\":\"started\",\"left\":10");
    add(70, 0, done);
    add(70, 1, "\"outcome\":\"started\",\"left\":9");
    add(40, 1, "\"outcome\":\"failed\",\"reason\":\"no matter\"");
    add(40, 2, "\"outcome\":\"started\",\"left\":8");
    add(10, 2, done);
    add(10, 3, "\"outcome\":\"started\",\"left\":7");
    fs::write(folder.path().join(NAME), lines).unwrap();
    let mut collector = Collector::default();
    let mut options = Options::default();
    options.progress = Some(Progress::default());
    let report = collector.collect(&[folder.path().to_owned()], &options, &|| false).unwrap();
    let progress = report.progress.unwrap();
    assert_eq!((progress.left, progress.of), (Some(7), Some(11)));
    // Three videos in a hundred seconds.
    let seconds = progress.seconds_left.unwrap();
    assert!((233.0..260.0).contains(&seconds), "{seconds}");
}

fn slurm_status_writes_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let poses = folder.path().canonicalize().unwrap();
    let jobs: Vec<(Job, u64)> = (0..3)
        .map(|index| {
            let video = poses.join(format!("{index}.mp4"));
            fs::write(&video, b"video").unwrap();
            (Job::new(video, poses.join(format!("{index}.pose"))), 5)
        })
        .collect();
    let settings = Settings::new(env!("CARGO_BIN_EXE_oppose-native"), &poses);
    Run::prepare(&poses, &jobs, &settings).unwrap();
    let mut journal = Journal::open(&poses.join(NAME)).unwrap();
    let failed = Outcome::Failed { reason: "nothing to see".into(), crashed: false };
    journal.add(0, &jobs[0].0.video, &jobs[0].0.output, failed).unwrap();
    let page = poses.join("status.html");
    let status = program(&["slurm", "status", "--html"]).arg(&page).arg(&poses).output().unwrap();
    let printed = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(printed.contains("0 of 3 videos done, 1 failed, 2 left"), "{printed}");
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("nothing to see") && page.contains("2 left"), "no numbers in the page");
    let progress = &data(&page)["progress"];
    assert_eq!((progress["of"].as_u64(), progress["left"].as_u64()), (Some(3), Some(2)));
    // `report --watch` counts them too.
    let mut options = Options::default();
    options.progress = Some(Progress::default());
    let report = Collector::default().collect(&[poses], &options, &|| false).unwrap();
    let progress = report.progress.unwrap();
    assert_eq!((progress.of, progress.left), (Some(3), Some(2)));
}

fn names_of_videos_are_refused_as_pages() {
    let folder = tempfile::tempdir().unwrap();
    let (pose, video) = (folder.path().join("a.pose"), folder.path().join("a.mp4"));
    write(&person(5, 0, 0.0), &pose);
    fs::write(&video, b"precious").unwrap();
    for command in ["report", "view"] {
        let run = program(&[command, "-o"]).arg(&video).arg(&pose).output().unwrap();
        assert_eq!(run.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&run.stderr).contains("ending in .html"));
        assert_eq!(fs::read(&video).unwrap(), b"precious");
    }
}

/// Writes ten thousand small files of two seconds each.
fn large_corpus(folder: &Path) {
    let kinds: Vec<Vec<u8>> = (0..50).map(|kind| person(50, kind % 7, 0.0).to_bytes().unwrap()).collect();
    for index in 0..10_000 {
        fs::write(folder.join(format!("recording {index:05} of a corpus.pose")), &kinds[index % 50]).unwrap();
    }
}

fn ten_thousand_files() {
    let folder = tempfile::tempdir().unwrap();
    large_corpus(folder.path());
    let begin = Instant::now();
    let (page, text) = report(folder.path());
    let bytes = fs::metadata(page).unwrap().len();
    println!("10,000 files: {:.1} s, {:.1} MB", begin.elapsed().as_secs_f64(), bytes as f64 / 1e6);
    assert!(bytes <= 30_000_000, "{bytes} bytes");
    let data = data(&text);
    let rows = data["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 10_000);
    assert!(rows.iter().all(|row| row["sketch"].is_object() && row["timelines"].is_array()));
}

/// The texts in a column of the first three rows shown.
fn column(browser: &Browser, column: usize) -> Vec<String> {
    let script = format!(
        "return [...document.querySelectorAll('#rows .row')].slice(0, 3).map(row => row.children[{column}].textContent)"
    );
    serde_json::from_value(browser.run(&script)).unwrap()
}

fn type_filter(browser: &Browser, text: &str) {
    let text = serde_json::to_string(text).unwrap();
    browser.run(&format!(
        "const box = document.getElementById('filter'); box.value = {text}; box.dispatchEvent(new Event('input'));"
    ));
}

fn a_browser_sorts_and_filters() {
    let folder = tempfile::tempdir().unwrap();
    for index in 0..60 {
        let pose = person(20 + index, [0, 2, 3, 1][index % 4], 0.0);
        write(&pose, &folder.path().join(format!("clip {index}.pose")));
    }
    fs::write(folder.path().join("damaged.pose"), b"\0\0\0\x20ftypisom").unwrap();
    let mut journal = Journal::open(&folder.path().join(NAME)).unwrap();
    journal.set_engine(
        0,
        EngineInfo::new("native", "cuda:0 NVIDIA H100", "fp16", 137).with_models(
            [(
                "pose/body_25/pose_iter_584000.caffemodel".to_owned(),
                "md5:78287b57cf85fa89c03f1393d368e5b7".to_owned(),
            )]
            .into(),
        ),
    );
    let failed =
        Outcome::Failed { reason: "expected a video stream, found only audio".into(), crashed: false };
    journal.add(0, Path::new("/videos/sound.mp4"), &folder.path().join("sound.pose"), failed).unwrap();
    let page = folder.path().join("report.html");
    program(&["report"]).arg(folder.path()).status().unwrap();
    let browser = Browser::start();
    browser.open(&page);
    assert_eq!(browser.run("return document.getElementById('count').textContent"), "60 of 60 files");
    let faults: Vec<f64> = column(&browser, 1).iter().map(|text| text.parse().unwrap()).collect();
    assert!(faults[0] >= faults[1] && faults[0] >= 1.0, "not the worst first: {faults:?}");
    browser.save_screenshot("report.png");
    browser.click("#head button[data-key=frames]");
    assert_eq!(column(&browser, 2), ["79", "78", "77"]);
    browser.click("#head button[data-key=frames]");
    assert_eq!(column(&browser, 2), ["20", "21", "22"]);
    browser.click("#head button[data-key=file]");
    assert_eq!(column(&browser, 0), ["clip 0.pose", "clip 1.pose", "clip 2.pose"]);
    type_filter(&browser, "CLIP 5");
    assert_eq!(browser.run("return document.getElementById('count').textContent"), "11 of 60 files");
    browser.click("#rows .row");
    assert_eq!(browser.run("return document.getElementById('detail-name').textContent"), "clip 5.pose");
    assert_eq!(browser.run("return document.querySelectorAll('#detail-timeline .uplot').length"), 4);
    assert!(
        browser.run("return document.querySelectorAll('#detail-sheet canvas').length").as_u64() >= Some(3)
    );
    browser.save_screenshot("report-table.png");
    browser.run("document.getElementById('detail').scrollIntoView()");
    browser.save_screenshot("report-detail.png");
    browser.run("document.getElementById('worst').scrollIntoView()");
    browser.save_screenshot("report-worst.png");
    browser.run("document.getElementById('h-distributions').scrollIntoView()");
    browser.save_screenshot("report-charts.png");
    browser.click("#clear");
    assert_eq!(browser.run("return document.getElementById('count').textContent"), "60 of 60 files");
    // Clicking on a bar of a chart shows the files that it counts.
    browser.click(".charts figure .u-over");
    let count = browser.run("return document.getElementById('count').textContent");
    assert!(
        browser.run("return document.getElementById('range').textContent").as_str().unwrap().contains("Body"),
        "{count}"
    );
    browser.command("goog/cdp/execute", &serde_json::json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": [{ "name": "prefers-color-scheme", "value": "dark" }] } }));
    browser.open(&page);
    browser.save_screenshot("report-dark.png");
    assert_eq!(browser.messages(), [""; 0]);
}

fn a_browser_shows_frames_of_videos() {
    let folder = tempfile::tempdir().unwrap();
    write(&sample_pose(), &folder.path().join("sample.pose"));
    fs::copy(common::repository("assets/sample.mp4"), folder.path().join("sample.mp4")).unwrap();
    let (page, _) = report(folder.path());
    let browser = Browser::start();
    browser.open(&page);
    browser.click("#rows .row");
    let shown = "return document.querySelectorAll('#detail-sheet canvas[data-picture=shown]').length";
    let end = Instant::now() + Duration::from_secs(60);
    while browser.run(shown) != 12 {
        assert!(Instant::now() < end, "{:?}", browser.messages());
        thread::sleep(Duration::from_millis(50));
    }
    browser.run("document.getElementById('detail-sheet').scrollIntoView()");
    browser.save_screenshot("report-frames.png");
    assert_eq!(browser.messages(), [""; 0]);
}

fn a_browser_runs_no_hostile_script() {
    let folder = tempfile::tempdir().unwrap();
    hostile_corpus(folder.path());
    program(&["report"]).arg(folder.path()).status().unwrap();
    let browser = Browser::start();
    let page = folder.path().join("report.html");
    browser.open(&page);
    browser.click("#rows .row");
    assert_eq!(browser.run("return window.alive === undefined"), true);
    let name = browser.run("return document.getElementById('detail-name').textContent");
    let name = name.as_str().unwrap();
    assert!(name.contains("<img src=x") && name.contains("\\u{202e}\\x1b[2J"), "{name}");
    assert_eq!(
        browser.run("return document.images.length + document.querySelectorAll('bdi script').length"),
        0
    );
    browser.save_screenshot("report-hostile.png");
    assert_eq!(browser.messages(), [""; 0]);
}

fn a_browser_sorts_ten_thousand_files() {
    let folder = tempfile::tempdir().unwrap();
    large_corpus(folder.path());
    let (page, _) = report(folder.path());
    let browser = Browser::start();
    browser.open(&page);
    println!("10,000 files: ready after {} ms", browser.run("return document.documentElement.dataset.ready"));
    let sorting = "const begin = performance.now(); document.querySelector('#head button[data-key=file]').click(); \
                   return Math.round(performance.now() - begin)";
    println!("10,000 files: sorted by name in {} ms", browser.run(sorting));
    assert_eq!(column(&browser, 0)[0], "recording 00000 of a corpus.pose");
    // Only visible rows are in the page.
    assert!(browser.run("return document.querySelectorAll('#rows .row').length").as_u64().unwrap() < 100);
    browser.run("document.getElementById('viewport').scrollTop = 9990 * 28");
    browser.wait("return document.getElementById('rows').textContent.includes('recording 09999')");
    type_filter(&browser, "04217");
    assert_eq!(browser.run("return document.getElementById('count').textContent"), "1 of 10,000 files");
}

fn a_browser_steps_and_compares() {
    let folder = tempfile::tempdir().unwrap();
    // A name that must be escaped in URLs.
    let video = folder.path().join("a #1 100%.webm");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=4"]);
    output(ffmpeg.args(["-c:v", "libvpx", "-b:v", "500k"]).arg(&video));
    let (first, second) = (folder.path().join("first.pose"), folder.path().join("second.pose"));
    write(&person(100, 3, 0.0), &first);
    write(&person(100, 0, 5.0), &second);
    let page = folder.path().join("view.html");
    output(program(&["view", "-o"]).arg(&page).arg(&video).args([&first, &second]));
    let browser = Browser::start();
    browser.open(&page);
    browser.wait("return document.querySelector('video').readyState >= 2");
    let frame = || browser.run("return Number(document.documentElement.dataset.frame)");
    assert_eq!(frame(), 0);
    browser.click("#forward");
    browser.click("#forward");
    assert_eq!(frame(), 2);
    browser.press("\u{e012}");
    assert_eq!(frame(), 1, "after the left arrow");
    browser.press("\u{e010}");
    assert_eq!(frame(), 99, "after End");
    browser.wait("return Math.floor(document.querySelector('video').currentTime * 25) === 99");
    // The middle of the curve is the middle of the video.
    browser.click("#distance .u-over");
    let middle = frame().as_u64().unwrap();
    assert!((45..=55).contains(&middle), "{middle}");
    browser.wait(
        "const video = document.querySelector('video'); return !video.seeking && video.readyState >= 2",
    );
    browser.save_screenshot("view.png");
    // The distance in every frame: the files differ by 5 pixels along both axes.
    let data = data(&fs::read_to_string(&page).unwrap());
    assert!(
        data["distance"]
            .as_array()
            .unwrap()
            .iter()
            .all(|distance| (distance.as_f64().unwrap() - 50_f64.sqrt()).abs() < 1e-3)
    );
    let painted = "const canvas = document.querySelector('.stage canvas'); \
                   const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data; \
                   let count = 0; for (let i = 3; i < pixels.length; i += 4) count += pixels[i] > 0; return count";
    let all = browser.run(painted).as_u64().unwrap();
    browser.press("2");
    let without_face = browser.run(painted).as_u64().unwrap();
    assert!(0 < without_face && without_face < all, "{without_face} {all}");
    browser.run("const layout = document.getElementById('layout'); layout.value = 'beside'; layout.dispatchEvent(new Event('change'))");
    assert_eq!(browser.run("return document.querySelectorAll('.stage').length"), 2);
    browser.run("const colors = document.getElementById('colors'); colors.value = 'people'; colors.dispatchEvent(new Event('change'))");
    browser.save_screenshot("view-beside.png");
    browser.press("\u{e011}");
    browser.click("#play");
    browser.wait("return Number(document.documentElement.dataset.frame) > 5");
    browser.click("#play");
    assert_eq!(browser.messages(), [""; 0]);

    // A variable frame rate: 50 frames in the first second, 50 in the other three.
    let time = |frame: usize| if frame < 50 { frame as f64 / 50.0 } else { 1.0 + (frame - 50) as f64 * 0.06 };
    let table: String = (0..100).map(|frame| format!("{frame},{:.9}\n", time(frame))).collect();
    fs::write(first.with_extension("timestamps.csv"), format!("frame,time\n{table}")).unwrap();
    output(program(&["view", "-o"]).arg(&page).arg(&video).arg(&first));
    browser.open(&page);
    browser.run("go(50)");
    browser.wait("return Math.abs(document.querySelector('video').currentTime - 1.03) < 0.001");
    assert_eq!(
        browser.run("return [inTime(1.07), inTime(0.99), nearest(0.999)]"),
        serde_json::json!([51, 49, 50])
    );

    // If the video is missing, the poses are shown alone, with a message.
    fs::remove_file(&video).unwrap();
    browser.open(&page);
    browser.wait("return !document.getElementById('message').hidden");
    browser.click("#play");
    browser.wait("return Number(document.documentElement.dataset.frame) > 5");
}
