//! What people and programs read: text with restrained colour, or one JSON object a line.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// Where results go and in which form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
    /// Whether text on standard output is coloured.
    pub(crate) color: bool,
    /// Whether work goes on when nobody reads the output any more, as it must where it changes something.
    pub(crate) goes_on: bool,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    Always,
    Never,
}

impl Color {
    /// Decides for one stream, told whether it is a terminal.
    fn on(self, terminal: bool) -> bool {
        match self {
            Self::Auto => {
                terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
            Self::Always => true,
            Self::Never => false,
        }
    }

    pub(crate) fn on_stdout(self) -> bool {
        self.on(io::stdout().is_terminal())
    }

    pub(crate) fn on_stderr(self) -> bool {
        self.on(io::stderr().is_terminal())
    }
}

/// The few looks that text has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Strong,
    Dim,
    Good,
    Bad,
    Doubt,
}

impl Look {
    fn code(self) -> &'static str {
        match self {
            Self::Strong => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Doubt => "33",
        }
    }
}

impl Output {
    /// Writes a line of text; nothing in JSON form.
    pub(crate) fn text(self, line: impl AsRef<str>) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        self.write(line.as_ref())
    }

    fn write(self, line: &str) -> io::Result<()> {
        match writeln!(io::stdout().lock(), "{line}") {
            Err(_) if self.goes_on => Ok(()),
            written => written,
        }
    }

    /// Writes an object as one line; nothing in text form.
    pub(crate) fn object(self, value: &impl Serialize) -> io::Result<()> {
        if !self.json {
            return Ok(());
        }
        self.json_line(value)
    }

    /// Writes an object as one line in either form.
    pub(crate) fn json_line(self, value: &impl Serialize) -> io::Result<()> {
        let line = serde_json::to_string(value).map_err(io::Error::other)?;
        self.write(&escape_invisible(&line))
    }

    /// Dresses text of our own or already cleaned text.
    pub(crate) fn look(self, look: Look, text: impl AsRef<str>) -> String {
        let text = text.as_ref();
        if self.color {
            format!("\u{1b}[{}m{text}\u{1b}[0m", look.code())
        } else {
            text.to_owned()
        }
    }

    /// Writes rows under headings, columns as wide as their widest cell; the last column is not padded.
    pub(crate) fn table(self, headings: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        if self.json {
            return Ok(());
        }
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| one_line(cell)).collect())
            .collect();
        let widths: Vec<usize> = headings
            .iter()
            .enumerate()
            .map(|(column, heading)| {
                rows.iter()
                    .filter_map(|row| row.get(column))
                    .map(|cell| cell.chars().count())
                    .chain([heading.chars().count()])
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        let heading = padded(&widths, headings.iter().copied());
        self.text(self.look(Look::Dim, heading))?;
        for row in &rows {
            self.text(padded(&widths, row.iter().map(String::as_str)))?;
        }
        Ok(())
    }
}

fn padded<'a>(widths: &[usize], cells: impl Iterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (cell, width) in cells.zip(widths) {
        line.push_str(cell);
        let missing = width.saturating_sub(cell.chars().count()) + 2;
        line.extend(std::iter::repeat_n(' ', missing));
    }
    line.trim_end().to_owned()
}

/// Whether a character could steer a terminal or hide what text says.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Strips what could steer a terminal or hide what text says; line breaks stay.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .filter(|character| *character == '\n' || !is_invisible(*character))
        .collect()
}

/// As [`clean`], on one line.
pub(crate) fn one_line(text: &str) -> String {
    clean(&text.replace(['\r', '\n', '\t'], " "))
}

/// Writes what [`clean`] would strip as `\u` escapes, which JSON reads back unchanged.
fn escape_invisible(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if is_invisible(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// One line on standard error that tells how far long work has come; silent unless that is a terminal.
#[derive(Debug)]
pub(crate) struct Progress {
    shown: bool,
    terminal: bool,
}

impl Progress {
    pub(crate) fn new(output: Output) -> Self {
        Self {
            shown: false,
            terminal: !output.json && io::stderr().is_terminal(),
        }
    }

    /// Replaces the line.
    pub(crate) fn show(&mut self, line: &str) {
        if self.terminal {
            self.shown = true;
            let _ = write!(io::stderr().lock(), "\r\u{1b}[2K{}", one_line(line));
        }
    }

    /// Takes the line away.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io::stderr().lock(), "\r\u{1b}[2K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_events_cannot_steer_the_terminal() {
        assert_eq!(
            clean("a\u{1b}[31mred\u{202e}txt\u{9b}2J\u{200b}\nb\r"),
            "a[31mredtxt2J\nb"
        );
        assert_eq!(one_line("a\r\nb\tc"), "a  b c");
    }

    #[test]
    fn escaped_json_reads_back_unchanged() {
        let value = serde_json::json!({"t": "\u{1b}[2J\u{202e}\u{9b}é\u{feff}"});
        let line = escape_invisible(&value.to_string());
        assert!(!line.chars().any(is_invisible), "{line}");
        let back: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(back, value);
    }

    #[test]
    fn colour_is_for_terminals_only() {
        assert!(!Color::Auto.on(false));
        assert!(Color::Always.on(false));
        assert!(!Color::Never.on(true));
    }
}
