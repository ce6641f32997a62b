//! Where the model files are.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The environment variable that names the models folder.
pub const MODELS_VARIABLE: &str = "OPPOSE_MODELS";

/// The folder of the engine `holistic` below a models folder.
pub(super) const HOLISTIC: &str = "holistic";

/// No folder holds the models that are needed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("no models: {} was not found in {}; {}", wanted.display(), listed(searched), self.advice())]
pub struct ModelsNotFound {
    /// The engine's folder, relative to a models folder.
    pub wanted: PathBuf,
    /// Every folder that was searched, in order.
    pub searched: Vec<PathBuf>,
    /// The models folder that would have been found if the user had named none.
    pub default: Option<PathBuf>,
}

impl ModelsNotFound {
    /// What to do about it.
    pub(crate) fn advice(&self) -> String {
        if let Some(folder) = &self.default {
            let folder = folder.display();
            return format!(
                "{folder} has it, and is found if you name no models folder, not even in {MODELS_VARIABLE}"
            );
        }
        // OpenPose's models are not ours to give.
        let source = match self.wanted.starts_with(HOLISTIC) {
            true => where_to_get_holistic(),
            false => "copy OpenPose's own folder models there".to_owned(),
        };
        format!("{source}, or name the models folder in the environment variable {MODELS_VARIABLE}")
    }
}

/// What to do if files of the engine `holistic` are missing or damaged, which depends on how this program was
/// installed.
pub(crate) fn where_to_get_holistic() -> String {
    let folders = folders_of_program();
    let script = folders.iter().map(|folder| folder.join("scripts/fetch-models.sh")).find(|it| it.is_file());
    match script {
        // The Python package: as the module, or as the program in its folder `bin`.
        _ if SHIPPED.get().is_some() || folders.iter().take(2).any(|folder| folder.join("_native.pyi").is_file()) => {
            "install the package again (pip install --force-reinstall --no-deps oppose-native)".to_owned()
        }
        // A checkout or an archive.
        Some(script) => format!("run {}", script.display()),
        None => "get them with the Python package (pip install oppose-native) or with scripts/fetch-models.sh of oppose's \
                 repository"
            .to_owned(),
    }
}

/// Paths as a list for people to read.
pub(crate) fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// The folder of the models that came with a library.
static SHIPPED: OnceLock<PathBuf> = OnceLock::new();

/// Makes [`find`] look into this folder too, after all others: for a library in another program that comes with
/// models of its own. Only the first call has an effect.
pub fn set_shipped(folder: PathBuf) {
    let _ = SHIPPED.set(folder);
}

/// Finds the models folder that holds `wanted`: an engine's folder in it, for example `holistic`.
///
/// If an `explicit` folder is given, only that one is searched; else that of [`MODELS_VARIABLE`]; else the user's
/// data folder, then `models` beside the program or in a folder above it (a checkout that was built in place), then
/// the one passed to [`set_shipped`].
///
/// # Errors
/// None of the folders holds the file; the error names them all.
pub fn find(explicit: Option<&Path>, wanted: &Path) -> Result<PathBuf, ModelsNotFound> {
    let searched = folders_to_search(explicit);
    let first = |folders: &[PathBuf]| folders.iter().find(|folder| folder.join(wanted).exists()).cloned();
    first(&searched).ok_or_else(|| ModelsNotFound {
        wanted: wanted.to_owned(),
        searched,
        default: first(&default_folders()),
    })
}

fn folders_to_search(explicit: Option<&Path>) -> Vec<PathBuf> {
    let variable = || env::var_os(MODELS_VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from);
    match explicit.map(Path::to_owned).or_else(variable) {
        Some(folder) => vec![folder],
        None => default_folders(),
    }
}

/// Where models are searched for if the user names no folder.
fn default_folders() -> Vec<PathBuf> {
    let data = env::var_os("XDG_DATA_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".local/share")));
    let mut folders: Vec<PathBuf> = data.map(|data| data.join("oppose/models")).into_iter().collect();
    folders.extend(folders_of_program().iter().map(|folder| folder.join("models")));
    folders.extend(SHIPPED.get().cloned());
    folders
}

/// The program's folder and those above it: of target/debug/deps/test, the checkout is the fourth.
fn folders_of_program() -> Vec<PathBuf> {
    let program = env::current_exe().unwrap_or_default();
    program.ancestors().skip(1).take(4).map(Path::to_owned).collect()
}
