//! Folders and their subfolders.

use std::collections::HashSet;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// A file in a folder, or a link that leads nowhere.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its path, which begins with that of the folder that was walked through.
    pub path: PathBuf,
    /// What it is, with links followed; an error if it cannot be reached.
    pub metadata: io::Result<Metadata>,
}

/// Walks through a folder and its subfolders. Calls `visit` for each with its entries that are not folders, or with the
/// reason why it cannot be read. Hidden files and folders are left out. Links to folders are followed after all real folders,
/// so that a folder that is reached both ways has its real place in the tree; no folder is visited twice, wherever links
/// lead.
///
/// # Errors
/// `folder` itself cannot be read.
pub fn walk(folder: &Path, visit: &mut dyn FnMut(&Path, io::Result<Vec<Entry>>)) -> io::Result<()> {
    // `folder` itself counts as seen: links may lead back to it.
    let mut seen = HashSet::new();
    let (mut folders, mut links) = (vec![folder.to_owned()], Vec::new());
    while let Some(next) = folders.pop().or_else(|| links.pop()) {
        let read = fs::canonicalize(&next)
            .and_then(|real| if seen.insert(real) { fs::read_dir(&next)?.collect() } else { Ok(Vec::new()) });
        let read: Vec<fs::DirEntry> = match read {
            Ok(read) => read,
            Err(error) if next == folder => return Err(error),
            Err(error) => {
                visit(&next, Err(error));
                continue;
            }
        };
        let mut entries = Vec::new();
        for entry in read.iter().filter(|entry| !is_hidden(&entry.path())) {
            let (path, metadata) = (entry.path(), fs::metadata(entry.path()));
            if metadata.as_ref().is_ok_and(Metadata::is_dir) {
                let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
                if is_link { &mut links } else { &mut folders }.push(path);
            } else {
                entries.push(Entry { path, metadata });
            }
        }
        visit(&next, Ok(entries));
    }
    Ok(())
}

/// Whether a file or folder is hidden: its name begins with a dot.
pub fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
