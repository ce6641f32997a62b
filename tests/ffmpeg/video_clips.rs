//! Decoding of clips that contain one pitfall each, and of files that are not videos.
//!
//! The clips were generated. The expected values were found by decoding to the end with ffprobe, OpenCV and a decoder
//! on top of FFmpeg, which agreed.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Need, bytes, output, repository, trial};
use oppose::Chain;
use oppose::video::{self, Options, Rotate, Source, SourceError, VideoError};

/// Name, frames, frames per second, width, height.
type Clip = (&'static str, u64, &'static str, u32, u32);

const CLIPS: [Clip; 22] = [
    ("audio_first.mp4", 50, "25", 320, 240),
    ("crop_322x242.mp4", 25, "25", 322, 242),
    ("editlist_cut.mp4", 45, "30000/1001", 320, 240),
    ("h264_25.mkv", 50, "25", 320, 240),
    ("h264_25.mp4", 50, "25", 320, 240),
    ("h264_25.ts", 50, "25", 320, 240),
    ("h264_2997_bframes.mp4", 60, "30000/1001", 320, 240),
    ("hevc_10bit_30.mp4", 60, "30", 320, 240),
    ("hevc_30.mp4", 60, "30", 320, 240),
    ("mjpeg_25.avi", 50, "25", 320, 240),
    ("mpeg2_25.vob", 50, "25", 320, 240),
    ("mpeg2_2997.mpg", 60, "30000/1001", 640, 480),
    ("mpeg2_pal_interlaced_sar.mpg", 50, "25", 720, 576),
    ("odd_420.avi", 25, "25", 321, 241),
    ("odd_420.webm", 25, "25", 321, 241),
    ("odd_444.mp4", 25, "25", 321, 241),
    ("rot180.mp4", 30, "30", 320, 240),
    ("rot270.mp4", 30, "30", 240, 320),
    ("rot90.mp4", 30, "30", 240, 320),
    ("truncated.ts", 29, "25", 320, 240),
    ("vfr.mp4", 50, "375/22", 320, 240),
    ("vp9_30.webm", 60, "30", 320, 240),
];

fn clip(name: &str) -> PathBuf {
    repository("tests/clips").join(name)
}

fn open(path: &Path) -> Result<Box<dyn Source>, VideoError> {
    video::open(path, &Options::default())
}

/// The message of the error when this file is read to its end.
fn failure(path: &Path) -> String {
    let read = || -> Result<(), SourceError> {
        let mut video = open(path)?;
        while video.next_frame()?.is_some() {}
        Ok(())
    };
    Chain(&*read().expect_err("this file cannot be read to its end")).to_string()
}

/// All pixels of a video, and its size.
fn pixels(path: &Path, rotate: Rotate) -> (Vec<u8>, u32, u32) {
    let mut video = video::open(path, &Options::default().with_rotate(rotate)).unwrap();
    let mut pixels = Vec::new();
    while let Some(frame) = video.next_frame().unwrap() {
        pixels.extend_from_slice(frame.pixels());
    }
    (pixels, video.info().width, video.info().height)
}

/// All pixels as the program ffmpeg decodes them.
fn ffmpeg_pixels(path: &Path, options: &[&str]) -> Vec<u8> {
    let input = ["-v", "error", "-i"].iter().map(AsRef::as_ref).chain([path.as_os_str()]);
    let target = ["-map", "0:v:0", "-vsync", "passthrough", "-pix_fmt", "bgr24", "-f", "rawvideo", "-"];
    bytes(Command::new("ffmpeg").args(input).args(options).args(target))
}

fn ffmpeg(arguments: &[&str], target: &Path) {
    output(Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(target));
}

/// Two seconds of a moving pattern at 25 frames per second.
const PATTERN: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25:duration=2"];

