//! A message as the body of a Slack webhook, in which no name of the log can call or link anybody.
//!
//! Limits and escapes: <https://docs.slack.dev/reference/block-kit/blocks> and
//! <https://docs.slack.dev/messaging/formatting-message-text>.

use serde_json::{Value, json};

use super::message::Message;

/// Blocks of a message: Slack takes 50.
const MAX_BLOCKS: usize = 45;

/// Characters of a block's text: Slack takes 3000.
const MAX_BLOCK_CHARACTERS: usize = 2900;

/// Words that call many people where `@` stands before them, also in programs that only resemble
/// Slack.
const CALLS: [&str; 4] = ["channel", "here", "everyone", "all"];

/// The body: what Slack shows, and the message's own JSON beside it as `dynatrail`.
pub fn body(message: &Message) -> Value {
    let subject = message.subject();
    let mut blocks = vec![json!({
        "type": "header",
        "text": {"type": "plain_text", "text": subject, "emoji": false},
    })];
    let paragraphs = message.paragraphs();
    let left_out = paragraphs.len().saturating_sub(MAX_BLOCKS);
    for lines in paragraphs.iter().take(MAX_BLOCKS) {
        blocks.push(section(lines));
    }
    if left_out > 0 {
        blocks.push(section(&[format!("and {left_out} paragraphs more")]));
    }
    json!({
        "text": escaped(&subject),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
        "dynatrail": message,
    })
}

fn section(lines: &[String]) -> Value {
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let line = escaped(line);
        if text.chars().count() + line.chars().count() + 1 > MAX_BLOCK_CHARACTERS {
            text.push_str("\n…");
            break;
        }
        if number > 0 {
            text.push('\n');
        }
        text.push_str(&line);
    }
    // Verbatim: addresses are not made links, nor names made mentions.
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": true}})
}

/// The text with Slack's own three characters escaped, and `@` parted from words that call many.
pub fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '@' => {
                safe.push('@');
                let rest = &text[at + 1..];
                let calls = |word: &&str| {
                    let head = rest.get(..word.len());
                    head.is_some_and(|head| head.eq_ignore_ascii_case(word))
                };
                if CALLS.iter().any(&calls) {
                    safe.push('\u{2060}');
                }
            }
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_called_and_nothing_is_a_link() {
        for (text, safe) in [
            ("<!channel> & co", "&lt;!channel&gt; &amp; co"),
            ("<https://x.example|ok>", "&lt;https://x.example|ok&gt;"),
            (
                "@Here @allow anna@example.com @",
                "@\u{2060}Here @\u{2060}allow anna@example.com @",
            ),
            ("&lt;!here&gt;", "&amp;lt;!here&amp;gt;"),
            ("@hér", "@hér"),
        ] {
            assert_eq!(escaped(text), safe);
        }
    }

    #[test]
    fn a_block_is_no_longer_than_slack_takes() {
        let lines = vec!["<".repeat(400); 20];
        let text = section(&lines)["text"]["text"]
            .as_str()
            .expect("a text")
            .to_owned();
        assert!(
            text.chars().count() <= 3000 && text.ends_with('…'),
            "{text}"
        );
    }
}
