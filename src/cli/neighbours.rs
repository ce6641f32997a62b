//! Options as OpenPose's own program and pose-format's scripts spell them.
//!
//! People who come from there type what has always worked. Before the parser sees the arguments, such options become ours
//! where they mean the same, vanish where they ask for what is done anyway, and are answered with a sentence where there
//! is no such thing here. The parser itself would only find the option of ours that is spelled most like it.
//!
//! Spellings are those of OpenPose's parser, gflags: one dash or two, `=` or a space before the value, `no` before the
//! name of a switch; dashes count as underscores. An option that the parser knows is never touched, but for the few
//! [`OWN`] ones that have a value more.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::Command;

use super::{engine_process, workers};

/// What an option of another program becomes here.
enum Meaning {
    /// Its value is a video or a folder to process.
    Input,
    /// A switch that becomes our switch of this name.
    Switch(&'static str),
    /// A switch that is always on here; when it is off, our switch of this name.
    On(&'static str),
    /// It does not change the keypoints: it is dropped, with its value if it has one.
    Nothing(Takes),
    /// One of these values is the normal behaviour; for others there is a message.
    Only(&'static [&'static str], &'static str),
    /// A switch that has no counterpart here, unless it is off.
    No(&'static str),
    /// pose-format's estimator.
    Format,
    /// Workers: 0 means one per processor in pose-format, which is what happens without the option.
    Workers,
    /// A device, which others call gpu.
    Device,
    /// How many GPUs, and the first of them.
    GpuCount,
    FirstGpu,
}

/// Whether something follows a name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Value,
    Nothing,
}

impl Meaning {
    fn takes(&self) -> Takes {
        match self {
            Self::Nothing(takes) => *takes,
            Self::Switch(_) | Self::On(_) | Self::No(_) => Takes::Nothing,
            _ => Takes::Value,
        }
    }
}

/// Our options whose values other programs spell differently.
const OWN: &[&str] = &["workers", "device"];

const CUT: &str =
    "every frame is processed; cut the video first (ffmpeg -ss … -t …), or the .pose file afterwards";
const VIEWS: &str = "3D reconstruction from several cameras is not supported";
const CAMERA: &str = "cameras are not supported; record to a file, or pipe the video in: `ffmpeg … -f matroska - | oppose-native - -o \
                      NAME.pose`";
const HEAT: &str = "heat maps are not written; a .pose file holds the keypoints and their confidences";
const KEYPOINTS: &str = "the keypoints are in the .pose file; `oppose-native convert {name}.pose -o FOLDER` makes \
                         OpenPose's JSON of them, `-o FILE.csv` a table";
const DRAW: &str = "`oppose-native {video} --render` draws the people over the video, beside {name}.pose";
const MODELS: &str = "--model-folder names the folder with OpenPose's models, as OpenPose itself lays it out";
const TRACK: &str = "--track keeps each person in the same row through a video";
const NEWER: &str =
    "this option is from OpenPose 1.6 or later; frames are scaled as in OpenPose 1.5.1, by --net-resolution";

/// Names, with underscores and in lower case, and their meanings. An empty value of one of OpenPose's options means
/// the same as leaving the option out.
#[rustfmt::skip]
const TABLE: &[(&[&str], Meaning)] = &[
    // Input.
    (&["video", "image_dir", "i", "input", "d", "directory"], Meaning::Input),
    (&["camera"], Meaning::Only(&["-1"], CAMERA)),
    (&["ip_camera", "flir_camera_index"], Meaning::Only(&["-1"], CAMERA)),
    (&["camera_resolution", "camera_fps"], Meaning::Nothing(Takes::Value)),
    (&["flir_camera"], Meaning::No(CAMERA)),
    (&["camera_parameter_path", "camera_parameter_folder"], Meaning::Nothing(Takes::Value)),
    (&["frame_keep_distortion"], Meaning::Nothing(Takes::Nothing)),
    (&["frame_undistort"], Meaning::No("lens distortion is not corrected; undistort the video first")),
    (&["frame_first"], Meaning::Only(&["0"], CUT)),
    (&["frame_last"], Meaning::Only(&["-1"], CUT)),
    (&["frame_step"], Meaning::Only(&["1"], "every frame is processed, so that the .pose file has one for each frame of the video")),
    (&["frame_rotate"], Meaning::Only(&["0", "0.0"],
        "--rotate 90, 180 or 270 turns the frames clockwise; without it they are turned as the video says")),
    (&["frame_flip"], Meaning::No("frames are not mirrored; mirror the video first (ffmpeg -vf hflip)")),
    (&["frames_repeat"], Meaning::No("a video is processed once")),
    (&["process_real_time"], Meaning::No("every frame is processed, however long it takes; none is dropped")),
    (&["fps_max"], Meaning::Only(&["-1", "-1.0"],
        "the speed is not limited, and the result would not change if it were; leave the option out (--fps sets the frame rate)")),
    // Estimators.
    (&["format", "f", "type"], Meaning::Format),
    (&["model_pose"], Meaning::Only(&["BODY_25"], "only OpenPose's model BODY_25 is supported; leave the option out to use it")),
    (&["prototxt_path", "caffemodel_path"], Meaning::Only(&[], MODELS)),
    (&["upsampling_ratio"], Meaning::Only(&["0", "0.0"], "heat maps always have the size that OpenPose gives them by default")),
    (&["net_resolution_dynamic"], Meaning::Only(&["0", "-1"], NEWER)),
    (&["body"], Meaning::Only(&["1"], "bodies are always detected, and faces and hands around them")),
    (&["face"], Meaning::On("no-face")),
    (&["hand"], Meaning::On("no-hand")),
    (&["face_detector", "hand_detector"], Meaning::Only(&["0"], "faces and hands are always located from the body; leave the option out")),
    (&["hand_tracking"], Meaning::No("hands are detected in each frame independently")),
    (&["tracking"], Meaning::Only(&["-1"], TRACK)),
    (&["identification"], Meaning::No(TRACK)),
    (&["ik_threads"], Meaning::Only(&["0"], VIEWS)),
    (&["3d"], Meaning::No(VIEWS)),
    (&["3d_views", "3d_min_views"], Meaning::Only(&["1", "-1"], VIEWS)),
    (&["part_candidates"], Meaning::No("candidates that were not assembled into people are not kept; a .pose file holds people only")),
    (&["heatmaps_add_parts", "heatmaps_add_bkg", "heatmaps_add_pafs"], Meaning::No(HEAT)),
    (&["heatmaps_scale"], Meaning::Nothing(Takes::Value)),
    (&["num_gpu"], Meaning::GpuCount),
    (&["num_gpu_start"], Meaning::FirstGpu),
    (&["device"], Meaning::Device),
    (&["workers", "num_workers"], Meaning::Workers),
    // Output.
    (&["keep_video_suffixes"], Meaning::Switch("keep-suffix")),
    (&["write_json", "write_keypoint_json"], Meaning::Only(&[],
        "a .pose file is written: `oppose-native {video} -o {name}.pose`, and then \
         `oppose-native convert {name}.pose -o {value}` makes OpenPose's JSON of it")),
    (&["write_keypoint", "write_bvh"], Meaning::Only(&[], KEYPOINTS)),
    (&["write_coco_json", "write_coco_foot_json"], Meaning::Only(&[], KEYPOINTS)),
    (&["write_coco_json_variants", "write_coco_json_variant", "write_keypoint_format"], Meaning::Nothing(Takes::Value)),
    (&["write_heatmaps"], Meaning::Only(&[], HEAT)),
    (&["write_heatmaps_format", "write_images_format", "write_video_fps"], Meaning::Nothing(Takes::Value)),
    (&["write_video"], Meaning::Only(&[],
        "the people are drawn afterwards: `oppose-native render {video} {name}.pose -o {value}`, or at once, \
         beside {name}.pose, with --render")),
    (&["write_images"], Meaning::Only(&[],
        "the people are drawn afterwards: `oppose-native render {video} {name}.pose -o {value}` writes a folder of PNG \
         pictures")),
    (&["write_video_with_audio"], Meaning::Nothing(Takes::Nothing)),
    (&["write_video_3d", "write_video_adam"], Meaning::Only(&[], VIEWS)),
    (&["udp_host"], Meaning::Only(&[], "nothing is sent over the network")),
    (&["udp_port"], Meaning::Nothing(Takes::Value)),
    (&["slurm"], Meaning::No("`oppose-native slurm submit FOLDER OUTPUT` shares a folder out over a cluster; --jobs is \
         the number of tasks")),
    (&["chunks"], Meaning::Only(&[], "`oppose-native slurm submit FOLDER OUTPUT --chunks {value}` shares a folder out over a \
         cluster")),
    // What OpenPose shows.
    (&["display"], Meaning::Only(&["0", "-1"], "there is no window; `oppose-native {video} --render` draws the people over \
         the video, beside {name}.pose")),
    (&["render_pose", "face_render", "hand_render"], Meaning::Only(&["0", "-1"], DRAW)),
    (&["disable_blending", "fullscreen", "no_gui_verbose", "no_display"], Meaning::Nothing(Takes::Nothing)),
    (&["part_to_show", "alpha_pose", "alpha_heatmap", "face_alpha_pose", "face_alpha_heatmap", "hand_alpha_pose",
       "hand_alpha_heatmap", "render_threshold", "face_render_threshold", "hand_render_threshold", "output_resolution", "resolution"],
        Meaning::Nothing(Takes::Value)),
    (&["logging_level", "cli_verbose", "profile_speed"], Meaning::Nothing(Takes::Value)),
    (&["disable_multi_thread"], Meaning::Nothing(Takes::Nothing)),
];

/// The arguments, the program's name first, in the parser's spelling; or one sentence for each that has no
/// equivalent.
pub fn translate(
    arguments: impl IntoIterator<Item = OsString>,
    command: &Command,
) -> Result<Vec<OsString>, Vec<String>> {
    let mut arguments = arguments.into_iter();
    let mut translated: Vec<OsString> = arguments.next().into_iter().collect();
    let mut rest: Vec<OsString> = arguments.collect();
    let subcommand = rest.first().and_then(|first| command.find_subcommand(first));
    match subcommand.map(Command::get_name) {
        None => {}
        // Both are given the arguments of the process that started them.
        Some(workers::NAME | engine_process::NAME) => translated.push(rest.remove(0)),
        Some("slurm") => {
            // Said here once rather than by every task.
            if let Some(at) = rest.iter().position(|argument| argument == "--") {
                Translation::new(command).all(&rest[at + 1..])?;
            }
            translated.extend(rest);
            return Ok(translated);
        }
        Some(_) => {
            translated.extend(name_inputs(rest, subcommand));
            return Ok(translated);
        }
    }
    translated.extend(Translation::new(command).all(&rest)?);
    Ok(translated)
}

/// `-i FILE`, as in pose-format's `visualize_pose` and `pose_info`, is a file to process; so is `--video FILE`,
/// before the others.
fn name_inputs(arguments: Vec<OsString>, command: Option<&Command>) -> Vec<OsString> {
    let known = command.map(known_names).unwrap_or_default();
    let mut inputs = Vec::new();
    let mut others = Vec::new();
    let mut arguments = arguments.into_iter();
    others.extend(arguments.next());
    while let Some(argument) = arguments.next() {
        let name = argument.to_str().unwrap_or_default();
        let is_input =
            |names: &[&str]| names.contains(&name) && !known.contains_key(name.trim_start_matches('-'));
        if is_input(&["--video", "-video"]) {
            inputs.splice(0..0, arguments.next());
        } else if is_input(&["-i", "--input"]) {
            inputs.extend(arguments.next());
        } else {
            others.push(argument);
        }
    }
    others.splice(1..1, inputs);
    others
}

/// Names that a command's parser accepts, long and short, without dashes, and whether a value follows them.
fn known_names(command: &Command) -> HashMap<String, Takes> {
    let mut known: HashMap<String, Takes> =
        ["help", "version", "h", "V"].map(|name| (name.to_owned(), Takes::Nothing)).into();
    for argument in command.get_arguments() {
        let takes = if argument.get_action().takes_values() { Takes::Value } else { Takes::Nothing };
        let long = argument.get_long().into_iter().chain(argument.get_all_aliases().into_iter().flatten());
        let names = long.map(str::to_owned).chain(argument.get_short().map(String::from));
        known.extend(names.map(|name| (name, takes)));
    }
    known
}

/// The arguments of the main job on their way to the parser.
struct Translation {
    known: HashMap<String, Takes>,
    table: HashMap<&'static str, &'static Meaning>,
    done: Vec<OsString>,
    sentences: Vec<(String, &'static str, String)>,
    inputs: Vec<OsString>,
    /// What pose-format's `--format` was.
    format: Option<Format>,
    /// Whether the input is that of pose-format's `video_to_pose`.
    is_video_to_pose: bool,
    gpus: Option<i64>,
    first_gpu: Option<i64>,
}

/// An estimator as pose-format's `--format` names it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    MediaPipe,
    OpenPose,
}

impl Format {
    fn named(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "mediapipe" | "holistic" => Some(Self::MediaPipe),
            "openpose" => Some(Self::OpenPose),
            _ => None,
        }
    }

    /// The engines that may be meant, the default first.
    fn engines(self) -> &'static [&'static str] {
        match self {
            Self::MediaPipe => &["holistic"],
            Self::OpenPose => &["native", "openpose"],
        }
    }
}

