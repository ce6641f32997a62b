//! Inputs that a decoder easily gets wrong: frame rates that no header states, clocks that jump, several tracks, colours
//! as other programs convert them, files that name other files, and files that end too early.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::Trial;

use common::{Need, models, output, repository, run_python, trial};
use md5::{Digest, Md5};
use oppose::pose::{Pose, openpose_137};
use oppose::video::{self, Colors, DecodeSummary, Note, Options, RateSource, Source, VideoError};

const PROGRAM: &str = env!("CARGO_BIN_EXE_oppose-native");

fn case(name: &str) -> PathBuf {
    repository("tests/data/cases").join(name)
}

fn open(path: &Path) -> Result<Box<dyn Source>, VideoError> {
    video::open(path, &Options::default())
}

/// Reads a video to its end.
fn read_with(path: &Path, options: &Options) -> (Result<u64, VideoError>, DecodeSummary) {
    let mut video = match video::open(path, options) {
        Ok(video) => video,
        Err(error) => return (Err(error), DecodeSummary::default()),
    };
    let mut frames = 0;
    let end = loop {
        match video.next_frame() {
            Ok(Some(_)) => frames += 1,
            Ok(None) => break Ok(frames),
            Err(error) => break Err(*error.downcast::<VideoError>().expect("a VideoError")),
        }
    };
    (end, video.summary())
}

fn read(path: &Path) -> (u64, DecodeSummary) {
    let (frames, summary) = read_with(path, &Options::default());
    (frames.unwrap_or_else(|error| panic!("{}: {error}", path.display())), summary)
}

fn failure(path: &Path) -> VideoError {
    read_with(path, &Options::default()).0.expect_err("this file cannot be read to its end")
}

#[track_caller]
fn assert_rate(path: &Path, frames: u64, rate: &str, source: RateSource) -> DecodeSummary {
    let (found, summary) = read(path);
    let name = path.display();
    assert_eq!(found, frames, "{name}");
    assert_eq!(summary.frame_rate.unwrap().to_string(), rate, "{name}");
    assert_eq!(summary.rate_source, source, "{name}");
    summary
}

fn ffmpeg(arguments: &str, target: &Path) {
    output(Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments.split_whitespace()).arg(target));
}

/// A moving pattern as a source of the ffmpeg program.
fn pattern(rate: &str, seconds: &str) -> String {
    format!("-f lavfi -i testsrc2=size=160x120:rate={rate}:duration={seconds}")
}

const H264: &str = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";

fn frame_rates_follow_from_the_frames() {
    use RateSource::{Constant, Measured};
    assert_rate(&case("mediarecorder_jitter.webm"), 45, "44000/1461", Measured);
    assert_rate(&case("mediarecorder_start1ms.webm"), 40, "39000/1127", Measured);
    assert_rate(&case("two_frames_10fps.gif"), 2, "10", Measured);
    assert_rate(&case("telecine_24in30.vob"), 60, "24000/1001", Constant);
    assert_rate(&case("fps1000.mp4"), 50, "1000", Constant);
    assert_rate(&case("fps120.mp4"), 30, "120", Constant);
    // There is no note that frames are missing.
    for name in ["telecine_24in30.vob", "audio_longer.mkv", "mediarecorder_jitter.webm"] {
        assert_eq!(read(&case(name)).1.notes, [], "{name}");
    }
    assert_eq!(
        read(&case("telecine_24in30.vob")).1.variable_rate,
        None,
        "24 evenly spaced frames per second"
    );
    let info = open(&case("audio_longer.mkv")).unwrap().info().clone();
    assert!(info.announced_frames.unwrap() <= 26, "the sound lasts three times as long: {info:?}");
}

