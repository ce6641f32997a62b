//! Foreign text made safe to show on a terminal or in a page: file names and messages come from anywhere, and
//! anything that could move the cursor, change colours or reverse the reading direction is escaped.

use std::fmt::{self, Display, Write as _};
use std::path::Path;

/// A path made safe to show: control characters, bidirectional marks and bytes that are not UTF-8 are escaped.
pub fn printable<P: AsRef<Path> + ?Sized>(path: &P) -> Printable<'_> {
    Printable(path.as_ref())
}

/// See [`printable`].
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(&'a Path);

impl Display for Printable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let mut filter = Filter { out: &mut text, keeps_line_breaks: false };
        for chunk in self.0.as_os_str().as_encoded_bytes().utf8_chunks() {
            filter.write_str(chunk.valid())?;
            for byte in chunk.invalid() {
                write!(filter, "\\x{byte:02x}")?;
            }
        }
        formatter.pad(&text)
    }
}

/// A message made safe to show: like [`printable`], but line breaks and tabs are kept.
pub fn printable_message(message: impl Display) -> String {
    let mut text = String::new();
    // Writing into a `String` fails only where a `Display` implementation does: what came before is still of use.
    let _ = write!(Filter { out: &mut text, keeps_line_breaks: true }, "{message}");
    text
}

/// Text on its way to a reader.
struct Filter<'a> {
    out: &'a mut String,
    keeps_line_breaks: bool,
}

impl fmt::Write for Filter<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '\n' if self.keeps_line_breaks => self.out.push('\n'),
                // Harmless in a message, and common in what libraries print.
                '\t' if self.keeps_line_breaks => self.out.push('\t'),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\0'..='\x7f' if character.is_ascii_control() => {
                    write!(self.out, "\\x{:02x}", u32::from(character))?;
                }
                _ if character.is_control() || is_invisible(character) => {
                    write!(self.out, "\\u{{{:x}}}", u32::from(character))?;
                }
                _ => self.out.push(character),
            }
        }
        Ok(())
    }
}

/// Characters that change how the text after them is shown: direction marks, line and paragraph separators,
/// byte-order mark.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    #[test]
    fn names_cannot_command_the_terminal() {
        let shown = |name: &[u8]| printable(OsStr::from_bytes(name)).to_string();
        assert_eq!(shown(b"a \x1b[2Jb\r\n\tc\x7f.mp4"), "a \\x1b[2Jb\\r\\n\\tc\\x7f.mp4");
        assert_eq!(shown("\u{202e}4pm.exe\u{2066}\u{9b}1m".as_bytes()), "\\u{202e}4pm.exe\\u{2066}\\u{9b}1m");
        assert_eq!(shown(b"\xff\xc3.mp4"), "\\xff\\xc3.mp4");
        assert_eq!(shown("Zürich 東京 🙂.mp4".as_bytes()), "Zürich 東京 🙂.mp4");
        assert_eq!(printable_message("first\n\x1b]0;title\x07second"), "first\n\\x1b]0;title\\x07second");
        assert_eq!(format!("{:>6}|", printable("ab")), "    ab|");
    }
}
