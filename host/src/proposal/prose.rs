//! Other people's text in a pull request: shown as it is, and without effect.

/// Text as code: in it nothing links, mentions or formats.
pub(super) fn code(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|letter| match letter {
            '`' => '\'',
            '\n' | '\r' => ' ',
            letter => letter,
        })
        .collect();
    format!("`{}`", clean.replace('|', "\\|"))
}

/// Text as text: marks of Markdown and HTML lose their meaning, and nobody is mentioned.
pub(super) fn prose(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\n' | '\r' => safe.push(' '),
            '@' => safe.push_str("@\u{200b}"),
            '#' => safe.push_str("#\u{200b}"),
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' => {
                safe.push('\\');
                safe.push(letter);
            }
            letter => safe.push(letter),
        }
    }
    // A bare address would become a link.
    safe.replace("://", ":\u{200b}//")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_can_neither_mention_nor_format_nor_link() {
        let hostile = "@team [x](http://evil) <img src=x> |a|\n# b `c` #12 GH-1";
        let safe = prose(hostile);
        for mark in [
            "@team", "[x](", "<img", " |a", "\n", " `c", "http://", " #1",
        ] {
            assert!(!safe.contains(mark), "{mark}: {safe}");
        }
        assert_eq!(code("a`b|c\n@team"), "`a'b\\|c @team`");
    }
}