fn constant_rates_stay_exact_in_every_container() {
    let folder = tempfile::tempdir().unwrap();
    let made = |name: &str, rate: &str, seconds: &str, options: &str| {
        let path = folder.path().join(name);
        ffmpeg(&format!("{} {options}", pattern(rate, seconds)), &path);
        path
    };
    for name in ["a.mkv", "a.flv", "a.ts", "a.avi", "a.mp4", "a.mov"] {
        assert_rate(&made(name, "24000/1001", "4", H264), 96, "24000/1001", RateSource::Constant);
    }
    let vp8 = "-c:v libvpx -deadline realtime";
    assert_rate(&made("a.webm", "24000/1001", "4", vp8), 96, "24000/1001", RateSource::Constant);
    for name in ["slow.mp4", "slow.mkv", "slow.avi", "slow.ts"] {
        let summary = assert_rate(&made(name, "1/200", "1000", H264), 5, "1/200", RateSource::Constant);
        assert_eq!(summary.notes, [], "{name}");
    }
    for name in ["fast.mp4", "fast.mkv", "fast.avi"] {
        assert_rate(&made(name, "1000", "0.1", H264), 100, "1000", RateSource::Constant);
    }
    assert_rate(&made("faster.mp4", "2000", "0.1", H264), 200, "2000", RateSource::Constant);
    assert_rate(&made("a.gif", "30", "2", ""), 60, "30", RateSource::Constant);
    // Intervals of 13 and 14 hundredths of a second.
    assert_rate(&made("b.gif", "7.6", "3", ""), 23, "2200/289", RateSource::Measured);
}

fn pauses_in_an_avi_are_not_frames() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pauses.avi");
    // Every fifth frame is empty: the previous one stays visible.
    let kept = "-vf select='lt(mod(n,5),4)' -vsync vfr -enc_time_base 1/25 -c:v mpeg4";
    ffmpeg(&format!("{} {kept}", pattern("25", "4")), &path);
    let summary = assert_rate(&path, 80, "1975/98", RateSource::Measured);
    assert!(summary.variable_rate.is_some());
    assert_eq!(summary.notes, [], "the header counts the pauses");
}

fn telecine_is_detected_in_every_container() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.ts", "a.mpg"] {
        let path = folder.path().join(name);
        ffmpeg(&format!("-i {} -c copy", case("telecine_24in30.vob").display()), &path);
        let summary = assert_rate(&path, 60, "24000/1001", RateSource::Constant);
        assert_eq!((&summary.notes[..], summary.variable_rate), (&[][..], None), "{name}");
    }
}

fn a_given_frame_rate_overrides_the_measured_one() {
    let options = Options::default().with_frame_rate("1000/7".parse::<video::FrameRate>().unwrap());
    for name in ["mediarecorder_jitter.webm", "fps120.mp4", "two_frames_10fps.gif"] {
        let path = case(name);
        assert_eq!(video::open(&path, &options).unwrap().info().frame_rate.to_string(), "1000/7");
        let (_, summary) = read_with(&path, &options);
        assert_eq!(summary.frame_rate.unwrap().to_string(), "1000/7", "{name}");
        assert_eq!(summary.rate_source, RateSource::Given, "{name}");
    }
}

