//! Takes the ARNs that name a DynamoDB table apart.

use std::borrow::Cow;

/// An ARN of a table, or of something below one: an index, a stream, a backup, an export.
///
/// Shape: `arn:<partition>:dynamodb:<region>:<account>:table/<name>[/index/<name>|/stream/…|…]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableArn<'d> {
    pub region: &'d str,
    /// Field 5; none when it is empty.
    pub account_id: Option<&'d str>,
    /// None when a pattern (`table/*`), as sentences about refused calls have it.
    pub name: Option<&'d str>,
    /// The part of the text that names the table; none for a pattern and a global table.
    pub table_arn: Option<&'d str>,
    pub index: Option<&'d str>,
}

impl<'d> TableArn<'d> {
    /// None when `text` is not such an ARN.
    pub fn parse(text: &'d str) -> Option<TableArn<'d>> {
        let (_partition, rest) = split_at_first(b':', text.strip_prefix("arn:")?)?;
        let (region, rest) = split_at_first(b':', rest.strip_prefix("dynamodb:")?)?;
        let (account_id, resource) = split_at_first(b':', rest)?;
        let account_id = Some(account_id).filter(|account| !account.is_empty());
        let (is_global, path) = match resource.strip_prefix("table/") {
            Some(path) => (false, path),
            None => (true, resource.strip_prefix("global-table/")?),
        };
        let (name, below) = split_at_first(b'/', path).unwrap_or((path, ""));
        if name.is_empty() {
            return None;
        }
        let name = Some(name).filter(|name| !is_pattern(name));
        let table_end = text.len() - if below.is_empty() { 0 } else { below.len() + 1 };
        let index = below
            .strip_prefix("index/")
            .map(|rest| rest.split_once('/').map_or(rest, |(index, _)| index))
            .filter(|index| !index.is_empty() && !is_pattern(index));
        Some(TableArn {
            region,
            account_id,
            name,
            table_arn: name
                .filter(|_| !is_global)
                .map(|_| text[..table_end].trim_end_matches('/')),
            index,
        })
    }
}

fn is_pattern(text: &str) -> bool {
    text.bytes().any(|byte| matches!(byte, b'*' | b'?'))
}

/// `split_once` for an ASCII character; every event's ARNs come by here.
fn split_at_first(mark: u8, text: &str) -> Option<(&str, &str)> {
    let at = memchr::memchr(mark, text.as_bytes())?;
    Some((&text[..at], &text[at + 1..]))
}

/// The ARN of a table of which the record says only the name.
pub fn table_arn<'d>(region: &str, account_id: &str, name: &str) -> Cow<'d, str> {
    let partition = partition_of_region(region);
    let mut arn = String::with_capacity(32 + region.len() + account_id.len() + name.len());
    for part in [
        "arn:",
        partition,
        ":dynamodb:",
        region,
        ":",
        account_id,
        ":table/",
        name,
    ] {
        arn.push_str(part);
    }
    Cow::Owned(arn)
}

pub fn partition_of_region(region: &str) -> &'static str {
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_below_a_table_names_the_table() {
        let table = "arn:aws-cn:dynamodb:cn-north-1:111122223333:table/Music";
        for (below, index) in [
            ("", None),
            ("/", None),
            ("/index/by-year", Some("by-year")),
            ("/index/*", None),
            ("/stream/2021-04-15T04:02:47.428", None),
            ("/backup/01489602797149-73d8d5bc", None),
        ] {
            let text = format!("{table}{below}");
            let arn = TableArn::parse(&text).expect("an ARN of a table");
            assert_eq!(arn.name, Some("Music"), "{text}");
            assert_eq!(arn.table_arn, Some(table), "{text}");
            assert_eq!(arn.account_id, Some("111122223333"), "{text}");
            assert_eq!(arn.index, index, "{text}");
        }
    }

    #[test]
    fn patterns_and_other_services_name_no_table() {
        let pattern = TableArn::parse("arn:aws:dynamodb:us-east-1:111122223333:table/*");
        let pattern = pattern.expect("an ARN with a pattern");
        assert_eq!((pattern.name, pattern.table_arn), (None, None));
        assert_eq!(pattern.account_id, Some("111122223333"));
        for text in [
            "*",
            "",
            "arn:aws:kinesis:us-east-1:111122223333:stream/s",
            "arn:aws:dynamodb:us-east-1:111122223333:table/",
            "arn:aws:dynamodb:us-east-1",
        ] {
            assert_eq!(TableArn::parse(text), None, "{text}");
        }
        let global = TableArn::parse("arn:aws:dynamodb::111122223333:global-table/Music");
        let global = global.expect("an ARN of a global table");
        assert_eq!((global.name, global.table_arn), (Some("Music"), None));
    }
}
