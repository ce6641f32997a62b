//! Checks that trained values are those that OpenPose's authors published.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::thread;

use md5::{Digest, Md5};

use super::Net;

impl Net {
    /// The MD5 of the trained values that OpenPose's authors published.
    pub fn published_md5(self) -> &'static str {
        match self {
            Self::Body25 => "78287b57cf85fa89c03f1393d368e5b7",
            Self::Coco => "5156d31f670511fce9b4e28b403f2939",
            Self::Face => "e747180d728fa4e4418c465828384333",
            Self::Hand => "a82cfc3fea7c62f159e11bd3674c1531",
        }
    }

    /// Length in bytes and MD5 of the trained values in a model folder.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn md5(self, model_folder: &Path) -> io::Result<(u64, String)> {
        md5_of(&model_folder.join(self.caffemodel()))
    }

    /// The hashes of the trained values in a model folder, as [`EngineInfo`](oppose_core::EngineInfo) has them. Takes some
    /// tenths of a second.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn hashes(model_folder: &Path) -> io::Result<BTreeMap<String, String>> {
        thread::scope(|scope| {
            let hash = |net: Self| (net, scope.spawn(move || net.md5(model_folder)));
            let threads = Self::OF_A_PERSON.map(hash);
            let hashes = threads.into_iter().map(|(net, thread)| {
                let (_, md5) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
                Ok((net.caffemodel().to_owned(), format!("md5:{md5}")))
            });
            hashes.collect()
        })
    }
}

/// The length and MD5 of a file, which is read piece by piece because a wrong file may be huge.
fn md5_of(path: &Path) -> io::Result<(u64, String)> {
    let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
    let (mut hash, mut length) = (Md5::new(), 0);
    loop {
        let piece = file.fill_buf()?;
        if piece.is_empty() {
            return Ok((length, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()));
        }
        hash.update(piece);
        let read = piece.len();
        length += read as u64;
        file.consume(read);
    }
}
