//! Compiled kernels in files: those shipped with the program, and those compiled on this machine earlier.

use std::env;
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tracing::{debug, warn};

use super::CudaError;
use oppose_core::Chain;

/// The environment variable that names a folder of kernels that were compiled in advance.
pub const VARIABLE: &str = "OPPOSE_KERNELS";
/// The first bytes of a file. The SHA-256 of the code and the code itself follow.
const MAGIC: &[u8] = b"oppose kernel 1\n";
const HASH_BYTES: usize = 32;

/// Folders that may hold the kernels shipped with the program: the one that `OPPOSE_KERNELS` names, and those beside the
/// program.
pub fn shipped_folders() -> Vec<PathBuf> {
    let named = env::var_os(VARIABLE).map(PathBuf::from);
    let program = env::current_exe().and_then(fs::canonicalize).ok();
    let beside = program.as_deref().and_then(Path::parent).map(|folder| {
        ["kernels", "../lib/oppose/kernels", "../share/oppose/kernels"].map(|name| folder.join(name))
    });
    named.into_iter().chain(beside.into_iter().flatten()).collect()
}

/// `$XDG_CACHE_HOME/oppose`, or `~/.cache/oppose`.
fn cache_folder() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache.or_else(home).map(|folder| folder.join("oppose"))
}

/// A name for the code that is compiled from these texts.
pub fn name(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.gpu"))
}

/// The code in a file, if it is complete.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = fs::read(path).ok()?;
    let hash = bytes.strip_prefix(MAGIC)?.get(..HASH_BYTES)?;
    let code = &bytes[MAGIC.len() + HASH_BYTES..];
    if code.is_empty() || Sha256::digest(code).as_slice() != hash {
        return None;
    }
    bytes.drain(..MAGIC.len() + HASH_BYTES);
    Some(bytes)
}

/// Writes code to a file in a folder, which appears complete or not at all.
///
/// # Errors
/// It cannot be written.
pub fn write(folder: &Path, name: &str, code: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    // Readable by all, as far as the umask allows: archives and images are often built by one user and used by another.
    let readable = Permissions::from_mode(0o666);
    let mut file = tempfile::Builder::new().permissions(readable).tempfile_in(folder)?;
    file.write_all(MAGIC)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)?;
    file.as_file().sync_all()?;
    file.persist(self::file(folder, name)).map_err(|error| error.error)?;
    Ok(())
}

/// Whether code with one of these names was shipped with the program.
pub fn is_shipped(names: &[String]) -> bool {
    shipped_folders().iter().any(|folder| names.iter().any(|name| read(&file(folder, name)).is_some()))
}

/// Loads the first code found under one of these names: code shipped with the program, then code compiled
/// earlier. If there is none, or `load` refuses it, compiles it and stores it under the first name. A damaged file
/// is replaced; if the folder cannot be written to, the code is compiled every time.
///
/// # Errors
/// Those of `compile`, and those of `load` for newly compiled code.
pub fn load<T>(
    names: &[String],
    compile: impl FnOnce() -> Result<Vec<u8>, CudaError>,
    load: impl Fn(&[u8]) -> Result<T, CudaError>,
) -> Result<T, CudaError> {
    load_from(&shipped_folders(), cache_folder().as_deref(), names, compile, load)
}

fn load_from<T>(
    shipped: &[PathBuf],
    cache: Option<&Path>,
    names: &[String],
    compile: impl FnOnce() -> Result<Vec<u8>, CudaError>,
    load: impl Fn(&[u8]) -> Result<T, CudaError>,
) -> Result<T, CudaError> {
    let folders = shipped.iter().map(PathBuf::as_path).chain(cache);
    let files = folders.flat_map(|folder| names.iter().map(move |name| file(folder, name)));
    let mut refused = None;
    for (path, code) in files.filter_map(|path| read(&path).map(|code| (path, code))) {
        match load(&code) {
            Ok(loaded) => {
                debug!(file = %path.display(), "loaded a compiled kernel");
                return Ok(loaded);
            }
            Err(error) => {
                warn!(file = %path.display(), error = %Chain(&error), "cannot use a compiled kernel");
                refused = Some(error);
            }
        }
    }
    debug!(name = names.first(), "compiling a kernel");
    // Without a compiler, the driver's error about the existing code says more.
    let code = compile().map_err(|error| refused.unwrap_or(error))?;
    let loaded = load(&code)?;
    if let (Some(folder), Some(name)) = (cache, names.first()) {
        let _ = write(folder, name, &code);
    }
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(shipped: &Path, cache: &Path, refused: &[u8]) -> (Vec<u8>, bool) {
        let mut has_compiled = false;
        let compile = || {
            has_compiled = true;
            Ok(b"compiled".to_vec())
        };
        let load = |code: &[u8]| match code == refused {
            true => Err(CudaError::Ended),
            false => Ok(code.to_vec()),
        };
        let names = ["best".to_owned(), "older".to_owned()];
        let loaded = load_from(&[shipped.into()], Some(cache), &names, compile, load).unwrap();
        (loaded, has_compiled)
    }

    #[test]
    fn shipped_kernels_take_precedence_over_the_cache() {
        let (shipped, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (shipped, cache) = (shipped.path(), cache.path());
        assert_eq!(compiled(shipped, cache, b""), (b"compiled".to_vec(), true));
        assert_eq!(compiled(shipped, cache, b""), (b"compiled".to_vec(), false));
        write(shipped, "older", b"of an earlier revision").unwrap();
        assert_eq!(compiled(shipped, cache, b""), (b"of an earlier revision".to_vec(), false));
        write(shipped, "best", b"its own").unwrap();
        assert_eq!(compiled(shipped, cache, b""), (b"its own".to_vec(), false));
        // If the driver refuses this code, it may accept other code.
        assert_eq!(compiled(shipped, cache, b"its own").0, b"of an earlier revision");
    }

    #[test]
    fn a_damaged_file_is_replaced() {
        let (shipped, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let path = file(cache.path(), "best");
        write(cache.path(), "best", b"code that is rather long").unwrap();
        let whole = fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let damages: [&[u8]; 6] = [
            b"",
            b"x",
            &whole[..whole.len() - 1],
            &whole[..20],
            &whole[..MAGIC.len() + HASH_BYTES],
            &flipped,
        ];
        for damaged in damages {
            fs::write(&path, damaged).unwrap();
            assert_eq!(compiled(shipped.path(), cache.path(), b""), (b"compiled".to_vec(), true));
            assert_eq!(compiled(shipped.path(), cache.path(), b""), (b"compiled".to_vec(), false));
        }
        // Complete, but not for this driver.
        write(cache.path(), "best", b"refused").unwrap();
        assert_eq!(compiled(shipped.path(), cache.path(), b"refused"), (b"compiled".to_vec(), true));
        assert_eq!(compiled(shipped.path(), cache.path(), b"refused"), (b"compiled".to_vec(), false));
    }

    #[test]
    fn kernels_are_readable_by_other_users() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "kernel", b"code").unwrap();
        let ordinary = folder.path().join("ordinary");
        fs::write(&ordinary, b"").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&file(folder.path(), "kernel")), mode(&ordinary));
    }

    #[test]
    fn an_unwritable_folder_is_not_an_error() {
        let shipped = tempfile::tempdir().unwrap();
        let no_folder = shipped.path().join("file");
        fs::write(&no_folder, b"").unwrap();
        assert_eq!(compiled(shipped.path(), &no_folder, b""), (b"compiled".to_vec(), true));
    }
}
