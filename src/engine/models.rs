//! Where the model files lie.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The environment variable that names the models folder.
pub const MODELS_VARIABLE: &str = "OPPOSE_MODELS";

/// The folder of the engine `holistic` below a models folder.
pub(super) const HOLISTIC: &str = "holistic";

/// No folder holds what was looked for.
#[derive(Debug, thiserror::Error)]
#[error(
    "no models: {} was not found in {}; {}, or name the models folder in the environment variable {MODELS_VARIABLE}",
    wanted.display(),
    places(looked),
    source_of(wanted)
)]
pub struct ModelsNotFound {
    /// The engine's folder, relative to a models folder.
    pub wanted: PathBuf,
    /// Every folder that was looked in, in order.
    pub looked: Vec<PathBuf>,
}

/// Where a file comes from. OpenPose's models are not ours to give.
fn source_of(wanted: &Path) -> &'static str {
    match wanted.starts_with(HOLISTIC) {
        true => "run scripts/fetch-models.sh",
        false => "copy OpenPose's own folder models there",
    }
}

/// Names of what was looked in or for, for people to read.
pub(crate) fn places(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Where the models lie that came with a library.
static SHIPPED: OnceLock<PathBuf> = OnceLock::new();

/// Makes [`find`] look into this folder too, after all others: for a library in another program, which came with models of
/// its own. Only the first call has an effect.
pub fn set_shipped(folder: PathBuf) {
    let _ = SHIPPED.set(folder);
}

/// Finds the models folder that holds `wanted`: an engine's folder in it, for example `holistic`.
///
/// An `explicit` folder is the only one looked in; else it is [`MODELS_VARIABLE`]'s; else the user's data
/// folder, then `models` beside the program or in a folder above it (a checkout that was built in place), then what
/// [`set_shipped`] was given.
///
/// # Errors
/// None of them holds the file; the error names them all.
pub fn find(explicit: Option<&Path>, wanted: &Path) -> Result<PathBuf, ModelsNotFound> {
    let looked = places_to_look(explicit);
    match looked.iter().find(|folder| folder.join(wanted).exists()) {
        Some(folder) => Ok(folder.clone()),
        None => Err(ModelsNotFound { wanted: wanted.to_owned(), looked }),
    }
}

fn places_to_look(explicit: Option<&Path>) -> Vec<PathBuf> {
    if let Some(folder) = explicit {
        return vec![folder.to_owned()];
    }
    if let Some(folder) = env::var_os(MODELS_VARIABLE).filter(|value| !value.is_empty()) {
        return vec![folder.into()];
    }
    let data = env::var_os("XDG_DATA_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".local/share")));
    let mut folders: Vec<PathBuf> = data.map(|data| data.join("oppose/models")).into_iter().collect();
    if let Ok(program) = env::current_exe() {
        // target/release/oppose-native, or target/debug/deps/test: the checkout is at most four levels up.
        folders.extend(program.ancestors().skip(1).take(4).map(|folder| folder.join("models")));
    }
    folders.extend(SHIPPED.get().cloned());
    folders
}
