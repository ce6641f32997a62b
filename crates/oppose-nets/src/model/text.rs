//! Reads protobuf's text format field by field, without storing or allocating anything.

use super::error::PrototxtError;

/// What follows a field's name.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// A number, a word of an enumeration, `true` or `false`.
    Word(&'a str),
    /// A quoted string, without its quotes.
    Quoted(&'a str),
    /// `{`: the fields that follow belong to a message, up to the `None` that ends it.
    Message,
}

/// A position in a text.
pub(super) struct Text<'a> {
    rest: &'a str,
    line: usize,
    /// Messages that are open here.
    depth: usize,
    /// The field whose list of values `[a, b]` is open here.
    list: Option<&'a str>,
}

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1, depth: 0, list: None }
    }

    /// Line of the position, from 1.
    pub(super) fn line(&self) -> usize {
        self.line
    }

    /// The next field of the open message, or `None` at its end.
    pub(super) fn field(&mut self) -> Result<Option<(&'a str, Value<'a>)>, PrototxtError> {
        self.skip_blank();
        if let Some(name) = self.list {
            if !self.eat(']') {
                return self.value(name).map(Some);
            }
            self.list = None;
            self.skip_blank();
        }
        if self.rest.is_empty() && self.depth == 0 {
            return Ok(None);
        }
        if self.depth > 0 && self.eat('}') {
            self.depth -= 1;
            return Ok(None);
        }
        let name = self.word("a field's name or }")?;
        self.skip_blank();
        let colon = self.eat(':');
        self.skip_blank();
        if self.eat('{') {
            self.depth += 1;
            return Ok(Some((name, Value::Message)));
        }
        if !colon {
            return Err(self.unexpected(": or {"));
        }
        if self.eat('[') {
            self.list = Some(name);
            return self.field();
        }
        self.value(name).map(Some)
    }

    /// Skips the message that was opened last.
    pub(super) fn skip_message(&mut self) -> Result<(), PrototxtError> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            self.field()?;
        }
        Ok(())
    }

    /// The error that something else was expected at this position.
    pub(super) fn unexpected(&self, expected: &'static str) -> PrototxtError {
        let found = self.rest.lines().next().unwrap_or("").chars().take(32).collect();
        PrototxtError::Syntax { line: self.line, expected, found }
    }

    fn value(&mut self, name: &'a str) -> Result<(&'a str, Value<'a>), PrototxtError> {
        for quote in ['"', '\''] {
            if self.eat(quote) {
                let end = self.rest.find([quote, '\\', '\n']).unwrap_or(self.rest.len());
                let (text, rest) = self.rest.split_at(end);
                self.rest = rest;
                if !self.eat(quote) {
                    return Err(self.unexpected("the string's end on its line, without a backslash in it"));
                }
                return Ok((name, Value::Quoted(text)));
            }
        }
        Ok((name, Value::Word(self.word("a value")?)))
    }

    fn word(&mut self, expected: &'static str) -> Result<&'a str, PrototxtError> {
        let other = |c: char| !(c.is_ascii_alphanumeric() || "_.+-".contains(c));
        let end = self.rest.find(other).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        if word.is_empty() {
            return Err(self.unexpected(expected));
        }
        self.rest = rest;
        Ok(word)
    }

    fn eat(&mut self, expected: char) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Skips white space, comments and the separators that may follow a value.
    fn skip_blank(&mut self) {
        loop {
            let rest =
                self.rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',' || c == ';');
            self.line += self.rest[..self.rest.len() - rest.len()].matches('\n').count();
            self.rest = rest;
            if !rest.starts_with('#') {
                return;
            }
            self.rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_all_forms() {
        let mut text = Text::new("# c\na: 1; b { c: 'x' d: [2, 3] }\nb: { } e: -0.5e+1");
        let mut found = Vec::new();
        while let Some((name, value)) = text.field().unwrap() {
            if value == Value::Message {
                while let Some(inner) = text.field().unwrap() {
                    found.push(inner);
                }
            } else {
                found.push((name, value));
            }
        }
        let expected = [
            ("a", Value::Word("1")),
            ("c", Value::Quoted("x")),
            ("d", Value::Word("2")),
            ("d", Value::Word("3")),
            ("e", Value::Word("-0.5e+1")),
        ];
        assert_eq!(found, expected);
        assert_eq!(text.line(), 3);
    }

    #[test]
    fn a_message_is_skipped_to_its_end() {
        let mut text = Text::new("a { b { c: 1 } d: 2 } e: 3");
        assert_eq!(text.field().unwrap(), Some(("a", Value::Message)));
        text.skip_message().unwrap();
        assert_eq!(text.field().unwrap(), Some(("e", Value::Word("3"))));
    }

    #[test]
    fn errors_name_the_line() {
        for (mistake, line) in
            [("a: 1\nb 2", 2), ("a {\n", 2), ("}", 1), ("a: \"x\ny\"", 1), ("a: [ {} ]", 1)]
        {
            let mut text = Text::new(mistake);
            let error = loop {
                match text.field() {
                    Ok(Some(_)) => {}
                    Ok(None) => panic!("{mistake:?} was accepted"),
                    Err(error) => break error,
                }
            };
            assert!(
                matches!(error, PrototxtError::Syntax { line: l, .. } if l == line),
                "{mistake:?}: {error}"
            );
        }
    }
}
