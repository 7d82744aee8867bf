use std::fmt::{Result, Write};

/// Where rendered text goes, and so how printed values are escaped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Escape {
    /// Plain text and JSON values: as they are.
    #[default]
    None,
    /// HTML text and quoted attributes.
    Html,
    /// Slack's `mrkdwn`, in which `<…>` mentions people, calls channels and links.
    Slack,
    /// Markdown of Teams' adaptive cards.
    Markdown,
}

impl Escape {
    /// Writes text so that it shows as it is and means nothing more.
    pub(super) fn write(self, text: &str, out: &mut impl Write) -> Result {
        match self {
            Self::None => out.write_str(text),
            Self::Html => replace(text, out, |letter| match letter {
                '&' => Some("&amp;"),
                '<' => Some("&lt;"),
                '>' => Some("&gt;"),
                '"' => Some("&quot;"),
                '\'' => Some("&#x27;"),
                _ => None,
            }),
            // Slack's documentation names these three and no others.
            Self::Slack => replace(text, out, |letter| match letter {
                '&' => Some("&amp;"),
                '<' => Some("&lt;"),
                '>' => Some("&gt;"),
                _ => None,
            }),
            Self::Markdown => markdown(text, out),
        }
    }
}

fn replace(
    text: &str,
    out: &mut impl Write,
    with: impl Fn(char) -> Option<&'static str>,
) -> Result {
    let mut plain = 0;
    for (at, letter) in text.char_indices() {
        if let Some(escaped) = with(letter) {
            out.write_str(&text[plain..at])?;
            out.write_str(escaped)?;
            plain = at + letter.len_utf8();
        }
    }
    out.write_str(&text[plain..])
}

/// Puts a backslash before what Markdown would act on: anywhere in a line, and at its beginning for lists and headings.
fn markdown(text: &str, out: &mut impl Write) -> Result {
    let mut line_begins = true;
    for letter in text.chars() {
        let acts = matches!(
            letter,
            '\\' | '`' | '*' | '_' | '[' | ']' | '~' | '<' | '>' | '&'
        ) || (line_begins && matches!(letter, '#' | '-' | '+' | '='));
        if acts {
            out.write_char('\\')?;
        }
        out.write_char(letter)?;
        line_begins = letter == '\n' || (line_begins && letter == ' ');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Escape;
    use proptest::prelude::*;

    fn escaped(escape: Escape, text: &str) -> String {
        let mut out = String::new();
        escape.write(text, &mut out).unwrap();
        out
    }

    fn unescape_entities(text: &str) -> String {
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&#x27;", "'")
            .replace("&amp;", "&")
    }

    fn unescape_backslashes(text: &str) -> String {
        let mut out = String::new();
        let mut letters = text.chars();
        while let Some(letter) = letters.next() {
            out.push(if letter == '\\' {
                letters.next().unwrap()
            } else {
                letter
            });
        }
        out
    }

    #[test]
    fn a_channel_is_not_called_and_nobody_is_mentioned() {
        assert_eq!(
            escaped(Escape::Slack, "<!channel> <@U123> <https://a|b> & so"),
            "&lt;!channel&gt; &lt;@U123&gt; &lt;https://a|b&gt; &amp; so"
        );
    }

    #[test]
    fn markdown_links_lists_and_emphasis_show_as_they_are() {
        assert_eq!(
            escaped(Escape::Markdown, "[a](https://b) **c** x-y\n- d_e"),
            r"\[a\](https://b) \*\*c\*\* x-y
\- d\_e"
        );
    }

    proptest! {
        #[test]
        fn escaped_html_holds_no_markup_and_loses_nothing(text in r#"[a-z<>&"'/;# é]{0,40}"#) {
            let html = escaped(Escape::Html, &text);
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
            prop_assert_eq!(unescape_entities(&html), text);
        }

        #[test]
        fn escaped_slack_text_holds_no_angle_and_loses_nothing(text in r"[a-z<>&!@#|; é]{0,40}") {
            let slack = escaped(Escape::Slack, &text);
            prop_assert!(!slack.contains(['<', '>']));
            prop_assert_eq!(unescape_entities(&slack), text);
        }

        #[test]
        fn escaped_markdown_loses_nothing(text in r"[a-z\\`*_\[\]~<>&#+()\n -]{0,40}") {
            let markdown = escaped(Escape::Markdown, &text);
            prop_assert_eq!(unescape_backslashes(&markdown), text);
        }

        #[test]
        fn every_acting_letter_of_markdown_stands_behind_a_backslash(text in r"[a-z`*_\[\]~<> ]{0,40}") {
            let markdown = escaped(Escape::Markdown, &text);
            let letters: Vec<char> = markdown.chars().collect();
            for (at, letter) in letters.iter().enumerate() {
                if "`*_[]~<>".contains(*letter) {
                    prop_assert!(at > 0 && letters[at - 1] == '\\');
                }
            }
        }
    }
}
