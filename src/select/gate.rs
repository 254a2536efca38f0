//! Rules records out by their text, before anything is parsed.
//!
//! Most records of an archive belong to other services. A record is passed over only if every
//! `"eventSource"` in it, at whatever depth, plainly names an AWS service that is not wanted, and
//! no escape could spell that member or its value in another way. Whatever is less clear than
//! that is parsed.

use memchr::memmem::Finder;

/// A text test for the event sources that can be kept.
pub struct Gate {
    member: Finder<'static>,
    unicode_escape: Finder<'static>,
    /// Sources that may be kept; nothing can be ruled out without them.
    sources: Option<Vec<String>>,
}

impl Gate {
    /// A gate for these event sources; with `None` every record passes.
    pub fn new(sources: Option<Vec<String>>) -> Self {
        Self {
            member: Finder::new(b"\"eventSource\""),
            unicode_escape: Finder::new(b"\\u00"),
            sources,
        }
    }

    /// Whether the record cannot be from a wanted source. `has_backslash` is whether the text
    /// holds a backslash; wrongly `true` costs time alone.
    pub fn rules_out(&self, record: &[u8], has_backslash: bool) -> bool {
        self.ruled_out_by(record, has_backslash).is_some()
    }

    /// Where the last of the sources stands by which the record is ruled out.
    ///
    /// A broken record may have swallowed the beginning of another: only behind this place could that
    /// be one whose source is not in the text.
    pub fn ruled_out_by(&self, record: &[u8], has_backslash: bool) -> Option<usize> {
        let sources = self.sources.as_ref()?;
        let mut last = None;
        for at in self.member.find_iter(record) {
            match plain_source(&record[at + b"\"eventSource\"".len()..]) {
                Some(source) if is_unwanted(source, sources) => last = Some(at),
                _ => return None,
            }
        }
        last.filter(|_| !(has_backslash && self.may_spell_names_by_escapes(record)))
    }

    /// Whether a `\u00XX` escape stands for a letter or a dot, as only odd writers have it; the
    /// escapes that AWS writes are for `<`, `>`, `&`, `=` and `'`.
    fn may_spell_names_by_escapes(&self, record: &[u8]) -> bool {
        self.unicode_escape.find_iter(record).any(|at| {
            let hex = record.get(at + 4..at + 6).unwrap_or_default();
            match std::str::from_utf8(hex).map(|hex| u8::from_str_radix(hex, 16)) {
                Ok(Ok(byte)) => byte.is_ascii_alphabetic() || byte == b'.',
                _ => true,
            }
        })
    }
}

/// The text of a string value that follows a member name, if nothing in it is escaped.
fn plain_source(after_name: &[u8]) -> Option<&[u8]> {
    let value = after_name
        .trim_ascii_start()
        .strip_prefix(b":")?
        .trim_ascii_start()
        .strip_prefix(b"\"")?;
    let end = value.iter().position(|b| matches!(b, b'"' | b'\\'))?;
    (value[end] == b'"').then_some(&value[..end])
}

/// Only names of AWS services say what a record is: `aws:sqs` is the source of an envelope.
fn is_unwanted(source: &[u8], sources: &[String]) -> bool {
    const SERVICE: &[u8] = b".amazonaws.com";
    source.len() > SERVICE.len()
        && source[source.len() - SERVICE.len()..].eq_ignore_ascii_case(SERVICE)
        && !sources
            .iter()
            .any(|wanted| wanted.as_bytes().eq_ignore_ascii_case(source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plainly_unwanted_records_are_ruled_out() {
        let gate = Gate::new(Some(vec!["dynamodb.amazonaws.com".to_owned()]));
        let ruled_out = |text: &str| gate.rules_out(text.as_bytes(), text.contains('\\'));
        assert!(ruled_out(r#"{"eventSource":"ec2.amazonaws.com"}"#));
        assert!(ruled_out(
            r#"{"eventSource" : "ec2.amazonaws.com","x":"a\u003db\n"}"#
        ));
        assert!(ruled_out(
            r#"{"eventSource":"kms.amazonaws.com","x":"dynamodb.amazonaws.com"}"#
        ));
        for kept in [
            r#"{"eventSource":"dynamodb.amazonaws.com"}"#,
            r#"{"eventSource":"DynamoDB.amazonaws.com"}"#,
            r#"{"eventSource" :  "dynamodb.amazonaws.com"}"#,
            r#"{"eventSource":"dynamo\u0064b.amazonaws.com"}"#,
            r#"{"a":{"eventSource":"ec2.amazonaws.com"},"event\u0053ource":"dynamodb.amazonaws.com"}"#,
            r#"{"eventSource":"ec2.amazonaws.com","eventSource":"dynamodb.amazonaws.com"}"#,
            r#"{"eventSource":"aws:sqs","body":"…"}"#,
            r#"{"eventSource":7}"#,
            r#"{"message":"{\"eventSource\":\"ec2.amazonaws.com\"}"}"#,
        ] {
            assert!(!ruled_out(kept), "{kept}");
        }
        let open = Gate::new(None);
        assert!(!open.rules_out(br#"{"eventSource":"ec2.amazonaws.com"}"#, false));
    }
}
