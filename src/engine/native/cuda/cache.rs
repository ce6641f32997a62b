//! Compiled kernels, kept in the user's cache folder: a kind of GPU is compiled for once.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

/// `$XDG_CACHE_HOME/oppose`, or `~/.cache/oppose`.
fn folder() -> Option<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache.or_else(home).map(|folder| folder.join("oppose"))
}

/// What `compile` makes of these texts, from the cache where it is there. A cache that cannot be read or
/// written costs time and nothing else.
pub fn compiled<E>(texts: &[&str], compile: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Vec<u8>, E> {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    let path = folder().map(|folder| folder.join(format!("{name}.gpu")));
    if let Some(code) = path.as_ref().and_then(|path| fs::read(path).ok()).filter(|code| !code.is_empty()) {
        return Ok(code);
    }
    let code = compile()?;
    if let Some((path, folder)) = path.as_ref().and_then(|path| Some((path, path.parent()?))) {
        let write = || {
            fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(&code)?;
            file.persist(path).map_err(|error| error.error)
        };
        let _ = write();
    }
    Ok(code)
}