fn every_clip_decodes_as_in_the_table() {
    for (name, frames, rate, width, height) in CLIPS {
        let mut video = open(&clip(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let info = video.info().clone();
        assert_eq!((info.width, info.height), (width, height), "{name}");
        assert_eq!(info.frame_rate.to_string(), rate, "{name}");
        let (mut count, mut last) = (0, None);
        while let Some(frame) = video.next_frame().unwrap_or_else(|error| panic!("{name}: {error}")) {
            assert_eq!((frame.index(), frame.width(), frame.height()), (count, width, height), "{name}");
            assert!(frame.timestamp() > last, "{name}: frame {count} is not later than the previous one");
            last = frame.timestamp();
            count += 1;
        }
        assert_eq!(count, frames, "{name}");
        assert_eq!(video.summary().frames, frames, "{name}");
        assert!(video.next_frame().unwrap().is_none(), "{name}: a frame after the end");
        let first = open(&clip(name)).unwrap().next_frame().unwrap().unwrap();
        assert_eq!(first.timestamp(), Some(Duration::ZERO), "{name}: timestamps start at the first frame");
    }
}

fn a_variable_rate_is_noticed() {
    for (name, ..) in CLIPS {
        let mut video = open(&clip(name)).unwrap();
        while video.next_frame().unwrap().is_some() {}
        // The cut in truncated.ts leaves a gap in time.
        let expected = ["vfr.mp4", "truncated.ts"].contains(&name);
        assert_eq!(video.summary().variable_rate.is_some(), expected, "{name}");
    }
}

fn pixels_match_the_program_ffmpeg() {
    // Deep video is converted as in FFmpeg 8, which may not be the installed version: tests/originals compares it with PyAV.
    for (name, ..) in CLIPS.into_iter().filter(|(name, ..)| !name.contains("10bit")) {
        let ours = pixels(&clip(name), Rotate::Auto).0;
        assert!(ours == ffmpeg_pixels(&clip(name), &[]), "{name}");
    }
}

fn bt709_and_full_range_are_honoured() {
    let folder = tempfile::tempdir().unwrap();
    for (space, range) in [("bt709", "tv"), ("bt709", "pc"), ("smpte170m", "pc"), ("bt2020nc", "tv")] {
        let path = folder.path().join("colours.mp4");
        let tags = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-colorspace", space, "-color_range", range];
        ffmpeg(&[&PATTERN[..], &tags].concat(), &path);
        assert!(pixels(&path, Rotate::Auto).0 == ffmpeg_pixels(&path, &[]), "{space} {range}");
    }
}

/// All pixels of a video whose frames were kept in planes if possible, and the number of frames that were.
fn pixels_of_planes(path: &Path) -> (Vec<u8>, usize) {
    let mut video = video::open(path, &Options::default().with_keep_planes(true)).unwrap();
    let (mut pixels, mut in_planes) = (Vec::new(), 0);
    while let Some(frame) = video.next_frame().unwrap() {
        in_planes += usize::from(frame.planes().is_some());
        pixels.extend_from_slice(frame.pixels());
    }
    (pixels, in_planes)
}

/// On other architectures the last bit may differ, because libswscale computes it differently there.
const HAS_VECTOR_CODE: bool = cfg!(target_arch = "x86_64");

fn frames_kept_in_planes_have_the_same_pixels() {
    let close = |a: &[u8], b: &[u8]| {
        let limit = if HAS_VECTOR_CODE { 0 } else { 3 };
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= limit)
    };
    let mut in_planes = 0;
    for (name, frames, ..) in CLIPS {
        let (pixels_of_planes, count) = pixels_of_planes(&clip(name));
        assert!(close(&pixels_of_planes, &pixels(&clip(name), Rotate::Auto).0), "{name}");
        // Rotated frames, and those with an odd height, 10 bits or more chroma, are converted at once.
        let is_other = ["rot", "odd", "hevc_10bit", "mjpeg"].iter().any(|part| name.starts_with(part));
        assert!(count == frames as usize || is_other && count == 0, "{name}: {count} of {frames}");
        in_planes += count;
    }
    assert!(in_planes > 500, "{in_planes}");
    let folder = tempfile::tempdir().unwrap();
    for (space, range) in
        [("bt709", "tv"), ("bt709", "pc"), ("smpte170m", "pc"), ("bt2020nc", "tv"), ("fcc", "tv")]
    {
        let path = folder.path().join("colours.mkv");
        let tags = ["-c:v", "ffv1", "-pix_fmt", "yuv420p", "-colorspace", space, "-color_range", range];
        // With all values of luma and chroma, and an odd width.
        let noise = [
            "-f",
            "lavfi",
            "-i",
            "color=size=323x242:rate=5:duration=1,format=yuv420p,geq=lum='random(1)*256':cb='random(2)*256':cr='random(3)*256'",
        ];
        ffmpeg(&[&noise[..], &tags].concat(), &path);
        let (pixels_of_planes, count) = pixels_of_planes(&path);
        assert_eq!(count, 5, "{space} {range}");
        assert!(close(&pixels_of_planes, &pixels(&path, Rotate::Auto).0), "{space} {range}");
    }
}

fn requested_rotations_are_applied() {
    let path = clip("h264_25.mp4");
    let turns = [
        (Rotate::None, "null"),
        (Rotate::Clockwise90, "transpose=clock"),
        (Rotate::Half, "hflip,vflip"),
        (Rotate::Clockwise270, "transpose=cclock"),
    ];
    for (rotate, filter) in turns {
        // The filter rotates frames that are already BGR, so that both convert the same picture.
        let filter = format!("format=bgr24,{filter}");
        assert!(pixels(&path, rotate).0 == ffmpeg_pixels(&path, &["-vf", &filter]), "{rotate}");
    }
    let (_, width, height) = pixels(&clip("rot90.mp4"), Rotate::None);
    assert_eq!((width, height), (320, 240), "the size as stored");
}

/// The filters that turn the eight EXIF orientations upright, and the rows (a b) and (c d) of the equivalent display
/// matrices.
const ORIENTATIONS: [(&str, [i32; 4]); 8] = [
    ("null", [1, 0, 0, 1]),
    ("hflip", [-1, 0, 0, 1]),
    ("hflip,vflip", [-1, 0, 0, -1]),
    ("vflip", [1, 0, 0, -1]),
    ("transpose=cclock_flip", [0, 1, 1, 0]),
    ("transpose=clock", [0, 1, -1, 0]),
    ("transpose=clock_flip", [0, -1, -1, 0]),
    ("transpose=cclock", [0, -1, 1, 0]),
];

fn every_display_matrix_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turned.mp4");
    let mut video = fs::read(clip("h264_25.mp4")).unwrap();
    // The matrix is 44 bytes after the name of the track's header, in 16.16 fixed point.
    let matrix = 44 + video.windows(4).position(|name| name == b"tkhd").unwrap();
    assert_eq!(video[matrix..matrix + 4], 65536_i32.to_be_bytes());
    for (filter, values) in ORIENTATIONS {
        for (value, place) in values.iter().zip([0, 4, 12, 16]) {
            video[matrix + place..][..4].copy_from_slice(&(value * 65536).to_be_bytes());
        }
        fs::write(&path, &video).unwrap();
        let filter = format!("format=bgr24,{filter}");
        let expected = ffmpeg_pixels(&clip("h264_25.mp4"), &["-vf", &filter]);
        assert!(pixels(&path, Rotate::Auto).0 == expected, "{filter}");
    }
}