fn the_program_writes_frame_rate_and_timestamps() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&OsStr]| {
        let mut command = Command::new(PROGRAM);
        command.env("OPPOSE_MODELS", models()).args(["--engine", "holistic", "-o"]).arg(folder.path());
        let done = command.args(arguments).output().unwrap();
        let printed = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.success(), "{printed}");
        printed
    };
    let rate = |name: &str| Pose::read_file(&folder.path().join(name)).unwrap().fps;
    let jitter = case("mediarecorder_jitter.webm");
    let printed = run(&[jitter.as_os_str(), "--timestamps".as_ref()]);
    assert!((rate("mediarecorder_jitter.pose") - 30.1164).abs() < 1e-3);
    assert!(printed.contains("45 frames at 30.116 per second"), "{printed}");
    assert!(printed.contains("the frame rate was measured from the frames"), "{printed}");
    let table = fs::read_to_string(folder.path().join("mediarecorder_jitter.timestamps.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[1]), (46, "frame,time", "0,0.000000000"));
    assert_eq!(lines[45], "44,1.461000000");
    // Also with workers, whose reports go through a pipe.
    let arguments = [jitter.as_os_str(), case("fps1000.mp4").as_os_str()].map(OsStr::to_owned);
    let several = ["--workers", "2", "--overwrite", "--fps", "1000", "--timestamps", "--colors", "bt601"];
    let all: Vec<&OsStr> =
        arguments.iter().map(|path| path.as_os_str()).chain(several.map(OsStr::new)).collect();
    run(&all);
    assert_eq!((rate("mediarecorder_jitter.pose"), rate("fps1000.pose")), (1000.0, 1000.0));
    assert!(folder.path().join("fps1000.timestamps.csv").exists());
    let journal = fs::read_to_string(folder.path().join("oppose.jsonl")).unwrap();
    let done: Vec<&str> = journal.lines().filter(|line| line.contains("\"outcome\":\"done\"")).collect();
    assert!(done.len() == 2 && done.iter().all(|line| line.contains("\"colors\":\"bt601\"")), "{journal}");
    let left: Vec<String> = common::names(folder.path());
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
}

fn a_clock_jump_is_reported_and_removed() {
    let path = case("ts_pts_jump_forward.ts");
    let summary = assert_rate(&path, 50, "25", RateSource::Constant);
    let [Note::ClockJump { frame: 25, seconds, count: 1 }] = summary.notes[..] else {
        panic!("{:?}", summary.notes)
    };
    assert!((seconds - 4999.0).abs() < 1.0, "{seconds}");
    assert_eq!(open(&path).unwrap().info().announced_frames, None, "125,000 would be absurd");
    let last = last_timestamp(&path);
    assert!((last - 1.96).abs() < 1e-6, "{last}");
}

/// The timestamp of the last frame, in seconds.
fn last_timestamp(path: &Path) -> f64 {
    let mut video = open(path).unwrap();
    let mut last = 0.0;
    while let Some(frame) = video.next_frame().unwrap() {
        last = frame.timestamp().map_or(last, |time| time.as_secs_f64());
    }
    last
}

fn joined_recordings_are_continuous() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let joined = |name: &str, options: &str| {
        ffmpeg(&format!("{} {options}", pattern("25", "2")), &path(name));
        let once = fs::read(path(name)).unwrap();
        fs::write(path(name), [&once[..], &once].concat()).unwrap();
        path(name)
    };
    for (name, options) in [
        ("back.ts", H264),
        ("back.mpg", "-c:v mpeg2video"),
        ("two.mkv", H264),
        ("two.webm", "-c:v libvpx -deadline realtime"),
    ] {
        let path = joined(name, options);
        let summary = assert_rate(&path, 100, "25", RateSource::Constant);
        let [Note::ClockJump { frame: 50, seconds, count: 1 }] = summary.notes[..] else {
            panic!("{name}: {:?}", summary.notes)
        };
        assert!((seconds + 1.96).abs() < 0.1, "{name}: {seconds}");
        assert!((last_timestamp(&path) - 3.96).abs() < 1e-3, "{name}");
    }
    // A copy that keeps the jump has it in its timestamps, but not in its frame rate.
    for name in ["jump.mkv", "jump.mp4", "jump.flv"] {
        let path = path(name);
        let source = case("ts_pts_jump_forward.ts");
        ffmpeg(&format!("-copyts -dts_delta_threshold 1000000 -i {} -c copy", source.display()), &path);
        assert_rate(&path, 50, "25", RateSource::Constant);
        assert!((last_timestamp(&path) - 5000.88).abs() < 0.01, "{name}");
    }
    // FFmpeg reads only the first of these.
    for name in ["two.mp4", "two.flv"] {
        let (frames, summary) = read(&joined(name, H264));
        assert_eq!((frames, &summary.notes[..]), (50, &[Note::MoreFilms { films: 2 }][..]), "{name}");
    }
    // MPEG's clock wraps around after 26.5 hours.
    let wrap = path("wrap.ts");
    ffmpeg(&format!("{} {H264} -output_ts_offset 95441.7", pattern("25", "4")), &wrap);
    assert_eq!(assert_rate(&wrap, 100, "25", RateSource::Constant).notes, []);
    assert!((last_timestamp(&wrap) - 3.96).abs() < 1e-3);
}

fn late_pictures_and_long_sound_cause_no_notes() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["late.mkv", "late.mp4", "late.ts"] {
        let path = folder.path().join(name);
        let streams = format!(
            "-itsoffset 3 {} -f lavfi -i sine=duration=6 -map 0 -map 1 -vsync passthrough {H264} -c:a aac",
            pattern("25", "2")
        );
        ffmpeg(&streams, &path);
        assert_eq!(assert_rate(&path, 50, "25", RateSource::Constant).notes, [], "{name}");
        let announced = open(&path).unwrap().info().announced_frames;
        assert!(announced.is_none_or(|frames| frames <= 52), "{name}: {announced:?}");
    }
}