/// An option as it was typed.
struct Typed<'a> {
    /// With its dashes, without its value.
    whole: &'a str,
    name: &'a str,
    value: Option<&'a str>,
    dashes: usize,
}

impl<'a> Typed<'a> {
    fn of(argument: &'a OsStr) -> Option<Self> {
        let text = argument.to_str()?;
        let bare = text.strip_prefix('-')?;
        let bare = bare.strip_prefix('-').unwrap_or(bare);
        let (name, value) = bare.split_once('=').map_or((bare, None), |(name, value)| (name, Some(value)));
        let dashes = text.len() - bare.len();
        // `-1`, `-` and `--` are not options.
        let is_name = name.starts_with(|letter: char| letter.is_ascii_alphabetic()) || name.starts_with("3d");
        is_name.then(|| Self { whole: &text[..dashes + name.len()], name, value, dashes })
    }
}

impl Translation {
    fn new(command: &Command) -> Self {
        let table = TABLE.iter().flat_map(|(names, meaning)| names.iter().map(move |name| (*name, meaning)));
        Self {
            known: known_names(command),
            table: table.collect(),
            done: Vec::new(),
            sentences: Vec::new(),
            inputs: Vec::new(),
            format: None,
            is_video_to_pose: false,
            gpus: None,
            first_gpu: None,
        }
    }

