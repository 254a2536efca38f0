//! Reads what the name of an object tells: account, kind, region, date and delivery time.
//!
//! A key is `[<prefix>/]AWSLogs/[<o-id>/]<account>/<folder>/<region>/<YYYY>/<MM>/<DD>/<file>`, a file
//! is `<account>_CloudTrail_<region>_<YYYYMMDD>T<HHmm>Z_<unique>.json.gz` (AWS CloudTrail user guide,
//! "CloudTrail log file examples" and "Finding your CloudTrail log files"). Nothing here allocates:
//! an archive has millions of keys.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// What an object holds, as far as its name tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// Management and data events, mixed in one file.
    CloudTrail,
    /// Network activity events of VPC endpoints.
    NetworkActivity,
    /// Insights events, which are no API calls.
    Insight,
    /// Five-minute aggregations of data events, which are no API calls.
    Aggregated,
    /// Integrity digests: lists of log files and their hashes.
    Digest,
    /// The logs of another service that shares the bucket.
    OtherService,
    /// The name says nothing: the content decides.
    Unknown,
}

impl ObjectKind {
    /// Every kind, in the order in which they are declared.
    pub const ALL: [ObjectKind; 7] = [
        ObjectKind::CloudTrail,
        ObjectKind::NetworkActivity,
        ObjectKind::Insight,
        ObjectKind::Aggregated,
        ObjectKind::Digest,
        ObjectKind::OtherService,
        ObjectKind::Unknown,
    ];

    /// The name of the folder, where it has one.
    pub fn name(self) -> &'static str {
        match self {
            ObjectKind::CloudTrail => "CloudTrail",
            ObjectKind::NetworkActivity => "CloudTrail-NetworkActivity",
            ObjectKind::Insight => "CloudTrail-Insight",
            ObjectKind::Aggregated => "CloudTrail-Aggregated",
            ObjectKind::Digest => "CloudTrail-Digest",
            ObjectKind::OtherService => "log of another service",
            ObjectKind::Unknown => "object of an unknown kind",
        }
    }
}

/// The folders that other services write beside `CloudTrail` below `AWSLogs/<account>/`.
const OTHER_SERVICES: [&str; 9] = [
    "CloudFront",
    "Config",
    "GuardDuty",
    "WAFLogs",
    "elasticloadbalancing",
    "network-firewall",
    "redshift",
    "vpcdnsquerylogs",
    "vpcflowlogs",
];

const ACCOUNT_DIGITS: usize = 12;
const ROOT: &str = "AWSLogs/";

/// The parsed name of an object; the text belongs to the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectKey<'a> {
    /// What stands before `AWSLogs/` or before a flat file name, with its last `/`.
    pub prefix: &'a str,
    /// The organization id (`o-…`), for organization trails.
    pub organization: Option<&'a str>,
    /// Twelve digits: the account that the events are for.
    pub account: &'a str,
    pub kind: ObjectKind,
    /// The region that produced the events.
    pub region: Option<&'a str>,
    /// The UTC date of publication: of the date folders, or else of the file name.
    pub date: Option<Date>,
    /// The first and the last date that the date folders, or else the file name, leave open:
    /// `…/2025/` alone stands for the whole year.
    pub dates: Option<(Date, Date)>,
    /// The delivery time in the file name, to the minute (digests: to the second).
    pub stamp: Option<Timestamp>,
    /// What follows the last `/`; empty for a folder.
    pub file_name: &'a str,
}

impl<'a> ObjectKey<'a> {
    /// Parses a key, a path or a URI; None where neither folders nor file name tell the account.
    ///
    /// The folders count from the last `AWSLogs/` that CloudTrail's folders follow, since the prefix
    /// of a trail may itself contain `AWSLogs/`. Folders win over the file name, except for what only
    /// the name has. A folder (with its last `/`) may be parsed too.
    pub fn parse(key: &'a str) -> Option<ObjectKey<'a>> {
        let file_name = &key[key.rfind('/').map_or(0, |slash| slash + 1)..];
        let named = NameFacts::parse(file_name);
        for start in roots(key) {
            if let Some(found) = parse_folders(key, start, file_name, named.as_ref()) {
                return Some(found);
            }
        }
        if let Some(named) = named {
            return Some(ObjectKey {
                prefix: &key[..key.len() - file_name.len()],
                organization: None,
                account: named.account,
                kind: named.kind,
                region: Some(named.region),
                date: named.date,
                dates: named.date.map(|date| (date, date)),
                stamp: named.stamp,
                file_name,
            });
        }
        roots(key).find_map(|start| parse_account_folder(key, start, file_name))
    }
}

impl fmt::Display for ObjectKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of account {}", self.kind.name(), self.account)?;
        if let Some(region) = self.region {
            write!(f, " in {region}")?;
        }
        match self.date {
            Some(date) => write!(f, ", delivered {date}"),
            None => Ok(()),
        }
    }
}

