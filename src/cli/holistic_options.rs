//! The options of the engine `holistic`.

use std::str::FromStr;

use clap::{Args, ValueEnum};
use oppose::engine::holistic::{Complexity, Hands, Options};

use super::points::PointArguments;

/// The settings of MediaPipe Holistic, as plain options and in pose-format's syntax.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of the engine holistic")]
pub struct HolisticArguments {
    /// Choose the body net: 0 is the fastest, 2 the most accurate and about three times slower [default: 1]
    #[arg(long, value_name = "0|1|2", value_parser = clap::value_parser!(u8).range(0..=2))]
    model_complexity: Option<u8>,

    /// Do not smooth the body's points over time
    #[arg(long)]
    no_smooth_landmarks: bool,

    /// Refine lips and eyes and add ten points for the irises: 478 points for the face, 586 in all
    #[arg(long)]
    refine_face_landmarks: bool,

    /// Treat every frame as a picture of its own: nothing carries over from one frame to the next
    #[arg(long)]
    static_image_mode: bool,

    /// Require this confidence to detect a person [default: 0.5]
    #[arg(long, value_name = "0..1", value_parser = confidence)]
    min_detection_confidence: Option<f64>,

    /// Require this confidence to keep tracking a person; below it, detection runs again [default: 0.5]
    #[arg(long, value_name = "0..1", value_parser = confidence)]
    min_tracking_confidence: Option<f64>,

    /// Take these settings in pose-format's syntax, such as
    /// model_complexity=2,smooth_landmarks=false,refine_face_landmarks=true; the options above take precedence
    #[arg(long, value_name = "NAME=VALUE,...", default_value = "", hide_default_value = true)]
    additional_config: AdditionalConfig,

    /// How hard hands are looked for
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    hands: HandsChoice,

    #[command(flatten)]
    points: PointArguments,
}

/// How hard hands are looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum HandsChoice {
    /// as MediaPipe does
    #[default]
    Standard,
    /// again, in other places and with a palm detector, if a wrist is seen but no hand was found
    Thorough,
}

impl HolisticArguments {
    /// The settings, without the number of threads.
    pub fn options(&self) -> Options {
        let AdditionalConfig(options) = self.additional_config;
        let mut options = options.with_points(self.points.points()).with_hide_legs(self.points.hides_legs());
        if self.hands == HandsChoice::Thorough {
            options = options.with_hands(Hands::Thorough);
        }
        if let Some(complexity) = self.model_complexity.and_then(Complexity::from_number) {
            options = options.with_complexity(complexity);
        }
        if self.no_smooth_landmarks {
            options = options.with_smooth_landmarks(false);
        }
        if self.refine_face_landmarks {
            options = options.with_refine_face(true);
        }
        if self.static_image_mode {
            options = options.with_still_images(true);
        }
        if let Some(confidence) = self.min_detection_confidence {
            options = options.with_minimum_detection_confidence(confidence);
        }
        if let Some(confidence) = self.min_tracking_confidence {
            options = options.with_minimum_tracking_confidence(confidence);
        }
        options
    }
}

/// A number from 0 to 1.
fn confidence(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    match (0.0..=1.0).contains(&number) {
        true => Ok(number),
        false => Err("a confidence is a number from 0 to 1".into()),
    }
}

/// Settings in the syntax of pose-format's `--additional-config`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct AdditionalConfig(Options);

impl FromStr for AdditionalConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut options = Options::new();
        for setting in text.split(',').filter(|_| !text.is_empty()) {
            let (name, value) =
                setting.split_once('=').ok_or_else(|| format!("`{setting}` is not NAME=VALUE"))?;
            options = with_setting(options, name, value)?;
        }
        Ok(Self(options))
    }
}