    fn all(mut self, arguments: &[OsString]) -> Result<Vec<OsString>, Vec<String>> {
        let mut arguments = arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            if argument == "--" {
                self.done.push(argument.clone());
                self.done.extend(arguments.cloned());
                break;
            }
            let Some(typed) = Typed::of(argument) else {
                self.inputs.push(argument.clone());
                self.done.push(argument.clone());
                continue;
            };
            let mut next = || arguments.next_if(|next| !is_option(next)).cloned();
            if !self.one(&typed, &mut next) {
                self.done.push(argument.clone());
            }
            // The value of an option of ours is not a video.
            let is_ours = self
                .done
                .last()
                .is_some_and(|last| last.to_string_lossy().trim_start_matches('-') == typed.name);
            if is_ours && typed.value.is_none() && self.known.get(typed.name) == Some(&Takes::Value) {
                self.done.extend(arguments.next_if(|next| !is_option(next)).cloned());
            }
        }
        self.choose_gpus();
        self.choose_engine();
        self.replace_output();
        if self.sentences.is_empty() {
            return Ok(self.done);
        }
        let video = self.inputs.first().cloned().unwrap_or_else(|| "VIDEO".into());
        let name = Path::new(&video).file_stem().unwrap_or(OsStr::new("NAME")).to_string_lossy().into_owned();
        let say = |(option, sentence, value): (String, &str, String)| {
            let value = if value.is_empty() { "FOLDER".to_owned() } else { quoted(&value) };
            let sentence = sentence.replace("{video}", &quoted(&video.to_string_lossy()));
            let sentence = sentence.replace("{name}.pose", &quoted(&format!("{name}.pose")));
            format!("{option}: {}", sentence.replace("{value}", &value).replace("{name}", &name))
        };
        Err(self.sentences.into_iter().map(say).collect())
    }

    /// Translates one option; `false` if it is ours already, or unknown.
    fn one(&mut self, typed: &Typed<'_>, next: &mut dyn FnMut() -> Option<OsString>) -> bool {
        let name = typed.name.replace('-', "_").to_lowercase();
        let is_known = self.known.contains_key(typed.name);
        let meaning = self.table.get(name.as_str()).copied();
        match meaning {
            Some(meaning) if !is_known || OWN.contains(&name.as_str()) && typed.dashes == 2 => {
                self.apply(typed, meaning, true, next);
                return true;
            }
            _ if is_known && typed.dashes == 2 || typed.name.len() == 1 => return false,
            // -net_resolution, as gflags allows.
            _ if is_known => {
                let value = typed.value.map_or_else(String::new, |value| format!("={value}"));
                self.done.push(format!("--{}{value}", typed.name).into());
                return true;
            }
            _ => {}
        }
        // --nohand
        let positive = name.strip_prefix("no").and_then(|name| self.table.get(name).copied());
        match positive.filter(|meaning| meaning.takes() == Takes::Nothing && typed.value.is_none()) {
            Some(meaning) => {
                self.apply(typed, meaning, false, next);
                true
            }
            None => false,
        }
    }

    fn apply(
        &mut self,
        typed: &Typed<'_>,
        meaning: &'static Meaning,
        positive: bool,
        next: &mut dyn FnMut() -> Option<OsString>,
    ) {
        let mut say = |sentence: &'static str, value: String| {
            self.sentences.push((typed.whole.to_owned(), sentence, value));
        };
        if meaning.takes() == Takes::Nothing {
            let is_on = match typed.value.map(str::to_lowercase).as_deref() {
                None => positive,
                Some("true" | "t" | "yes" | "y" | "1") => true,
                Some("false" | "f" | "no" | "n" | "0") => false,
                Some(_) => return say("expected true or false", String::new()),
            };
            match (meaning, is_on) {
                (Meaning::Switch(ours), true) | (Meaning::On(ours), false) => {
                    self.done.push(format!("--{ours}").into());
                }
                (Meaning::No(sentence), true) => say(sentence, String::new()),
                _ => {}
            }
            return;
        }
        let Some(value) = typed.value.map(OsString::from).or_else(next) else {
            return say("expected a value after it", String::new());
        };
        let text = value.to_string_lossy().into_owned();
        match meaning {
            Meaning::Input if text.is_empty() => {}
            Meaning::Input => {
                self.is_video_to_pose |= typed.whole == "-i";
                self.inputs.push(value.clone());
                self.done.push(value);
            }
            Meaning::Only(values, sentence) => {
                if !text.is_empty() && !values.iter().any(|known| known.eq_ignore_ascii_case(&text)) {
                    say(sentence, text);
                }
            }
            Meaning::Format => match Format::named(&text) {
                Some(format) if self.format.is_none_or(|other| other == format) => self.format = Some(format),
                Some(_) => say("another estimator was named before; leave one of them out", text),
                None => say("expected mediapipe or openpose; --engine names the estimators", text),
            },
            Meaning::Workers if text == "0" => {}
            Meaning::Workers => self.own("workers", value),
            Meaning::Device if text.eq_ignore_ascii_case("gpu") => self.own("device", "cuda".into()),
            Meaning::Device => self.own("device", value),
            Meaning::GpuCount | Meaning::FirstGpu => match (text.parse(), meaning) {
                (Ok(count @ -1..=1024), Meaning::GpuCount) => self.gpus = Some(count),
                (Ok(first @ 0..=1024), Meaning::FirstGpu) => self.first_gpu = Some(first),
                _ => say("expected a number of GPUs; --gpus all or --gpus 0,2 names them", text),
            },
            Meaning::Switch(_) | Meaning::On(_) | Meaning::No(_) | Meaning::Nothing(_) => {}
        }
    }

    /// An option of ours.
    fn own(&mut self, name: &str, value: OsString) {
        self.done.push(format!("--{name}").into());
        self.done.push(value);
    }

    /// An option of ours that follows from everything that was typed. It goes first: after `--` it would be an
    /// input.
    fn own_first(&mut self, name: &str, value: Option<OsString>) {
        self.done.splice(0..0, [format!("--{name}").into()].into_iter().chain(value));
    }

    /// The value of an option of ours that was typed with its own name.
    fn typed_value(&self, names: &[&str]) -> Option<&OsStr> {
        let options = self.done.iter().take_while(|word| *word != "--");
        let mut following = self.done.iter().skip(1);
        options.zip(std::iter::from_fn(move || Some(following.next()))).find_map(|(word, next)| {
            let text = word.to_str()?;
            match text.split_once('=') {
                Some((name, value)) => names.contains(&name).then_some(OsStr::new(value)),
                None => next.filter(|_| names.contains(&text)).map(OsString::as_os_str),
            }
        })
    }

    /// All GPUs are OpenPose's default and give the same .pose file as one; fewer are selected by index.
    fn choose_gpus(&mut self) {
        let first = self.first_gpu.unwrap_or(0);
        match self.gpus {
            Some(0) => self.own_first("device", Some("cpu".into())),
            Some(count @ 2..) => {
                let numbers: Vec<String> = (first..first + count).map(|number| number.to_string()).collect();
                self.own_first("gpus", Some(numbers.join(",").into()));
            }
            _ if first > 0 => self.own_first("gpu", Some(first.to_string().into())),
            _ => {}
        }
    }

    /// pose-format's estimator is an engine of ours. Both may be named if they are the same.
    fn choose_engine(&mut self) {
        let Some(format) = self.format else { return };
        let engines = format.engines();
        match self.typed_value(&["--engine"]).map(OsStr::to_string_lossy) {
            None => self.own_first("engine", Some(engines[0].into())),
            Some(engine) if engines.contains(&engine.as_ref()) => {}
            Some(engine) => {
                let engine = engine.into_owned();
                let sentence = "--engine {value} is another estimator; leave one of them out";
                self.sentences.push(("--format".to_owned(), sentence, engine));
            }
        }
    }

    /// `video_to_pose -i VIDEO -o FILE` replaces an existing file; `videos_to_poses` keeps it, as we do.
    fn replace_output(&mut self) {
        let output = self.typed_value(&["-o", "--output"]);
        let is_file = output.is_some_and(|output| Path::new(output).extension() == Some(OsStr::new("pose")));
        if self.is_video_to_pose && is_file && !self.done.iter().any(|word| word == "--overwrite") {
            self.own_first("overwrite", None);
        }
    }
}