fn every_exif_orientation_is_applied() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, turned) = (folder.path().join("plain.jpg"), folder.path().join("turned.jpg"));
    ffmpeg(&[&PATTERN[..], &["-frames:v", "1"]].concat(), &plain);
    let picture = fs::read(&plain).unwrap();
    for (orientation, (filter, _)) in (1_u8..).zip(ORIENTATIONS) {
        // After the picture's first marker, one of 34 bytes: a TIFF header, and a directory with one short
        // value, tag 0x112.
        let mut exif = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0, 0]);
        fs::write(&turned, [&picture[..2], &exif, &picture[2..]].concat()).unwrap();
        let filter = format!("format=bgr24,{filter}");
        let expected = ffmpeg_pixels(&plain, &["-vf", &filter]);
        assert!(pixels(&turned, Rotate::Auto).0 == expected, "{filter}");
    }
}

fn pictures_come_in_natural_order() {
    let folder = tempfile::tempdir().unwrap();
    ffmpeg(&PATTERN, &folder.path().join("picture%d.png"));
    fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
    let options = Options::default().with_frame_rate("30000/1001".parse::<video::FrameRate>().unwrap());
    let mut video = video::open(folder.path(), &options).unwrap();
    assert_eq!(video.info().announced_frames, Some(50));
    assert_eq!(video.info().frame_rate.to_string(), "30000/1001");
    let mut ours = Vec::new();
    while let Some(frame) = video.next_frame().unwrap() {
        ours.extend_from_slice(frame.pixels());
    }
    // 10 comes after 9, not after 1.
    assert!(
        ours == bytes(Command::new("ffmpeg").args(["-v", "error"]).args(PATTERN).args([
            "-pix_fmt",
            "rgb24",
            "-f",
            "image2pipe",
            "-c:v",
            "ppm",
            "-"
        ]))
        .chunks_exact(15 + 320 * 240 * 3)
        .flat_map(|ppm| swap(&ppm[15..]))
        .collect::<Vec<u8>>()
    );

    let single = folder.path().join("picture10.png");
    let mut video = video::open(&single, &options).unwrap();
    assert_eq!(video.info().frame_rate.to_string(), "30000/1001");
    assert!(video.next_frame().unwrap().is_some());
    assert!(video.next_frame().unwrap().is_none(), "a picture has one frame");
}

