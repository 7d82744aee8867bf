/// Makes a plain reading of HTML, for readers that show none: the text, blocks on lines of their own, addresses of
/// links behind their text.
pub(super) fn from_html(html: &str) -> String {
    let mut out = String::new();
    let mut rest = html;
    let mut link: Option<String> = None;
    while let Some(at) = rest.find('<') {
        out.push_str(&decoded(&rest[..at]));
        let after = &rest[at + 1..];
        if let Some(comment) = after.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, rest)| rest);
            continue;
        }
        let Some(end) = end_of_tag(after) else {
            rest = "";
            break;
        };
        let tag = &after[..end];
        rest = &after[end + 1..];
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect::<String>()
            .to_ascii_lowercase();
        let closes = tag.starts_with('/');
        match name.as_str() {
            "style" | "script" | "head" | "title" if !closes => {
                let close = format!("</{name}");
                rest = rest
                    .to_ascii_lowercase()
                    .find(&close)
                    .map_or("", |at| &rest[at..]);
            }
            "a" if !closes => link = attribute(tag, "href"),
            "a" => {
                if let Some(url) = link.take()
                    && !out.trim_end().ends_with(&url)
                {
                    out.push_str(&format!(" ({url})"));
                }
            }
            "br" | "p" | "div" | "tr" | "li" | "ul" | "ol" | "table" | "h1" | "h2" | "h3"
            | "h4" | "hr" | "section" | "header" | "footer" => out.push('\n'),
            "td" | "th" if closes => out.push(' '),
            _ => {}
        }
    }
    out.push_str(&decoded(rest));
    let mut lines: Vec<String> = Vec::new();
    for line in out.lines() {
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if !(line.is_empty() && lines.last().is_none_or(String::is_empty)) {
            lines.push(line);
        }
    }
    let mut text = lines.join("\n").trim_end().to_owned();
    text.push('\n');
    text
}

fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, letter) in text.char_indices() {
        match (quote, letter) {
            (None, '>') => return Some(at),
            (None, '"' | '\'') => quote = Some(letter),
            (Some(open), letter) if open == letter => quote = None,
            _ => {}
        }
    }
    None
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let at = tag.to_ascii_lowercase().find(&format!("{name}="))? + name.len() + 1;
    let value = &tag[at..];
    let quote = value
        .chars()
        .next()
        .filter(|letter| "\"'".contains(*letter))?;
    let value = value[1..].split(quote).next()?;
    Some(decoded(value)).filter(|url| url.starts_with("https://") || url.starts_with("mailto:"))
}

fn decoded(text: &str) -> String {
    text.replace("&nbsp;", " ")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#x27;", "'")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::from_html;
    use proptest::prelude::*;

    #[test]
    fn blocks_are_lines_and_links_show_where_they_lead() {
        let html = r#"<html><head><style>p { color: red }</style></head><body><h1>Root &amp; login</h1>
            <p>See <a href="https://example.com/a?b=1&amp;c=2">the page</a>.</p><!-- no --><ul><li>one</li><li>two</li></ul></body>"#;
        assert_eq!(
            from_html(html),
            "Root & login\n\nSee the page (https://example.com/a?b=1&c=2).\n\none\n\ntwo\n"
        );
    }

    #[test]
    fn a_link_that_shows_its_address_is_not_told_twice() {
        assert_eq!(
            from_html(r#"<a href="https://example.com/">https://example.com/</a>"#),
            "https://example.com/\n"
        );
    }

    #[test]
    fn an_angle_in_an_attribute_does_not_end_the_tag() {
        assert_eq!(from_html(r#"<p title="a > b">text</p>"#), "text\n");
    }

    proptest! {
        #[test]
        fn anything_is_read_to_its_end(html in r#"[a-z<>/"'= &;!-]{0,80}|\PC{0,40}"#) {
            from_html(&html);
        }
    }
}