/// Writes a .pose file with this many frames without people.
fn write_pose(path: &Path, (width, height): (u32, u32), rate: f32, frames: usize) {
    let nobody = vec![oppose::pose::FramePose::new(0, 137, 2); frames];
    let pose = Pose::from_frames(openpose_137(), width, height, rate, &nobody).unwrap();
    fs::write(path, pose.to_bytes().unwrap()).unwrap();
}

fn render(arguments: &[&Path]) -> String {
    let mut command = Command::new(PROGRAM);
    let done = command.arg("render").args(arguments).output().unwrap();
    let printed = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{printed}");
    printed
}

fn the_overlay_of_a_video_with_a_clock_jump_has_the_right_length() {
    let folder = tempfile::tempdir().unwrap();
    let (pose, made) = (folder.path().join("a.pose"), folder.path().join("a.mp4"));
    write_pose(&pose, (160, 120), 25.0, 50);
    render(&[&case("ts_pts_jump_forward.ts"), &pose, "-o".as_ref(), &made]);
    assert!((last_timestamp(&made) - 1.96).abs() < 1e-3);
    assert_eq!(read(&made).0, 50);
}

/// How long each picture of a GIF is shown, in hundredths of a second, from its graphic control extensions.
fn delays(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).unwrap();
    let control = bytes.windows(8).filter(|bytes| bytes[..3] == [0x21, 0xf9, 4] && bytes[7] == 0);
    control.map(|bytes| u64::from(u16::from_le_bytes([bytes[4], bytes[5]]))).collect()
}

fn a_gif_of_any_rate_has_the_right_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let check = |video: &Path, frames: usize, rate: f32, hundredths: u64| {
        let (pose, made) = (path("a.pose"), path("a.gif"));
        write_pose(&pose, (160, 120), rate, frames);
        render(&[video, &pose, "-o".as_ref(), &made, "--overwrite".as_ref()]);
        let delays = delays(&made);
        assert_eq!(delays.iter().sum::<u64>(), hundredths, "{}: {delays:?}", video.display());
        assert!(
            delays.iter().all(|&delay| delay >= 2),
            "viewers show shorter ones for ten hundredths: {delays:?}"
        );
        assert!(delays.len() <= frames.max(5));
    };
    check(&case("fps120.mp4"), 30, 120.0, 25);
    check(&case("fps1000.mp4"), 50, 1000.0, 5);
    for (rate, seconds, frames, as_f32, hundredths) in [
        ("60", "1", 60, 60.0, 100),
        ("30000/1001", "2.002", 60, 29.97003, 200),
        ("25", "2", 50, 25.0, 200),
        ("1/200", "400", 2, 0.005, 40_000),
    ] {
        let video = path("a.mp4");
        ffmpeg(&format!("{} {H264}", pattern(rate, seconds)), &video);
        check(&video, frames, as_f32, hundredths);
    }
}

fn a_moving_track_is_preferred_to_a_still() {
    let path = case("two_tracks_still_first.mp4");
    let summary = assert_rate(&path, 50, "25", RateSource::Constant);
    let [Note::Tracks { chosen: 1, ref tracks }] = summary.notes[..] else { panic!("{:?}", summary.notes) };
    assert_eq!(tracks.len(), 2);
    let track = |track| Options::default().with_track(track);
    assert_eq!(read_with(&path, &track(0)).0.unwrap(), 1);
    assert_eq!(read_with(&path, &track(1)).0.unwrap(), 50);
    let error = read_with(&path, &track(2)).0.unwrap_err().to_string();
    assert!(
        error.contains("no video track 2") && error.contains("0 (h264 64x48, a still picture)"),
        "{error}"
    );
}