/// Which level of the layout a folder is; its text ends with `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder<'a> {
    /// `…AWSLogs/` or `…AWSLogs/o-…/`: accounts follow.
    Root,
    /// `…AWSLogs/[o-…/]<account>/`: the folders of services follow.
    Account(&'a str),
    /// A folder of CloudTrail or of another service, or one below it.
    Service(ObjectKey<'a>),
    /// Outside the layout, or above it.
    Unknown,
}

impl<'a> Folder<'a> {
    pub fn parse(folder: &'a str) -> Folder<'a> {
        match ObjectKey::parse(folder) {
            // Nothing is known of its folders either.
            Some(key) if key.kind == ObjectKind::Unknown && key.region.is_none() => {
                return Folder::Unknown;
            }
            Some(key) => return Folder::Service(key),
            None => {}
        }
        let Some(start) = roots(folder).next() else {
            return Folder::Unknown;
        };
        let (_, rest) = split_organization(&folder[start + ROOT.len()..]);
        if rest.is_empty() {
            return Folder::Root;
        }
        match split_account(rest) {
            Some((account, "")) => Folder::Account(account),
            _ => Folder::Unknown,
        }
    }
}

/// Where a whole component `AWSLogs/` begins, the last one first.
fn roots(key: &str) -> impl Iterator<Item = usize> {
    key.rmatch_indices(ROOT)
        .map(|(start, _)| start)
        .filter(|&start| start == 0 || key.as_bytes()[start - 1] == b'/')
}

fn split_organization(rest: &str) -> (Option<&str>, &str) {
    if let Some((first, after)) = rest.split_once('/')
        && let Some(id) = first.strip_prefix("o-")
        && (10..=32).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    {
        return (Some(first), after);
    }
    (None, rest)
}

fn split_account(rest: &str) -> Option<(&str, &str)> {
    let (account, after) = rest.split_once('/')?;
    is_account(account).then_some((account, after))
}

/// True for twelve ASCII digits.
pub fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_DIGITS && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn kind_of_folder(folder: &str) -> Option<ObjectKind> {
    match folder {
        "CloudTrail" => Some(ObjectKind::CloudTrail),
        "CloudTrail-NetworkActivity" => Some(ObjectKind::NetworkActivity),
        "CloudTrail-Insight" => Some(ObjectKind::Insight),
        "CloudTrail-Aggregated" => Some(ObjectKind::Aggregated),
        "CloudTrail-Digest" => Some(ObjectKind::Digest),
        // A folder that AWS may add: its content decides.
        _ if folder.starts_with("CloudTrail-") => Some(ObjectKind::Unknown),
        _ => None,
    }
}

fn parse_folders<'a>(
    key: &'a str,
    start: usize,
    file_name: &'a str,
    named: Option<&NameFacts<'a>>,
) -> Option<ObjectKey<'a>> {
    let (organization, rest) = split_organization(&key[start + ROOT.len()..]);
    let (account, rest) = split_account(rest)?;
    let (folder, rest) = rest.split_once('/')?;
    let kind = kind_of_folder(folder)?;
    let mut folders = rest[..rest.len() - file_name.len()].split_terminator('/');
    let region = folders.next();
    let folder_dates = dates_of(folders.next(), folders.next(), folders.next());
    let name_date = named.and_then(|named| named.date);
    let date = match folder_dates {
        Some((first, last)) if first == last => Some(first),
        _ => name_date,
    };
    Some(ObjectKey {
        prefix: &key[..start],
        organization,
        account,
        kind,
        region: region.or(named.map(|named| named.region)),
        date,
        dates: folder_dates.or(name_date.map(|date| (date, date))),
        stamp: named.and_then(|named| named.stamp),
        file_name,
    })
}

