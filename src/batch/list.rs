//! Lists of videos: one line per video, its path, its output and remarks separated by tabs.
//!
//! A path is written as it is, so that a list can be made by `find` or by hand. Only a path with a tab or a line break
//! in it, or one that begins with a quotation mark, is quoted as git does it: `"two\nlines.mp4"`. In quotes, `\t`,
//! `\n`, `\r`, `\"`, `\\` and three octal digits (`\303`) stand for one byte each. Blank lines, a byte-order mark and
//! carriage returns at the ends of lines are ignored.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// UTF-8's byte-order mark, with which some editors begin a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line<'a> {
    /// Counted from 1.
    pub number: usize,
    /// The video. Empty where the line begins with a tab.
    pub video: PathBuf,
    /// Its output, where the line names one.
    pub output: Option<PathBuf>,
    /// The line as it is, without its line break.
    pub raw: &'a [u8],
}

/// The lines of a list, without the blank ones.
pub fn lines(bytes: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    bytes.split(|&byte| byte == b'\n').enumerate().filter_map(|(index, raw)| {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if raw.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        let mut fields = raw.split(|&byte| byte == b'\t').map(unquoted);
        let path = |field: Cow<'_, [u8]>| PathBuf::from(OsStr::from_bytes(&field));
        let video = fields.next().map(path).unwrap_or_default();
        let output = fields.next().filter(|output| !output.is_empty()).map(path);
        Some(Line { number: index + 1, video, output, raw })
    })
}

/// Appends a line; tabs and line breaks in the remark become spaces.
pub fn add_line(list: &mut Vec<u8>, video: &Path, output: &Path, remark: Option<&str>) {
    add_path(list, video);
    list.push(b'\t');
    add_path(list, output);
    if let Some(remark) = remark {
        list.push(b'\t');
        list.extend(remark.bytes().map(|byte| if b"\t\n\r".contains(&byte) { b' ' } else { byte }));
    }
    list.push(b'\n');
}

/// Appends a path, quoted where it has to be.
pub fn add_path(list: &mut Vec<u8>, path: &Path) {
    let bytes = path.as_os_str().as_bytes();
    let is_plain = !bytes.iter().any(|byte| b"\t\n\r".contains(byte))
        && !bytes.starts_with(b"\"")
        && !bytes.starts_with(BYTE_ORDER_MARK)
        && !bytes.iter().all(u8::is_ascii_whitespace);
    if is_plain {
        list.extend(bytes);
        return;
    }
    list.push(b'"');
    for &byte in bytes {
        match byte {
            b'\t' => list.extend(b"\\t"),
            b'\n' => list.extend(b"\\n"),
            b'\r' => list.extend(b"\\r"),
            b'"' | b'\\' => list.extend([b'\\', byte]),
            _ => list.push(byte),
        }
    }
    list.push(b'"');
}

/// The path that a field stands for. What is not wholly a quoted path is taken as it is.
fn unquoted(field: &[u8]) -> Cow<'_, [u8]> {
    match field.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).and_then(unescaped) {
        Some(path) => Cow::Owned(path),
        None => Cow::Borrowed(field),
    }
}

fn unescaped(quoted: &[u8]) -> Option<Vec<u8>> {
    let mut path = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter().copied();
    while let Some(byte) = bytes.next() {
        path.push(match byte {
            b'"' => return None,
            b'\\' => match bytes.next()? {
                b't' => b'\t',
                b'n' => b'\n',
                b'r' => b'\r',
                plain @ (b'"' | b'\\') => plain,
                first @ b'0'..=b'3' => {
                    let mut value = first - b'0';
                    for _ in 0..2 {
                        let digit = bytes.next().filter(|digit| (b'0'..=b'7').contains(digit))?;
                        value = value << 3 | (digit - b'0');
                    }
                    value
                }
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_lists_stay_as_they_are() {
        let mut list = Vec::new();
        for name in ["/v/a b.mp4", r"C:\clips\new.mp4", "/v/50% \u{e9}.mp4", "/v/\"quoted\".mp4"] {
            let start = list.len();
            add_path(&mut list, Path::new(name));
            assert_eq!(&list[start..], name.as_bytes());
        }
        let list = "\u{feff}a.mp4\r\n\n  \r\n\"b.mp4\tout/b.pose\twhy\n\"c\\d\"\n\tx.pose\n";
        let found: Vec<_> =
            lines(list.as_bytes()).map(|line| (line.number, line.video, line.output)).collect();
        let expected: [(usize, &str, Option<&str>); 4] = [
            (1, "a.mp4", None),
            // Not quoted: the second mark is missing, and \d is no escape.
            (4, "\"b.mp4", Some("out/b.pose")),
            (5, "\"c\\d\"", None),
            (6, "", Some("x.pose")),
        ];
        assert_eq!(found, expected.map(|(line, a, b)| (line, PathBuf::from(a), b.map(PathBuf::from))));
        assert_eq!(&*unquoted(br#""Z\303\274rich""#), "Zürich".as_bytes());
    }

    proptest! {
        #[test]
        fn every_name_comes_back(names in prop::collection::vec(prop::collection::vec(1u8.., 1..12), 1..5)) {
            let path = |bytes: &Vec<u8>| PathBuf::from(OsStr::from_bytes(bytes));
            let names: Vec<PathBuf> = names.iter().map(path).collect();
            let mut list = Vec::new();
            for name in &names {
                add_line(&mut list, name, name, Some("a\treason\nof two lines"));
            }
            let found: Vec<_> = lines(&list).map(|line| (line.video, line.output)).collect();
            let expected: Vec<_> = names.into_iter().map(|name| (name.clone(), Some(name))).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            lines(&bytes).for_each(drop);
        }
    }
}