/// From red, green, blue to blue, green, red.
fn swap(rgb: &[u8]) -> Vec<u8> {
    rgb.chunks_exact(3).flat_map(|pixel| [pixel[2], pixel[1], pixel[0]]).collect()
}

fn files_that_are_not_videos_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(failure(&path("absent.mp4")).contains("does not exist"));
    fs::write(path("empty.mp4"), "").unwrap();
    assert!(failure(&path("empty.mp4")).contains("empty (0 bytes)"));
    fs::write(path("text.mp4"), "no video at all\n".repeat(100)).unwrap();
    assert!(
        failure(&path("text.mp4"))
            .contains("not recognised (is it a video, and complete?): Invalid data found")
    );
    fs::create_dir(path("folder")).unwrap();
    assert!(failure(&path("folder")).contains("no videos or pictures"));
}

fn sound_alone_is_not_a_video() {
    let folder = tempfile::tempdir().unwrap();
    let sound = folder.path().join("sound.m4a");
    ffmpeg(&["-f", "lavfi", "-i", "sine=duration=1"], &sound);
    assert!(failure(&sound).contains("found only audio"), "{}", failure(&sound));
    // Cover art is a video stream in name only.
    let (cover, song) = (folder.path().join("cover.png"), folder.path().join("song.m4a"));
    ffmpeg(&["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=1:duration=1"], &cover);
    let (sound, cover) = (sound.to_str().unwrap(), cover.to_str().unwrap());
    let map = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic"];
    ffmpeg(&[&["-i", sound, "-i", cover], &map[..]].concat(), &song);
    assert!(failure(&song).contains("a cover picture"), "{}", failure(&song));
}

fn a_change_of_size_ends_the_video() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let raw = ["-c:v", "libx264", "-bsf:v", "h264_mp4toannexb", "-f", "mpegts"];
    ffmpeg(&[&PATTERN[..], &raw].concat(), &path("a.ts"));
    ffmpeg(&[&PATTERN[..], &["-vf", "scale=160:120"], &raw].concat(), &path("b.ts"));
    let both = [fs::read(path("a.ts")).unwrap(), fs::read(path("b.ts")).unwrap()].concat();
    fs::write(path("both.ts"), both).unwrap();
    let message = failure(&path("both.ts"));
    assert!(message.contains("frame 50 is 160x120 pixels, those before it 320x240"), "{message}");
}

fn sizes_have_limits() {
    let folder = tempfile::tempdir().unwrap();
    let make = |size: &str| {
        let path = folder.path().join(format!("{size}.png"));
        ffmpeg(&["-f", "lavfi", "-i", &format!("color=size={size}:rate=1:duration=1")], &path);
        path
    };
    let dot = folder.path().join("1x1.ppm");
    fs::write(&dot, b"P6\n1 1\n255\n\x01\x02\x03").unwrap();
    assert!(failure(&dot).contains("frames are 1x1 pixels; each side must be 16 to 65535"));
    let mut wide = open(&make("20000x100")).unwrap();
    assert_eq!(wide.next_frame().unwrap().unwrap().width(), 20000);
    assert!(failure(&make("20000x4000")).contains("area at most 67108864"));
}

fn a_cut_off_file_keeps_its_frames_and_says_so() {
    cut_off("cut.mp4", &["-c:v", "libx264", "-movflags", "+faststart"]);
    cut_off("cut.avi", &["-c:v", "mjpeg"]);
    // These have no index; their headers state the duration.
    cut_off("cut.mkv", &["-c:v", "libx264"]);
    cut_off("cut.flv", &["-c:v", "libx264"]);
    cut_off("cut.mov", &["-c:v", "libx264", "-movflags", "+empty_moov+frag_keyframe"]);
}