fn tracks_are_distinguished_in_every_container() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    ffmpeg(&pattern("1", "1"), &path("still.png"));
    let still = path("still.png");
    for (name, codecs) in [
        ("a.mkv", "-c:v:0 mjpeg -pix_fmt:v:0 yuvj420p -c:v:1 libx264 -pix_fmt:v:1 yuv420p"),
        ("a.avi", "-c:v:0 mjpeg -pix_fmt:v:0 yuvj420p -c:v:1 mpeg4"),
        ("a.ts", "-c:v:0 mpeg2video -c:v:1 libx264 -pix_fmt:v:1 yuv420p"),
        ("a.mp4", "-c:v:0 mjpeg -pix_fmt:v:0 yuvj420p -c:v:1 libx264 -pix_fmt:v:1 yuv420p"),
    ] {
        let streams = format!("-i {} {} -map 0 -map 1 {codecs}", still.display(), pattern("25", "2"));
        ffmpeg(&streams, &path(name));
        let (frames, summary) = read(&path(name));
        assert_eq!(frames, 50, "{name}");
        assert!(matches!(summary.notes[..], [Note::Tracks { chosen: 1, .. }]), "{name}: {:?}", summary.notes);
    }
    // Of two moving tracks, the one that FFmpeg prefers is read, with a note.
    let films = format!("{} {} -map 0 -map 1 {H264}", pattern("25", "2"), pattern("30", "2"));
    ffmpeg(&films, &path("two.mkv"));
    assert!(matches!(read(&path("two.mkv")).1.notes[..], [Note::Tracks { .. }]));
}

fn md5_of_frames(path: &Path, colors: Colors, keep_planes: bool) -> Vec<String> {
    let mut video =
        video::open(path, &Options::default().with_colors(colors).with_keep_planes(keep_planes)).unwrap();
    let mut sums = Vec::new();
    while let Some(frame) = video.next_frame().unwrap() {
        let sum = Md5::digest(frame.pixels());
        sums.push(sum.iter().map(|byte| format!("{byte:02x}")).collect());
    }
    sums
}

fn colours_match_opencv_and_pose_format() {
    let folder = tempfile::tempdir().unwrap();
    for (space, range) in [("bt709", "tv"), ("bt709", "pc"), ("bt2020nc", "tv"), ("smpte170m", "tv")] {
        for (name, codec) in [("a.mp4", "libx264"), ("a.webm", "libvpx-vp9")] {
            let path = folder.path().join(name);
            let tags = format!("-pix_fmt yuv420p -colorspace {space} -color_range {range}");
            ffmpeg(&format!("{} -c:v {codec} {tags}", pattern("10", "1")), &path);
            let theirs = |reader: &str| {
                let lines = run_python("opencv_frames.py", [OsStr::new(reader), path.as_os_str()]);
                lines.lines().map(str::to_owned).collect::<Vec<_>>()
            };
            let (opencv, pose_format) = (theirs("opencv"), theirs("pose-format"));
            for keep_planes in [false, true] {
                let what = format!("{name} {space} {range}, in planes: {keep_planes}");
                assert_eq!(md5_of_frames(&path, Colors::Bt601, keep_planes), opencv, "{what}");
                assert_eq!(md5_of_frames(&path, Colors::Auto, keep_planes), pose_format, "{what}");
            }
        }
    }
}

/// A folder with a video that only its owner should see, and files that refer to it.
fn folder_with_playlists() -> (tempfile::TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::create_dir(&secret).unwrap();
    fs::copy(repository("tests/clips/h264_25.mp4"), secret.join("secret.mp4")).unwrap();
    fs::copy(repository("tests/clips/h264_25.ts"), secret.join("secret.ts")).unwrap();
    for name in ["concat_self.mp4", "concat_rel.mp4", "hls_master.mp4", "hls_live.mp4"] {
        fs::copy(case(name), folder.path().join(name)).unwrap();
    }
    let secret = secret.display();
    let hls = |name: &str| format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{name}\n#EXT-X-ENDLIST\n");
    let sdp = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=video 5004 RTP/AVP 96\r\n\
               a=rtpmap:96 H264/90000\r\n";
    for (name, content) in [
        ("concat_absolute.mkv", format!("ffconcat version 1.0\nfile '{secret}/secret.mp4'\n")),
        ("concat_nested.mp4", "ffconcat version 1.0\nfile concat_rel.mp4\n".to_owned()),
        ("hls_absolute.mp4", hls(&format!("{secret}/secret.ts"))),
        ("hls_url.ts", hls(&format!("file://{secret}/secret.ts"))),
        ("hls_relative.m3u8", hls("secret/secret.ts")),
        ("session.mp4", sdp.to_owned()),
    ] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    assert_eq!(files.len(), 10);
    (folder, files)
}

