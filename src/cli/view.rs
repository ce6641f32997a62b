//! `oppose-native view`: a page that plays a video with its poses over it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use clap::Args;
use oppose::output_file::{folder_of, write_file};
use oppose::pose::{Pose, PoseError};
use oppose::report::{View, ViewError};

use super::Outcome;
use super::report::{PageError, check_name};
use super::terminal::{print, printable, say_error};

/// The largest table of timestamps that is read, in bytes: that of ten million frames is smaller.
const MAX_TABLE_BYTES: u64 = 1 << 28;

/// The options of `view`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The video and its .pose file; a second .pose file is compared with the first. Without a video, the poses are drawn on an empty picture
    #[arg(required = true, num_args = 1..=3, value_name = "VIDEO|POSE")]
    inputs: Vec<PathBuf>,

    /// Write the page to this file, replacing an existing page [default: NAME.view.html beside the .pose file]
    #[arg(short, long, value_name = "FILE.html")]
    output: Option<PathBuf>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(
        "expected [VIDEO] POSE [POSE], where .pose files end in .pose; found {poses} .pose files and {videos} other files"
    )]
    Inputs { videos: usize, poses: usize },
    #[error(transparent)]
    Pose(#[from] PoseError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Page(#[from] PageError),
    #[error("cannot find {}", printable(path))]
    Find { path: PathBuf, source: std::io::Error },
}

/// Writes the page.
pub fn run(arguments: &Arguments) -> Outcome {
    match write(arguments) {
        Ok(page) => {
            print(format_args!("{}: open it in a browser", printable(&page)));
            Outcome::AllDone
        }
        Err(error) => {
            say_error(&error, "");
            Outcome::NothingRan
        }
    }
}

fn write(arguments: &Arguments) -> Result<PathBuf, Failed> {
    let is_pose = |path: &&PathBuf| path.as_os_str().as_encoded_bytes().ends_with(b".pose");
    let (poses, videos): (Vec<_>, Vec<_>) = arguments.inputs.iter().partition(is_pose);
    let (video, first, second) = match (videos.as_slice(), poses.as_slice()) {
        (_, [first]) if videos.len() < 2 => (videos.first(), *first, None),
        (_, [first, second]) if videos.len() < 2 => (videos.first(), *first, Some(*second)),
        _ => return Err(Failed::Inputs { videos: videos.len(), poses: poses.len() }),
    };
    let output = arguments.output.clone().unwrap_or_else(|| first.with_extension("view.html"));
    check_name(&output)?;
    let source = match video {
        Some(video) => Some(address(video, &output)?),
        None => None,
    };
    let times = timestamps(&first.with_extension("timestamps.csv"));
    let read = |path: &Path| Ok::<_, PoseError>((name(path), Pose::read_file(path)?));
    let (first_name, first) = read(first)?;
    let second = second.map(|path| read(path)).transpose()?;
    let title = video.map_or_else(|| first_name.clone(), |video| name(video));
    let page = View::new(&first_name, &first)
        .with_title(&title)
        .with_video(source.as_deref())
        .with_times(times.as_deref())
        .with_second(second.as_ref().map(|(name, pose)| (name.as_str(), pose)))
        .to_html()?;
    write_file(&output, page.as_bytes(), true)
        .map_err(|source| PageError::Write { path: output.clone(), source })?;
    Ok(output)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// The time of each frame in the table that `--timestamps` writes; `None` if there is none, or not one time per
/// frame.
fn timestamps(table: &Path) -> Option<Vec<f64>> {
    let mut text = String::new();
    File::open(table).ok()?.take(MAX_TABLE_BYTES).read_to_string(&mut text).ok()?;
    text.strip_prefix("frame,time\n")?.lines().map(|line| line.split_once(',')?.1.parse().ok()).collect()
}

/// The address of a file relative to the folder of a page, so that both may be moved together.
fn address(file: &Path, page: &Path) -> Result<String, Failed> {
    let find =
        |path: &Path| path.canonicalize().map_err(|source| Failed::Find { path: path.to_owned(), source });
    Ok(relative(&find(file)?, &find(folder_of(page))?))
}

/// `file` as seen from `folder`, both absolute, as the path of a URL.
fn relative(file: &Path, folder: &Path) -> String {
    let (file, folder): (Vec<Component>, Vec<Component>) =
        (file.components().collect(), folder.components().collect());
    let shared = file.iter().zip(&folder).take_while(|(a, b)| a == b).count();
    let mut parts = vec!["..".to_owned(); folder.len() - shared];
    parts.extend(file[shared..].iter().map(|part| percent_encoded(part.as_os_str().as_encoded_bytes())));
    // A colon in the first part would make a scheme of it.
    format!("./{}", parts.join("/"))
}

/// Part of a path with everything but letters, digits and a few marks as `%XX`.
fn percent_encoded(part: &[u8]) -> String {
    let encoded = |&byte: &u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    part.iter().map(encoded).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_relative_and_encoded() {
        let relative = |file: &str, folder: &str| relative(Path::new(file), Path::new(folder));
        assert_eq!(relative("/a/b/c.mp4", "/a/b"), "./c.mp4");
        assert_eq!(relative("/a/videos/c d#?.mp4", "/a/poses/x"), "./../../videos/c%20d%23%3F.mp4");
        assert_eq!(relative("/a/javascript:alert(1)", "/a"), "./javascript%3Aalert%281%29");
        assert_eq!(relative("/ü/\"><b>", "/"), "./%C3%BC/%22%3E%3Cb%3E");
    }
}