fn cut_off(name: &str, options: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    ffmpeg(&[&PATTERN[..], options].concat(), &path);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let mut video = open(&path).unwrap();
    let mut frames = 0;
    let error = loop {
        match video.next_frame() {
            Ok(Some(_)) => frames += 1,
            Ok(None) => panic!("{frames} frames were taken for the whole video"),
            Err(error) => break error,
        }
    };
    assert!((1..50).contains(&frames), "{frames} frames");
    let Some(&VideoError::Truncated { frames: held, announced }) = error.downcast_ref() else {
        panic!("{name}: {error}")
    };
    // If the header states only the duration, the number of frames is derived from it.
    assert!(held == frames && (50..=53).contains(&announced), "{name}: {error}");
}

fn longer_sound_or_subtitles_are_not_a_cut() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.srt");
    fs::write(&text, "1\n00:00:00,000 --> 00:00:09,000\nlonger than the pictures\n").unwrap();
    let text = text.to_str().unwrap();
    let sound = ["-f", "lavfi", "-i", "sine=duration=4"];
    for (name, options) in [
        ("sound.mp4", &sound[..]),
        ("sound.mkv", &sound),
        ("sound.flv", &sound),
        ("sound.avi", &sound),
        ("text.mkv", &["-i", text]),
    ] {
        let path = folder.path().join(name);
        ffmpeg(&[&PATTERN[..], options].concat(), &path);
        let mut video = open(&path).unwrap();
        for _ in 0..50 {
            assert!(video.next_frame().unwrap().is_some(), "{name}");
        }
        assert!(video.next_frame().unwrap().is_none(), "{name}");
    }
}

fn concealed_errors_count_as_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, path) = (folder.path().join("plain.mkv"), folder.path().join("garbled.mkv"));
    ffmpeg(&[&PATTERN[..], &["-c:v", "libx264", "-threads", "1"]].concat(), &plain);
    let damage = || {
        // With several threads, FFmpeg may notice damage long after it has delivered the frame.
        let mut video = video::open(&path, &Options::default().with_threads(1)).unwrap();
        while let Ok(Some(_)) = video.next_frame() {}
        video.summary().damaged_packets
    };
    let mut bytes = fs::read(&plain).unwrap();
    fs::write(&path, &bytes).unwrap();
    assert_eq!(damage(), 0);
    let middle = bytes.len() / 2;
    for byte in bytes[middle..].iter_mut().step_by(997).take(20) {
        *byte ^= 0x10;
    }
    fs::write(&path, &bytes).unwrap();
    assert!(damage() > 0);
}

fn cut_and_garbled_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["h264_25.mp4", "vp9_30.webm", "truncated.ts", "mjpeg_25.avi", "rot90.mp4"] {
        let whole = fs::read(clip(name)).unwrap();
        let path = folder.path().join(name);
        let read = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            // There may be frames or errors, but no panic.
            if let Ok(mut video) = open(&path) {
                while let Ok(Some(_)) = video.next_frame() {}
            }
        };
        for part in 0..12 {
            read(&whole[..whole.len() * part / 12]);
            let mut garbled = whole.clone();
            let mut state = 0x2545_f491_4f6c_dd1d_u64 ^ part as u64;
            for _ in 0..1 + part * 40 {
                // xorshift: the same damage in every run.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let place = state as usize % garbled.len();
                garbled[place] = (state >> 40) as u8;
            }
            read(&garbled);
        }
    }
}

/// Set for this program's child process that reads standard input.
const READ_STDIN: &str = "OPPOSE_TEST_READ_STDIN";

/// Whether this process is the child that reads standard input, rather than the one that runs the tests.
pub fn is_reader() -> bool {
    env::var_os(READ_STDIN).is_some()
}

/// What that child does.
pub fn read_stdin() {
    print!("{}", describe_stdin());
}

/// Describes what standard input contains.
fn describe_stdin() -> String {
    let read = || -> Result<u64, SourceError> {
        let mut video = open(Path::new(video::STDIN))?;
        while video.next_frame()?.is_some() {}
        Ok(video.summary().frames)
    };
    read().map_or_else(|error| Chain(&*error).to_string(), |frames| format!("{frames} frames"))
}