fn files_cannot_open_other_files() {
    let (_folder, files) = folder_with_playlists();
    for path in files {
        let error = failure(&path);
        assert!(matches!(error, VideoError::OpensOthers(_)), "{}: {error}", path.display());
    }
}

fn playlists_do_not_stop_a_run() {
    let (folder, _) = folder_with_playlists();
    fs::copy(case("fps1000.mp4"), folder.path().join("good.mp4")).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        command.current_dir(folder.path()).env("OPPOSE_MODELS", models()).args(arguments);
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    // Nine files named like videos fail; the good one succeeds.
    for more in [&[][..], &["--workers", "2"]] {
        let arguments = [&[".", "-o", "out", "--engine", "holistic", "--overwrite"], more].concat();
        let (code, printed) = run(&arguments);
        assert_eq!(code, Some(1), "{printed}");
        assert!(printed.contains("1 done, 9 failed"), "{printed}");
        assert_eq!(
            common::names(&folder.path().join("out")).iter().filter(|name| name.ends_with(".pose")).count(),
            1
        );
    }
    let (code, printed) = run(&["slurm", "submit", ".", "poses", "--sif", "good.mp4", "--dry-run"]);
    assert!(code.is_some_and(|code| code <= 2), "{code:?}: {printed}");
    let pose = folder.path().join("out/good.pose");
    let (code, printed) = run(&["render", "concat_rel.mp4", pose.to_str().unwrap(), "-o", "a.mp4"]);
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("only names others"), "{printed}");
}

fn file_names_are_not_patterns() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    ffmpeg("-f lavfi -i testsrc2=size=64x48:rate=1:duration=1", &path("p1.png"));
    ffmpeg("-f lavfi -i color=red:size=32x32:rate=1:duration=1", &path("other.png"));
    for name in
        ["p%d.png", "*.png", "p[1].png", "concat:p1.png|p1.png", "pipe:0", "p?.png", "subfile,,start,0.png"]
    {
        fs::copy(path("other.png"), path(name)).unwrap();
        let video = open(&path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((video.info().width, video.info().height), (32, 32), "{name}");
    }
    // A name need not be valid UTF-8 either.
    let bytes = folder.path().join(OsStr::from_bytes(b"caf\xe9.png"));
    fs::copy(path("other.png"), &bytes).unwrap();
    assert_eq!(read(&bytes).0, 1);
}

fn unfinished_files_are_named() {
    assert!(matches!(failure(&case("nomoov.mp4")), VideoError::NoIndex));
    let printed = failure(&case("nomoov.mp4")).to_string();
    assert!(
        printed.contains("MP4 without its index") && printed.contains("recording was interrupted"),
        "{printed}"
    );
    assert!(failure(&case("anim.webp")).to_string().contains("animated WebP"));
}

fn cut(path: &Path, bytes: usize) -> PathBuf {
    let whole = fs::read(path).unwrap();
    let name = format!("cut_{bytes}_{}", path.file_name().unwrap().to_str().unwrap());
    let cut = path.with_file_name(name);
    fs::write(&cut, &whole[..whole.len() - bytes]).unwrap();
    cut
}

