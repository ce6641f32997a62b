//! Messages through pipes: a JSON object per line, some followed by raw bytes.

use std::io::{self, BufRead, Read as _, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longer lines are not messages.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Writes a message. The caller flushes.
pub fn write(message: &impl Serialize, output: &mut impl Write) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    output.write_all(&line)
}

/// Reads a message; `None` where the other process has ended.
///
/// # Errors
/// The line is not a message, or the pipe cannot be read.
pub fn read<T: DeserializeOwned>(input: &mut impl BufRead) -> io::Result<Option<T>> {
    match read_line(input)? {
        None => Ok(None),
        Some(line) => Ok(Some(serde_json::from_slice(&line)?)),
    }
}

/// Like [`read`], but skips lines that are not messages, which some library has printed.
#[cfg(feature = "video")]
pub fn read_among_others<T: DeserializeOwned>(input: &mut impl BufRead) -> Option<T> {
    let mut line = Vec::new();
    while matches!(input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line), Ok(1..)) {
        if let Ok(message) = serde_json::from_slice(&line) {
            return Some(message);
        }
        line.clear();
    }
    None
}

fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)?;
    Ok((line.pop() == Some(b'\n')).then_some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_library_prints_between_messages_is_passed_over() {
        let mut printed = b"\xff\xfe words\n".to_vec();
        printed.extend(vec![0; 3 << 20]);
        printed.extend(b"\n\"message\"\n\"cut");
        let mut input = &printed[..];
        assert_eq!(read_among_others::<String>(&mut input).as_deref(), Some("message"));
        assert_eq!(read_among_others::<String>(&mut input), None);
    }

    #[test]
    fn a_message_that_is_cut_off_is_none() {
        assert!(matches!(read::<String>(&mut &b"\"cut"[..]), Ok(None)));
        assert!(read::<String>(&mut &b"nonsense\n"[..]).is_err());
    }
}