fn a_pipe_is_decoded_or_explained() {
    let piped = |path: &Path| {
        let mut cat = Command::new("cat").arg(path).stdout(Stdio::piped()).spawn().unwrap();
        let mut command = Command::new(env::current_exe().unwrap());
        let printed = output(command.env(READ_STDIN, "1").stdin(cat.stdout.take().unwrap()));
        // It may end before it has written everything, which is not a failure here.
        cat.wait().unwrap();
        printed
    };
    assert_eq!(piped(&clip("h264_25.mkv")), "50 frames");
    assert_eq!(piped(&clip("h264_25.ts")), "50 frames");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // Too large for FFmpeg to buffer while it looks for the index.
    let large =
        ["-f", "lavfi", "-i", "testsrc2=size=640x480:rate=25:duration=2", "-c:v", "mpeg4", "-q:v", "1"];
    ffmpeg(&large, &path("index_last.mp4"));
    ffmpeg(&[&large[..], &["-movflags", "+faststart"]].concat(), &path("index_first.mp4"));
    assert_eq!(piped(&path("index_first.mp4")), "50 frames");
    let printed = piped(&path("index_last.mp4"));
    assert!(printed.contains("its index is at its end"), "{printed}");
}

fn a_pipe_is_read_to_its_end() {
    let own = env!("CARGO_BIN_EXE_oppose-native");
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("pipe.pose");
    let video = fs::File::open(clip("h264_25.mkv")).unwrap();
    let mut command = Command::new(own);
    command.args(["-", "-o"]).arg(&target).env("OPPOSE_MODELS", common::models()).stdin(video);
    bytes(&mut command);
    assert_eq!(oppose::pose::Pose::read_file(&target).unwrap().frames(), 50);
}

/// The name of a test, its needs, and the test.
type Test = (&'static str, Vec<Need>, fn());

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let ffmpeg = || vec![Need::Program("ffmpeg")];
    let tests: Vec<Test> = vec![
        ("every_clip_decodes_as_in_the_table", vec![], every_clip_decodes_as_in_the_table),
        ("a_variable_rate_is_noticed", vec![], a_variable_rate_is_noticed),
        ("pixels_match_the_program_ffmpeg", ffmpeg(), pixels_match_the_program_ffmpeg),
        ("bt709_and_full_range_are_honoured", ffmpeg(), bt709_and_full_range_are_honoured),
        ("frames_kept_in_planes_have_the_same_pixels", ffmpeg(), frames_kept_in_planes_have_the_same_pixels),
        ("requested_rotations_are_applied", ffmpeg(), requested_rotations_are_applied),
        ("every_display_matrix_is_applied", ffmpeg(), every_display_matrix_is_applied),
        ("every_exif_orientation_is_applied", ffmpeg(), every_exif_orientation_is_applied),
        ("pictures_come_in_natural_order", ffmpeg(), pictures_come_in_natural_order),
        ("files_that_are_not_videos_are_explained", vec![], files_that_are_not_videos_are_explained),
        ("sound_alone_is_not_a_video", ffmpeg(), sound_alone_is_not_a_video),
        ("a_change_of_size_ends_the_video", ffmpeg(), a_change_of_size_ends_the_video),
        ("sizes_have_limits", ffmpeg(), sizes_have_limits),
        (
            "a_cut_off_file_keeps_its_frames_and_says_so",
            ffmpeg(),
            a_cut_off_file_keeps_its_frames_and_says_so,
        ),
        ("longer_sound_or_subtitles_are_not_a_cut", ffmpeg(), longer_sound_or_subtitles_are_not_a_cut),
        ("concealed_errors_count_as_damage", ffmpeg(), concealed_errors_count_as_damage),
        ("a_pipe_is_decoded_or_explained", ffmpeg(), a_pipe_is_decoded_or_explained),
        ("cut_and_garbled_files_never_panic", vec![], cut_and_garbled_files_never_panic),
        ("a_pipe_is_read_to_its_end", vec![Need::Models], a_pipe_is_read_to_its_end),
    ];
    tests.into_iter().map(|(name, needs, test)| trial(name, &needs, test)).collect()
}