fn a_cut_is_noticed_even_at_the_last_frame() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = |name: &str, options: &str| {
        ffmpeg(&format!("{} {options}", pattern("25", "2")), &path(name));
        assert_eq!(read(&path(name)).0, 50, "{name}");
        path(name)
    };
    let vp8 = "-c:v libvpx -deadline realtime";
    let mut files = vec![
        made("a.mkv", H264),
        made("a.webm", vp8),
        made("a.flv", H264),
        made("a.mp4", &format!("{H264} -movflags +faststart")),
        made("fragments.mp4", &format!("{H264} -movflags +frag_keyframe+empty_moov")),
    ];
    // As written by a recorder that cannot seek.
    let live = path("live.webm");
    files.push(live.clone());
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error"]).args(pattern("25", "2").split_whitespace());
    let bytes =
        common::bytes(command.args(vp8.split_whitespace()).args(["-f", "webm", "-live", "1", "pipe:1"]));
    fs::write(&live, bytes).unwrap();
    for file in files {
        for bytes in [400, 1500, 5000] {
            let cut = cut(&file, bytes);
            let (end, summary) = read_with(&cut, &Options::default());
            let error = end.expect_err("it is cut off");
            let VideoError::Truncated { frames, .. } = error else { panic!("{}: {error}", cut.display()) };
            assert!(frames < 50 && frames == summary.frames, "{}: {error}", cut.display());
        }
    }
    // What follows the last frame contains no frames, so all are read.
    let (frames, _) = read(&cut(&path("a.mkv"), 1));
    assert_eq!(frames, 50);

    // Cuts between two clusters, and within the header of the next one.
    let clusters = made("clusters.mkv", &format!("{H264} -cluster_time_limit 200"));
    let whole = fs::read(&clusters).unwrap();
    let places = |id: &[u8]| -> Vec<usize> {
        (0..whole.len()).filter(|&place| whole[place..].starts_with(id)).collect()
    };
    let starts = places(b"\x1f\x43\xb6\x75");
    assert!(starts.len() > 5);
    let index = *places(b"\x1c\x53\xbb\x6b").last().unwrap();
    for bytes_of_header in 0..4 {
        for start in &starts[1..] {
            let cut = cut(&clusters, whole.len() - start - bytes_of_header);
            let error = failure(&cut);
            assert!(matches!(error, VideoError::Truncated { .. }), "{}: {error}", cut.display());
        }
        let (frames, _) = read(&cut(&clusters, whole.len() - index - bytes_of_header));
        assert_eq!(frames, 50);
    }
}

fn frames_that_cannot_be_decoded_are_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zeros.mp4");
    ffmpeg(&format!("{} {H264}", pattern("25", "2")), &path);
    let packets = output(
        Command::new("ffprobe")
            .args(["-v", "error", "-show_entries", "packet=size,pos", "-of", "csv=p=0"])
            .arg(&path),
    );
    let mut bytes = fs::read(&path).unwrap();
    for line in packets.lines().skip(1) {
        let mut numbers = line.split(',').filter_map(|number| number.parse::<usize>().ok());
        let (size, position) = (numbers.next().unwrap(), numbers.next().unwrap());
        bytes[position..position + size].fill(0);
    }
    fs::write(&path, bytes).unwrap();
    let error = failure(&path);
    assert!(matches!(error, VideoError::Undecodable { frames: 1, packets: 50 }), "{error}");
}

fn missing_pictures_and_further_pages_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    ffmpeg(&pattern("10", "1"), &path("image_%03d.png"));
    assert_eq!(read(folder.path()).1.notes, []);
    fs::remove_file(path("image_004.png")).unwrap();
    fs::remove_file(path("image_005.png")).unwrap();
    let (frames, summary) = read(folder.path());
    let missing =
        Note::MissingPictures { count: 2, before: "image_003.png".into(), after: "image_006.png".into() };
    assert_eq!((frames, &summary.notes[..]), (8, &[missing][..]));

    let pages = path("pages.tif");
    ffmpeg("-f lavfi -i testsrc2=size=64x48:rate=1:duration=1 -compression_algo raw", &pages);
    let mut bytes = fs::read(&pages).unwrap();
    assert_eq!(read(&pages).1.notes, []);
    // The directory is repeated as that of a second page.
    assert_eq!(&bytes[..4], b"II*\0");
    let first = u32::from_le_bytes(bytes[4..8].try_into().unwrap()) as usize;
    let entries = u16::from_le_bytes(bytes[first..first + 2].try_into().unwrap()) as usize;
    let directory = bytes[first..first + 2 + 12 * entries + 4].to_vec();
    let second = u32::try_from(bytes.len()).unwrap();
    bytes[first + 2 + 12 * entries..][..4].copy_from_slice(&second.to_le_bytes());
    bytes.extend(directory);
    fs::write(&pages, bytes).unwrap();
    assert_eq!(read(&pages).1.notes, [Note::Pages { pages: 2 }]);
}

