//! Text from events, made safe for one line of a header and for people's eyes.

use std::time::Duration;

/// Removes what steers a reader's terminal or screen rather than says something: control characters (but line feed and
/// tab), bidirectional overrides, invisible characters and tags.
pub(crate) fn text(text: &str) -> String {
    let unix = text.replace("\r\n", "\n").replace('\r', "\n");
    unix.chars()
        .filter(|letter| matches!(letter, '\n' | '\t') || !steers(*letter))
        .map(|letter| if breaks(letter) { '\n' } else { letter })
        .collect()
}

/// Makes one line of at most `limit` characters: like [`text`], with every run of white space one space.
pub(crate) fn line(text: &str, limit: usize) -> String {
    let spaced: String = text
        .chars()
        .map(|letter| {
            if letter.is_control() || breaks(letter) {
                ' '
            } else {
                letter
            }
        })
        .filter(|letter| !steers(*letter))
        .collect();
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= limit {
        return line;
    }
    let mut short: String = line.chars().take(limit.saturating_sub(1)).collect();
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

/// A length of time as people say it: what is left of two seconds after a thousandth is still `2 s`.
pub(crate) fn seconds(time: Duration) -> String {
    let tenths = (time.as_millis() + 50) / 100;
    match (tenths / 10, tenths % 10) {
        (0, 0) => "0.1 s".to_owned(),
        (whole, 0) => format!("{whole} s"),
        (whole @ 0..10, tenth) => format!("{whole}.{tenth} s"),
        (whole, tenth) => format!("{} s", whole + u128::from(tenth >= 5)),
    }
}

/// Says whether a text holds nothing that [`line`] would change but its length.
pub(crate) fn is_plain(text: &str) -> bool {
    !text
        .chars()
        .any(|letter| letter.is_control() || steers(letter) || breaks(letter))
}

fn breaks(letter: char) -> bool {
    matches!(letter, '\u{2028}' | '\u{2029}' | '\u{85}')
}

fn steers(letter: char) -> bool {
    // Nearly all letters of a mail.
    if letter.is_ascii() {
        return letter.is_ascii_control();
    }
    if breaks(letter) {
        return false;
    }
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{2069}'
                | '\u{206a}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_without_what_nobody_cares_for() {
        for (millis, expected) in [
            (0, "0.1 s"),
            (1, "0.1 s"),
            (300, "0.3 s"),
            (1_250, "1.3 s"),
            (1_999, "2 s"),
            (2_000, "2 s"),
            (9_949, "9.9 s"),
            (29_960, "30 s"),
            (29_640, "30 s"),
            (29_400, "29 s"),
            (120_000, "120 s"),
        ] {
            assert_eq!(seconds(Duration::from_millis(millis)), expected, "{millis}");
        }
    }
    use proptest::prelude::*;

    #[test]
    fn a_line_break_in_a_title_is_a_space() {
        assert_eq!(
            line("Root login\r\nBcc: x@example.com", 100),
            "Root login Bcc: x@example.com"
        );
        assert_eq!(line("a\u{2028}b\u{2029}c\u{85}d\u{0}e", 100), "a b c d e");
    }

    #[test]
    fn overrides_and_invisible_characters_vanish() {
        assert_eq!(
            line("invoice\u{202e}fdp.exe\u{200b}", 100),
            "invoicefdp.exe"
        );
        assert_eq!(text("a\u{1b}[31mb\u{7f}\nc\td"), "a[31mb\nc\td");
        assert_eq!(line("hi\u{e0041}\u{e0042}", 100), "hi");
    }

    #[test]
    fn letters_of_every_script_and_joined_emoji_stay() {
        let written = "Ünïcode — 日本語 · עברית · فارسی 👩\u{200d}💻";
        assert_eq!(line(written, 100), written);
        assert_eq!(text(written), written);
    }

    #[test]
    fn a_long_line_is_cut_with_an_ellipsis() {
        assert_eq!(line(&"ab ".repeat(100), 9), "ab ab ab…");
    }

    proptest! {
        #[test]
        fn a_line_is_one_line_and_stays_as_it_is_when_made_again(given in any::<String>(), limit in 1usize..80) {
            let made = line(&given, limit);
            prop_assert!(is_plain(&made));
            prop_assert!(made.chars().count() <= limit);
            prop_assert_eq!(line(&made, limit), made);
        }

        #[test]
        fn neutral_text_holds_only_line_feeds_and_tabs_of_the_controls(given in any::<String>()) {
            let made = text(&given);
            let odd = made.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\t'));
            prop_assert_eq!(odd, None);
            prop_assert_eq!(text(&made), made);
        }

        #[test]
        fn plain_text_is_not_changed(given in "[a-zA-Z0-9 .,:;äöü日本-]{0,60}") {
            prop_assert_eq!(text(&given), given);
        }
    }
}