/// The options with one more setting.
fn with_setting(options: Options, name: &str, value: &str) -> Result<Options, String> {
    // What Python's `if` makes of the values that pose-format reads: a whole number, a number, true, false or a text.
    let switch = || match value.parse::<f64>() {
        Ok(number) => Ok(number != 0.0),
        Err(_) if value.eq_ignore_ascii_case("true") => Ok(true),
        Err(_) if value.eq_ignore_ascii_case("false") => Ok(false),
        Err(_) => Err(format!("{name} is true or false, not `{value}`")),
    };
    let confidence = || confidence(value).map_err(|error| format!("{name}: {error}"));
    match name {
        "model_complexity" => {
            let complexity = value.parse().ok().and_then(Complexity::from_number);
            let complexity = complexity.ok_or_else(|| format!("{name} is 0, 1 or 2, not `{value}`"))?;
            Ok(options.with_complexity(complexity))
        }
        "smooth_landmarks" => Ok(options.with_smooth_landmarks(switch()?)),
        "refine_face_landmarks" => Ok(options.with_refine_face(switch()?)),
        "static_image_mode" => Ok(options.with_still_images(switch()?)),
        "min_detection_confidence" => Ok(options.with_minimum_detection_confidence(confidence()?)),
        "min_tracking_confidence" => Ok(options.with_minimum_tracking_confidence(confidence()?)),
        // A mask of the person changes nothing about the points, and pose-format drops it.
        "enable_segmentation" | "smooth_segmentation" => switch().map(|_| options),
        _ => Err(format!(
            "MediaPipe Holistic has no setting `{name}`; it has static_image_mode, model_complexity, \
             smooth_landmarks, refine_face_landmarks, min_detection_confidence, min_tracking_confidence"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        holistic: HolisticArguments,
    }

    fn parse(arguments: &[&str]) -> Result<String, String> {
        let arguments = ["oppose-native"].iter().chain(arguments);
        let program = Program::try_parse_from(arguments).map_err(|error| error.to_string())?;
        let settings = program.holistic.options().settings().into_iter();
        Ok(settings.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(","))
    }

    const LAB: &str = "model_complexity=2,smooth_landmarks=false,refine_face_landmarks=true";

    #[test]
    fn pose_formats_syntax_is_taken_verbatim() {
        assert_eq!(parse(&["--additional-config", LAB]).unwrap(), LAB);
        assert_eq!(parse(&[&format!("--additional-config={LAB}")]).unwrap(), LAB);
        let odd = "smooth_landmarks=False,refine_face_landmarks=1,enable_segmentation=true";
        let expected = "smooth_landmarks=false,refine_face_landmarks=true";
        assert_eq!(parse(&["--additional-config", odd]).unwrap(), expected);
        assert_eq!(parse(&[]).unwrap(), "");
    }

    #[test]
    fn plain_options_say_the_same_and_win() {
        let plain = ["--model-complexity", "2", "--no-smooth-landmarks", "--refine-face-landmarks"];
        assert_eq!(parse(&plain).unwrap(), LAB);
        let both = ["--additional-config", "model_complexity=2", "--model-complexity", "0"];
        assert_eq!(parse(&both).unwrap(), "model_complexity=0");
    }

    #[test]
    fn a_second_look_for_hands_is_asked_for() {
        assert_eq!(parse(&["--hands", "thorough"]).unwrap(), "hands=thorough");
        assert_eq!(parse(&["--hands", "standard"]).unwrap(), "");
    }

    #[test]
    fn points_are_chosen() {
        assert_eq!(parse(&["--points", "reduced", "--hide-legs"]).unwrap(), "points=reduced,hide_legs=true");
        assert_eq!(parse(&["--points", "no-world"]).unwrap(), "points=no-world");
    }

    #[test]
    fn mistakes_are_named() {
        for (config, expected) in [
            ("model_complexity=3", "model_complexity is 0, 1 or 2"),
            ("complexity=2", "no setting `complexity`"),
            ("model_complexity", "is not NAME=VALUE"),
            ("smooth_landmarks=maybe", "true or false"),
            ("min_tracking_confidence=7", "a number from 0 to 1"),
            ("model_complexity=2,", "is not NAME=VALUE"),
        ] {
            let error = parse(&["--additional-config", config]).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(parse(&["--min-detection-confidence", "nan"]).is_err());
    }
}
