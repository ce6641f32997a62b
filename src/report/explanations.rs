//! What failures mean: the sentences of docs/troubleshooting.md, found by the message.

use std::sync::LazyLock;

use serde::Serialize;

const TROUBLESHOOTING: &str = include_str!("../../docs/troubleshooting.md");

/// A match of fewer letters than this is a coincidence.
const FEWEST_LETTERS: usize = 8;

/// A row of docs/troubleshooting.md.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Explanation {
    /// The section it is in.
    pub section: &'static str,
    /// The message; `…` marks the parts that vary.
    pub message: &'static str,
    /// What it means and what to do, as Markdown.
    pub text: &'static str,
}

impl Explanation {
    /// The explanation of a failure, if there is one: that of the message that has most in common with it.
    ///
    /// ```
    /// # use oppose::report::Explanation;
    /// let found = Explanation::of("expected a video stream, found only audio").unwrap();
    /// assert_eq!(found.message, "expected a video stream, found only …");
    /// ```
    pub fn of(failure: &str) -> Option<&'static Self> {
        static ALL: LazyLock<Vec<Explanation>> = LazyLock::new(|| all(TROUBLESHOOTING).collect());
        let letters = |explanation: &&Self| matching_letters(explanation.message, failure);
        ALL.iter().filter(|explanation| letters(explanation) >= FEWEST_LETTERS).max_by_key(letters)
    }
}

/// The rows of the tables.
fn all(page: &'static str) -> impl Iterator<Item = Explanation> {
    let mut section = "";
    page.lines().filter_map(move |line| {
        if let Some(title) = line.strip_prefix("## ") {
            section = title;
        }
        let (message, text) = line.strip_prefix("| `")?.split_once("` | ")?;
        Some(Explanation { section, message, text: text.strip_suffix(" |")? })
    })
}

/// How many letters of the pattern are in the message, in the same order; 0 if some are not.
fn matching_letters(pattern: &str, message: &str) -> usize {
    let mut rest = message;
    let mut letters = 0;
    for part in pattern.split('…') {
        let Some(at) = rest.find(part) else { return 0 };
        rest = &rest[at + part.len()..];
        letters += part.trim().len();
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_message_is_explained_by_its_own_row() {
        let explanations: Vec<Explanation> = all(TROUBLESHOOTING).collect();
        assert!(explanations.len() > 60, "{}", explanations.len());
        for explanation in explanations {
            let message = explanation.message.replace('…', "17");
            // `skipped: …` is no failure, and its pattern is too short to be sure of.
            if explanation.message.replace('…', "").len() > 12 {
                assert_eq!(Explanation::of(&message).unwrap().message, explanation.message);
            }
        }
        assert_eq!(Explanation::of("the cat sat on the keyboard"), None);
    }
}
