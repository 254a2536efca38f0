//! Knows the shapes of resource types and ARNs that event selectors take.

use super::error::{did_you_mean, quote};

pub(super) const TABLE: &str = "AWS::DynamoDB::Table";
pub(super) const STREAM: &str = "AWS::DynamoDB::Stream";
pub(super) const FUNCTION: &str = "AWS::Lambda::Function";
pub(super) const OBJECT: &str = "AWS::S3::Object";

/// Longest name of a DynamoDB table, in characters.
const TABLE_NAME_CHARS: usize = 255;

/// The parts of `arn:partition:service:region:account:resource`.
struct Arn<'a> {
    service: &'a str,
    region: &'a str,
    account: &'a str,
    resource: &'a str,
}

impl<'a> Arn<'a> {
    fn parse(text: &'a str) -> Option<Arn<'a>> {
        let (service, rest) = service_of(text)?;
        let mut parts = rest?.splitn(3, ':');
        Some(Arn {
            service,
            region: parts.next()?,
            account: parts.next()?,
            resource: parts.next()?,
        })
    }

    /// In a Region and of an account of 12 digits.
    fn is_regional(&self) -> bool {
        let region = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !self.region.is_empty()
            && self.region.bytes().all(region)
            && self.account.len() == 12
            && self.account.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// The part of the resource after `table/`, if this is of DynamoDB.
    fn table(&self) -> Option<&'a str> {
        if self.service == "dynamodb" && self.is_regional() {
            self.resource.strip_prefix("table/")
        } else {
            None
        }
    }
}

/// The service of `arn:partition:service…`, and what follows its colon if there is one.
fn service_of(text: &str) -> Option<(&str, Option<&str>)> {
    let (partition, rest) = text.strip_prefix("arn:")?.split_once(':')?;
    let mut words = partition.split('-');
    let named = words.next() == Some("aws")
        && words.all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()));
    if !named {
        return None;
    }
    match rest.split_once(':') {
        Some((service, rest)) => Some((service, Some(rest))),
        None => Some((rest, None)),
    }
}

fn is_table_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    !name.is_empty() && name.len() <= TABLE_NAME_CHARS && name.bytes().all(allowed)
}

/// Refuses a text that is not a resource type; of DynamoDB only tables and streams are types.
pub(super) fn check_type(text: &str) -> Result<(), String> {
    let words: Vec<&str> = text.split("::").collect();
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
    if words.len() != 3 || words[0] != "AWS" || !words.iter().all(is_word) {
        return Err(format!(
            "{} is not a resource type such as {TABLE:?}{}",
            quote(text),
            did_you_mean(text, &[TABLE, STREAM, FUNCTION, OBJECT])
        ));
    }
    if words[1].eq_ignore_ascii_case("DynamoDB") && text != TABLE && text != STREAM {
        return Err(format!(
            "{} is not a resource type of DynamoDB{}; they are {TABLE:?} and {STREAM:?}",
            quote(text),
            did_you_mean(text, &[TABLE, STREAM])
        ));
    }
    Ok(())
}

/// Refuses a value of Equals or NotEquals that is not a whole ARN of the resource type.
pub(super) fn check_whole(resource_type: &str, text: &str) -> Result<(), String> {
    let shape = match resource_type {
        TABLE => "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME",
        STREAM => "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME/stream/LABEL",
        FUNCTION => "arn:aws:lambda:REGION:ACCOUNT:function:NAME",
        OBJECT => "arn:aws:s3:::BUCKET/KEY",
        _ => "arn:aws:SERVICE:REGION:ACCOUNT:RESOURCE",
    };
    let fits = Arn::parse(text).is_some_and(|arn| match resource_type {
        TABLE => arn.table().is_some_and(is_table_name),
        STREAM => is_stream(&arn),
        FUNCTION => is_function(&arn),
        OBJECT => is_object(&arn),
        _ => !arn.service.is_empty() && !arn.resource.is_empty(),
    });
    if fits {
        return Ok(());
    }
    Err(format!(
        "Equals and NotEquals of resources.ARN take a whole ARN of {resource_type}, {shape}, not \
         {}; for a part of one use StartsWith or EndsWith (* is no wildcard)",
        quote(text)
    ))
}

fn is_stream(arn: &Arn<'_>) -> bool {
    arn.table()
        .and_then(|rest| rest.split_once("/stream/"))
        .is_some_and(|(name, label)| {
            is_table_name(name) && !label.is_empty() && !label.contains(['/', '*'])
        })
}

fn is_function(arn: &Arn<'_>) -> bool {
    arn.service == "lambda"
        && arn.is_regional()
        && arn
            .resource
            .strip_prefix("function:")
            .is_some_and(|name| !name.is_empty() && !name.contains('*'))
}

fn is_object(arn: &Arn<'_>) -> bool {
    arn.service == "s3"
        && arn.region.is_empty()
        && arn.account.is_empty()
        && arn
            .resource
            .split_once('/')
            .is_some_and(|(bucket, _)| !bucket.is_empty() && !bucket.contains('*'))
}

/// How much a value of a basic selector's data resource selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// `arn:aws:dynamodb`, `arn:aws:lambda`, `arn:aws:s3` or `arn:aws:s3:::`: every resource.
    All,
    /// A whole or partial ARN.
    Some,
}

/// The extent of a basic selector's value, or why it is refused.
///
/// That an S3 value needs the slash after the bucket, and that a Lambda value is not a part of an
/// ARN, is what `InvalidEventSelectorsException` says of `arn:aws:s3:::bucket` and
/// `arn:aws:lambda:*`.
pub(super) fn basic_extent(resource_type: &str, text: &str) -> Result<Extent, String> {
    let (wanted, shape) = match resource_type {
        TABLE => ("dynamodb", "arn:aws:dynamodb:REGION:ACCOUNT:table/NAME"),
        FUNCTION => ("lambda", "arn:aws:lambda:REGION:ACCOUNT:function:NAME"),
        _ => ("s3", "arn:aws:s3:::BUCKET/PREFIX"),
    };
    let refused = || {
        format!(
            "a value of {resource_type} is \"arn:aws:{wanted}\" for all, or {shape}, not {} (* is \
             no wildcard)",
            quote(text)
        )
    };
    let (service, rest) = service_of(text).ok_or_else(refused)?;
    if service != wanted {
        return Err(refused());
    }
    let Some(rest) = rest else {
        return Ok(Extent::All);
    };
    let fits = match resource_type {
        TABLE => !rest.contains('*'),
        FUNCTION => Arn::parse(text).is_some_and(|arn| is_function(&arn)),
        _ if rest == "::" => return Ok(Extent::All),
        _ => Arn::parse(text).is_some_and(|arn| is_object(&arn)),
    };
    if fits {
        Ok(Extent::Some)
    } else {
        Err(refused())
    }
}