/// Parses a key below an account's folder, but not in one of CloudTrail's.
fn parse_account_folder<'a>(
    key: &'a str,
    start: usize,
    file_name: &'a str,
) -> Option<ObjectKey<'a>> {
    let (organization, rest) = split_organization(&key[start + ROOT.len()..]);
    let (account, rest) = split_account(rest)?;
    let kind = match rest.split_once('/') {
        Some((folder, _)) if OTHER_SERVICES.contains(&folder) => ObjectKind::OtherService,
        // The account's own folder is no object.
        _ if rest.is_empty() => return None,
        _ => ObjectKind::Unknown,
    };
    Some(ObjectKey {
        prefix: &key[..start],
        organization,
        account,
        kind,
        region: None,
        date: None,
        dates: None,
        stamp: None,
        file_name,
    })
}

/// The dates that `<YYYY>/<MM>/<DD>` leave open; folders that are no date leave their parent's dates open.
fn dates_of(year: Option<&str>, month: Option<&str>, day: Option<&str>) -> Option<(Date, Date)> {
    let year = number(year?, 4)?;
    let first = Date::new(year, 1, 1).ok()?;
    let whole_year = (first, first.last_of_year());
    let Some(first) = month
        .and_then(|month| number(month, 2))
        .and_then(|month| Date::new(year, i8::try_from(month).ok()?, 1).ok())
    else {
        return Some(whole_year);
    };
    let date = day
        .and_then(|day| number(day, 2))
        .and_then(|day| Date::new(year, first.month(), i8::try_from(day).ok()?).ok());
    match date {
        Some(date) => Some((date, date)),
        None => Some((first, first.last_of_month())),
    }
}

/// A number of exactly so many ASCII digits.
fn number(text: &str, digits: usize) -> Option<i16> {
    if text.len() != digits || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// What a file name tells, wherever the file lies.
struct NameFacts<'a> {
    account: &'a str,
    kind: ObjectKind,
    region: &'a str,
    date: Option<Date>,
    stamp: Option<Timestamp>,
}

impl<'a> NameFacts<'a> {
    /// Parses `<account>_<kind>_<region>_…`; None for any other form.
    fn parse(name: &'a str) -> Option<NameFacts<'a>> {
        let mut parts = name.splitn(4, '_');
        let account = parts.next().filter(|account| is_account(account))?;
        let kind = kind_of_folder(parts.next()?)?;
        let region = parts.next().filter(|region| !region.is_empty())?;
        let rest = parts.next()?;
        let written = match kind {
            // The trail's name stands between and may contain `_`: only the end is sure.
            ObjectKind::Digest => digest_stamp(rest),
            // Old files have no `_` between the stamp and the unique part.
            _ => rest.get(..14).and_then(|stamp| parse_stamp(stamp, 4)),
        };
        Some(NameFacts {
            account,
            kind,
            region,
            date: written.map(DateTime::date),
            stamp: written
                .and_then(|written| written.to_zoned(TimeZone::UTC).ok())
                .map(|zoned| zoned.timestamp()),
        })
    }
}

/// The stamp of `<trail>_<home region>_<YYYYMMDD>T<HHmmss>Z[_backfill].json[.gz]`.
fn digest_stamp(rest: &str) -> Option<DateTime> {
    let stem = &rest[..rest.rfind(".json")?];
    let stem = stem.strip_suffix("_backfill").unwrap_or(stem);
    parse_stamp(stem.rsplit('_').next()?, 6)
}

/// Parses `<YYYYMMDD>T<HHmm[ss]>Z`, with the given number of digits of the time.
fn parse_stamp(text: &str, time_digits: usize) -> Option<DateTime> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8 || time.len() != time_digits {
        return None;
    }
    let two = |text: &str, at: usize| {
        let part = text.get(at..at + 2)?;
        i8::try_from(number(part, 2)?).ok()
    };
    let second = if time_digits == 6 { two(time, 4)? } else { 0 };
    DateTime::new(
        number(date.get(..4)?, 4)?,
        two(date, 4)?,
        two(date, 6)?,
        two(time, 0)?,
        two(time, 2)?,
        second,
        0,
    )
    .ok()
}