/// Whether an argument is an option and not the value of one: `-1x368` is a value, and so is `-`.
fn is_option(argument: &OsStr) -> bool {
    let text = argument.to_string_lossy();
    text.len() > 1 && text.starts_with('-') && !text[1..].starts_with(|letter: char| letter.is_ascii_digit())
}

/// As it can be typed into a shell.
fn quoted(text: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "._-/+:@%,".contains(letter);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::super::Cli;
    use super::*;

    fn translated(line: &str) -> Result<String, Vec<String>> {
        let arguments = format!("oppose-native {line}");
        let arguments = arguments.split(' ').filter(|word| !word.is_empty()).map(|word| match word {
            "''" => OsString::new(),
            word => word.into(),
        });
        let translated = translate(arguments, &Cli::command())?;
        // What comes out is understood.
        if let Err(error) = Cli::try_parse_from(&translated) {
            panic!("{line}: {error}");
        }
        let words: Vec<_> = translated[1..].iter().map(|word| word.to_string_lossy()).collect();
        Ok(words.join(" "))
    }

    #[test]
    fn what_means_the_same_works() {
        let cases = [
            ("--video v.mp4", "v.mp4"),
            ("-video v.mp4", "v.mp4"),
            ("--video=v.mp4 -o out", "v.mp4 -o out"),
            ("-i v.mp4 -o v.pose --format mediapipe", "--overwrite --engine holistic v.mp4 -o v.pose"),
            ("-i v.mp4 -o v.pose --overwrite", "v.mp4 -o v.pose --overwrite"),
            ("-i v.mp4 -o poses", "v.mp4 -o poses"),
            ("-i v.mp4 --format mediapipe --engine holistic", "v.mp4 --engine holistic"),
            ("--engine=holistic -f mediapipe --format MediaPipe v.mp4", "--engine=holistic v.mp4"),
            ("v.mp4 --format openpose --engine openpose", "v.mp4 --engine openpose"),
            ("--format mediapipe -- v.mp4", "--engine holistic -- v.mp4"),
            ("-d dir -r -f mediapipe --num-workers 4", "--engine holistic dir -r --workers 4"),
            ("-d dir --video-suffixes .mp4", "dir --video-suffixes .mp4"),
            ("-d dir --keep-video-suffixes", "dir --keep-suffix"),
            ("-i v.mp4 --type openpose", "--engine native v.mp4"),
            ("-i v.mp4 --workers 0", "v.mp4"),
            (
                "-i v.mp4 --additional-config model_complexity=1,smooth_landmarks=True",
                "v.mp4 --additional-config model_complexity=1,smooth_landmarks=True",
            ),
            ("--image_dir frames --fps 25", "frames --fps 25"),
            (
                "--video v.mp4 --face --hand --display 0 --render_pose 0 --model_pose BODY_25 --number_people_max 1",
                "v.mp4 --number_people_max 1",
            ),
            ("v.mp4 -face -hand -display=0 -render_pose=0", "v.mp4"),
            ("v.mp4 --face=true --hand=false", "v.mp4 --no-hand"),
            ("v.mp4 --noface --nohand", "v.mp4 --no-face --no-hand"),
            (
                "v.mp4 -net_resolution -1x368 -maximize_positives",
                "v.mp4 --net_resolution -1x368 --maximize_positives",
            ),
            ("v.mp4 --output_resolution -1x-1 --logging_level 3", "v.mp4"),
            ("v.mp4 --write_json= --write_video '' --udp_host= --image_dir ''", "v.mp4"),
            ("v.mp4 --num_gpu 1", "v.mp4"),
            ("v.mp4 --num_gpu -1 --num_gpu_start 0", "v.mp4"),
            ("v.mp4 --num_gpu 1 --num_gpu_start 2", "--gpu 2 v.mp4"),
            ("v.mp4 --num_gpu=2 --num_gpu_start=1", "--gpus 1,2 v.mp4"),
            ("v.mp4 --num_gpu 0", "--device cpu v.mp4"),
            ("v.mp4 --device gpu", "v.mp4 --device cuda"),
            ("v.mp4 --device cuda:1 --workers 2", "v.mp4 --device cuda:1 --workers 2"),
            ("v.mp4 --frame_first 0 --frame_last -1 --frame_step 1 --process_real_time=false", "v.mp4"),
            ("v.mp4 --tracking -1 --fps_max -1 --body 1 --disable_blending --noprocess_real_time", "v.mp4"),
            ("v.mp4 --keypoint_scale 0 --part_candidates=0", "v.mp4 --keypoint_scale 0"),
            ("v.mp4 --model-pose body_25 --no_display --resolution 1280x720", "v.mp4"),
            ("worker --video v.mp4 --face", "worker v.mp4"),
            // What is ours already is left as it is.
            ("v.mp4 -o out -r --overwrite --no_face", "v.mp4 -o out -r --overwrite --no_face"),
            ("-- --video", "-- --video"),
            ("- -o x.pose", "- -o x.pose"),
            ("render -i p.pose -o v.mp4", "render p.pose -o v.mp4"),
            ("render p.pose --video v.mp4 -o o.mp4", "render v.mp4 p.pose -o o.mp4"),
            ("inspect -i p.pose", "inspect p.pose"),
            ("convert json --video v.mp4 -o p.pose", "convert json --video v.mp4 -o p.pose"),
        ];
        for (typed, expected) in cases {
            assert_eq!(translated(typed).as_deref(), Ok(expected), "{typed}");
        }
    }

    #[test]
    fn what_does_not_is_a_sentence() {
        let cases = [
            ("--video x.mp4 --write_json out", "`oppose-native convert x.pose -o out`"),
            ("--video x.mp4 --write_json=out", "`oppose-native x.mp4 -o x.pose`"),
            ("x.mp4 -write_json out", "-write_json: a .pose file"),
            ("dir/x.mp4 --write_video o.avi", "`oppose-native render dir/x.mp4 x.pose -o o.avi`"),
            ("-o poses --journal j --video x.mp4 --write_json out", "`oppose-native x.mp4 -o x.pose`"),
            ("x.mp4 --write_images pics", "folder of PNG"),
            ("x.mp4 --write_keypoint k", "`oppose-native convert x.pose -o FOLDER`"),
            ("x.mp4 --write_keypoint_json k", "`oppose-native convert x.pose -o k`"),
            ("x.mp4 --model_pose COCO", "only OpenPose's model BODY_25"),
            ("x.mp4 --model_pose=MPI_4_layers", "only OpenPose's model BODY_25"),
            ("x.mp4 --display 2", "there is no window"),
            ("x.mp4 --render_pose 1", "--render"),
            ("x.mp4 --frame_first 10", "cut the video first"),
            ("x.mp4 --frame_step 2", "every frame"),
            ("x.mp4 --process_real_time", "every frame"),
            ("x.mp4 --tracking 5", "--track"),
            ("x.mp4 --identification", "--track"),
            ("x.mp4 --fps_max 30", "--fps sets the frame rate"),
            ("x.mp4 --body 0", "bodies are always"),
            ("x.mp4 --part_candidates", "people"),
            ("x.mp4 --heatmaps_add_PAFs", "heat maps"),
            ("x.mp4 --3d", "3D reconstruction"),
            ("--camera 0", "pipe"),
            ("x.mp4 --num_gpu many", "--gpus all"),
            ("x.mp4 --face=maybe", "true or false"),
            ("--video", "expected a value"),
            ("--video --face", "expected a value"),
            ("x.mp4 --format alphapose", "expected mediapipe or openpose"),
            ("x.mp4 --format mediapipe --engine native", "--engine native is another estimator"),
            ("x.mp4 --format mediapipe --format openpose", "another estimator was named before"),
            ("slurm submit a b -- --write_json c", "convert"),
        ];
        for (typed, expected) in cases {
            let sentences = translated(typed).unwrap_err().join("\n");
            assert!(sentences.contains(expected), "{typed}: {sentences}");
        }
        assert_eq!(translated("x.mp4 --write_json a --display 1").unwrap_err().len(), 2);
    }

    #[test]
    fn names_are_as_they_are_looked_up() {
        let mut seen = std::collections::HashSet::new();
        for name in TABLE.iter().flat_map(|(names, _)| *names) {
            assert!(seen.insert(name), "{name} twice");
            assert_eq!(**name, name.replace('-', "_").to_lowercase());
        }
    }
}
