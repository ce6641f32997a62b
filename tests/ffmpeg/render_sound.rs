//! The sound of overlays: copied, or converted to what the container supports, at the same time as in the video.
#![allow(clippy::unwrap_used)] // A failed unwrap fails the test.

use crate::common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Need, bytes, output, repository, trial};
use oppose::pose::{FramePose, Pose, openpose_137};

const RATE: usize = 48_000;

/// Two seconds of stereo sound with a beep after the first second.
const BEEP: &str = "aevalsrc=if(between(t\\,1\\,1.05)\\,sin(2*PI*1000*t)\\,0):s=44100:d=2:c=stereo";

fn ffmpeg(arguments: &[&str]) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error"]).args(arguments);
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What ffprobe reports about the sound.
fn probe(path: &Path, entries: &str) -> String {
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "a", "-count_frames", "-show_entries", entries]);
    output(command.args(["-of", "csv=p=0"]).arg(path)).trim().to_owned()
}

/// When the beep begins and when the sound ends, in seconds from the first frame.
fn beep(path: &Path) -> (f64, f64) {
    let filter = format!("aresample=async=1:first_pts=0,aresample={RATE}");
    let sound = ["-i", text(path), "-map", "0:a", "-af", &filter, "-ac", "1", "-f", "f32le", "-"];
    let sound = bytes(&mut ffmpeg(&sound));
    let samples: Vec<f32> = sound.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let first = samples.iter().position(|sample| sample.abs() > 0.2).expect("a beep");
    let mut start = Command::new("ffprobe");
    start.args([
        "-v",
        "error",
        "-select_streams",
        "v",
        "-show_entries",
        "stream=start_time",
        "-of",
        "csv=p=0",
    ]);
    let start: f64 = output(start.arg(path)).trim().parse().unwrap();
    (first as f64 / RATE as f64 - start, samples.len() as f64 / RATE as f64 - start)
}

fn render(clip: &Path, frames: usize, target: &Path) {
    let pose = target.with_extension("pose");
    let nobody = vec![FramePose::new(0, 137, 2); frames];
    let nobody = Pose::from_frames(openpose_137(), 320, 240, 25.0, &nobody).unwrap();
    fs::write(&pose, nobody.to_bytes().unwrap()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_oppose-native"));
    output(command.args(["render", text(clip), text(&pose), "-o", text(target)]));
}

fn sound_that_the_container_supports_is_copied() {
    let folder = tempfile::tempdir().unwrap();
    let clip = repository("tests/clips/audio_first.mp4");
    let target = folder.path().join("a.mp4");
    render(&clip, 50, &target);
    let facts = "stream=codec_name,nb_read_frames";
    assert_eq!(probe(&target, facts), probe(&clip, facts));
}

fn other_sound_is_converted() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let pictures = ["-f", "lavfi", "-i", "testsrc=s=320x240:d=2:r=25", "-f", "lavfi", "-i", BEEP];
    // Sound that begins late, has a gap, or has six channels.
    let late = ["-c:a", "pcm_s16le", "-af", "atrim=start=0.5"];
    let gap = ["-c:a", "pcm_s16le", "-af", "aselect=lt(t\\,0.5)+gt(t\\,0.9)"];
    let six = ["-c:a", "flac", "-af", "pan=5.1|c0=c0|c1=c1|c2=c0|c3=c0|c4=c0|c5=c0"];
    let clips: [(&str, &[&str]); 6] = [
        ("pcm.avi", &["-c:a", "pcm_s16le"]),
        ("mp2.mpg", &["-c:v", "mpeg2video", "-c:a", "mp2"]),
        ("mono.avi", &["-c:a", "adpcm_ms", "-ac", "1", "-ar", "22050"]),
        ("late.mkv", &late),
        ("gap.mkv", &gap),
        ("six.mkv", &six),
    ];
    for (name, options) in clips {
        let clip = at(name);
        output(ffmpeg(&pictures).args(["-c:v", "mjpeg"]).args(options).arg(&clip));
        for (suffix, codec) in [("mp4", "aac"), ("webm", "opus")] {
            let target = at(&format!("{name}.{suffix}"));
            render(&clip, 50, &target);
            let channels = if name == "mono.avi" { 1 } else { 2 };
            assert_eq!(
                probe(&target, "stream=codec_name,sample_rate,channels"),
                format!("{codec},48000,{channels}"),
                "{name} as {suffix}"
            );
            let (begins, ends) = beep(&target);
            println!("{name} as {suffix}: {begins:.4} s, ends at {ends:.4} s");
            // Opus has a pre-skip of 6.5 ms, which FFmpeg counts twice if the sound begins late.
            assert!((begins - 1.0).abs() < 0.01, "{name} as {suffix}: the beep is at {begins} s");
            assert!((1.9..2.1).contains(&ends), "{name} as {suffix}: it ends at {ends} s");
        }
    }
}

pub fn trials() -> Vec<libtest_mimic::Trial> {
    let needs = [Need::Program("ffmpeg"), Need::Program("ffprobe")];
    vec![
        trial(
            "sound_that_the_container_supports_is_copied",
            &needs,
            sound_that_the_container_supports_is_copied,
        ),
        trial("other_sound_is_converted", &needs, other_sound_is_converted),
    ]
}