fn impossible_outputs_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::copy(case("fps1000.mp4"), path("a.mp4")).unwrap();
    fs::write(path("notes.txt"), "keep me").unwrap();
    let run = |arguments: &[&str]| {
        let done = Command::new(PROGRAM).current_dir(folder.path()).args(arguments).output().unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let (code, printed) = run(&["a.mp4", "-o", "notes.txt"]);
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("notes.txt is not a folder"), "{printed}");
    write_pose(&path("a.pose"), (160, 120), 1000.0, 50);
    fs::write(path("notes"), "keep me").unwrap();
    let (code, printed) = run(&["render", "a.mp4", "a.pose", "-o", "notes"]);
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("notes is not a folder"), "{printed}");
    let (code, printed) = run(&["render", "a.mp4", "a.pose", "--sheet", "sheet.jpg"]);
    assert_eq!(code, Some(2), "{printed}");
    assert!(printed.contains("a name ending in .png"), "{printed}");
    assert!(!path("sheet.jpg").exists());
}

/// The name of a test, its needs, and the test.
type Test = (&'static str, Vec<Need>, fn());

/// The tests of this file.
pub fn trials() -> Vec<Trial> {
    let ffmpeg = || vec![Need::Program("ffmpeg")];
    let tests: Vec<Test> = vec![
        ("frame_rates_follow_from_the_frames", vec![], frame_rates_follow_from_the_frames),
        (
            "constant_rates_stay_exact_in_every_container",
            ffmpeg(),
            constant_rates_stay_exact_in_every_container,
        ),
        ("pauses_in_an_avi_are_not_frames", ffmpeg(), pauses_in_an_avi_are_not_frames),
        ("telecine_is_detected_in_every_container", ffmpeg(), telecine_is_detected_in_every_container),
        (
            "a_given_frame_rate_overrides_the_measured_one",
            vec![],
            a_given_frame_rate_overrides_the_measured_one,
        ),
        (
            "the_program_writes_frame_rate_and_timestamps",
            vec![Need::Models],
            the_program_writes_frame_rate_and_timestamps,
        ),
        ("a_clock_jump_is_reported_and_removed", vec![], a_clock_jump_is_reported_and_removed),
        ("joined_recordings_are_continuous", ffmpeg(), joined_recordings_are_continuous),
        (
            "late_pictures_and_long_sound_cause_no_notes",
            ffmpeg(),
            late_pictures_and_long_sound_cause_no_notes,
        ),
        (
            "the_overlay_of_a_video_with_a_clock_jump_has_the_right_length",
            vec![],
            the_overlay_of_a_video_with_a_clock_jump_has_the_right_length,
        ),
        ("a_gif_of_any_rate_has_the_right_length", ffmpeg(), a_gif_of_any_rate_has_the_right_length),
        ("a_moving_track_is_preferred_to_a_still", vec![], a_moving_track_is_preferred_to_a_still),
        (
            "tracks_are_distinguished_in_every_container",
            ffmpeg(),
            tracks_are_distinguished_in_every_container,
        ),
        (
            "colours_match_opencv_and_pose_format",
            vec![Need::Program("ffmpeg"), Need::Python("cv2, simple_video_utils")],
            colours_match_opencv_and_pose_format,
        ),
        ("files_cannot_open_other_files", vec![], files_cannot_open_other_files),
        ("playlists_do_not_stop_a_run", vec![Need::Models], playlists_do_not_stop_a_run),
        ("file_names_are_not_patterns", ffmpeg(), file_names_are_not_patterns),
        ("unfinished_files_are_named", vec![], unfinished_files_are_named),
        ("a_cut_is_noticed_even_at_the_last_frame", ffmpeg(), a_cut_is_noticed_even_at_the_last_frame),
        (
            "frames_that_cannot_be_decoded_are_a_failure",
            vec![Need::Program("ffmpeg"), Need::Program("ffprobe")],
            frames_that_cannot_be_decoded_are_a_failure,
        ),
        (
            "missing_pictures_and_further_pages_are_reported",
            ffmpeg(),
            missing_pictures_and_further_pages_are_reported,
        ),
        ("impossible_outputs_are_explained", vec![], impossible_outputs_are_explained),
    ];
    tests.into_iter().map(|(name, needs, test)| trial(name, &needs, test)).collect()
}
