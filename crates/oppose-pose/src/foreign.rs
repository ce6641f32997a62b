//! Files that are passed as `.pose` files and are something else.

/// What kind of file begins with these bytes, if it cannot be a `.pose` file. The text continues a sentence and says what
/// to do, if anything can be done.
pub(super) fn recognize(bytes: &[u8]) -> Option<&'static str> {
    if bytes.is_empty() {
        return Some("it is empty");
    }
    // Version 0.0 is four zeros, but no header continues with only zeros.
    if bytes.len() >= 4 && bytes.iter().take(ZEROS).all(|&byte| byte == 0) {
        return Some("it holds only zeros: writing it was interrupted, or the disk was full");
    }
    if may_begin_a_pose(bytes) {
        return None;
    }
    let is_at = |offset: usize, word: &[u8]| bytes.get(offset..).is_some_and(|rest| rest.starts_with(word));
    let signatures = SIGNATURES.iter().find(|(offset, word, _)| is_at(*offset, word));
    if let Some((.., found)) = signatures {
        return Some(found);
    }
    if is_text(bytes) {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
        return Some(match text.first() {
            _ if text.starts_with(b"version https://git-lfs") => {
                "it is a pointer of Git LFS; `git lfs pull` fetches the file itself"
            }
            Some(b'{' | b'[') => {
                "it is JSON; for OpenPose's JSON, give the folder that holds the files of all frames"
            }
            Some(b'<') => "it is a web page or XML; was a download refused?",
            _ => "it is text",
        });
    }
    // Less than a version, and no text: the beginning of something.
    if bytes.len() < 4 {
        return None;
    }
    Some("it does not begin with a version of the format")
}

/// Whether the first four bytes are the number of a version, known or not.
fn may_begin_a_pose(bytes: &[u8]) -> bool {
    let Some(first) = bytes.first_chunk() else { return false };
    let version = f32::from_le_bytes(*first);
    let tenths = version * 10.0;
    version == 0.0 || (0.1..100.0).contains(&version) && (tenths - tenths.round()).abs() < 0.005
}

/// Every header has a byte other than 0 among this many: the number of components is one of them.
const ZEROS: usize = 64;

/// Bytes that are typical of a kind of file: where they are, what they are, and what to say about it.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"PK\x03\x04", "it is a ZIP archive (.npz is one too); unpack it first"),
    (0, b"PK\x05\x06", "it is an empty ZIP archive"),
    (0, b"\x1f\x8b", "it is compressed with gzip; decompress it first"),
    (0, b"\x28\xb5\x2f\xfd", "it is compressed with Zstandard; decompress it first"),
    (0, b"\xfd7zXZ\x00", "it is compressed with xz; decompress it first"),
    (0, b"BZh", "it is compressed with bzip2; decompress it first"),
    (0, b"7z\xbc\xaf\x27\x1c", "it is a 7-Zip archive; unpack it first"),
    (257, b"ustar", "it is a tar archive; unpack it first"),
    (4, b"ftyp", "it is an MP4 or QuickTime video"),
    (4, b"moov", "it is a QuickTime video"),
    (4, b"mdat", "it is an MP4 or QuickTime video"),
    (4, b"wide", "it is a QuickTime video"),
    (0, b"\x1a\x45\xdf\xa3", "it is a Matroska or WebM video"),
    (8, b"AVI ", "it is an AVI video"),
    (8, b"WEBP", "it is a WebP picture"),
    (0, b"\x00\x00\x01\xba", "it is an MPEG video"),
    (0, b"\x00\x00\x01\xb3", "it is an MPEG video"),
    (0, b"GIF8", "it is a GIF"),
    (0, b"\x89PNG", "it is a PNG picture"),
    (0, b"\xff\xd8\xff", "it is a JPEG picture"),
    (0, b"%PDF", "it is a PDF"),
    (0, b"\x93NUMPY", "it is an array of NumPy"),
    (0, b"\x89HDF", "it is an HDF5 file"),
    (0, b"\x80\x02", "it is a Python pickle"),
    (0, b"\x80\x03", "it is a Python pickle"),
    (0, b"\x80\x04", "it is a Python pickle"),
    (0, b"\x80\x05", "it is a Python pickle"),
    (
        0,
        b"\x00\x05\x16\x07",
        "it is what a Mac leaves beside a file (AppleDouble); the file itself has no ._ in front of its name",
    ),
    (0, b"\xff\xfe", "it is UTF-16 text"),
    (0, b"\xfe\xff", "it is UTF-16 text"),
];

/// Whether the beginning of a file is text, cut off anywhere.
fn is_text(bytes: &[u8]) -> bool {
    let beginning = &bytes[..bytes.len().min(512)];
    let whole = match std::str::from_utf8(beginning) {
        Ok(_) => beginning,
        // The last letter is cut in two.
        Err(error) if error.error_len().is_none() => &beginning[..error.valid_up_to()],
        Err(_) => return false,
    };
    !whole.is_empty() && whole.iter().all(|&byte| byte >= b' ' || b"\t\n\r\x0c".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_files_are_named() {
        let cases: &[(&[u8], &str)] = &[
            (b"", "empty"),
            (b"PK\x03\x04\x14\x00\x00\x00", "ZIP"),
            (b"\x00\x00\x00\x20ftypisom", "MP4"),
            (b"\x1a\x45\xdf\xa3\x01\x00", "Matroska"),
            (b"RIFF\x00\x10\x00\x00AVI LIST", "AVI"),
            (b"{\"people\": []}", "JSON"),
            (b"\xef\xbb\xbf  [1]", "JSON"),
            (b"x", "text"),
            (b"frame,time\n0,0.0\n", "text"),
            // As a number these four spaces are nearly 0.
            (b"    hello", "text"),
            ("é".as_bytes(), "text"),
            (b"<!DOCTYPE html>", "web page"),
            (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
            (&[0; 100], "only zeros"),
            (&[0; 4], "only zeros"),
            (b"\x01\x02\x03\x04\x05", "does not begin"),
        ];
        for (bytes, word) in cases {
            let found = recognize(bytes).unwrap_or("nothing");
            assert!(found.contains(word), "{bytes:?}: {found}");
        }
    }

    #[test]
    fn versions_known_and_unknown_are_not_foreign() {
        for version in [0.1_f32, 0.2, 0.3, 1.0, 7.5] {
            assert_eq!(recognize(&version.to_le_bytes()), None, "{version}");
        }
        // Version 0.0 of 640x480.
        assert_eq!(recognize(b"\0\0\0\0\x80\x02\xe0\x01"), None);
        // Cut off inside the version.
        assert_eq!(recognize(&0.2_f32.to_le_bytes()[..3]), None);
    }
}
