//! Decides by its name alone whether an object, or a folder, can hold wanted events.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use super::key::{Folder, ObjectKey, ObjectKind};

/// How many days after its event a file is looked for unless the user says otherwise.
///
/// Files come about five minutes after the call, but CloudTrail retries a failed delivery for up to
/// thirty days and stores the file under the date of its publication.
pub const DEFAULT_LATE_DAYS: u32 = 2;

/// The kinds of object that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kinds {
    /// What holds events: digests are never log input, Insights and aggregated events are counted.
    LogInput,
    /// Integrity digests alone; folders of anything else are not looked into.
    Digests,
    /// Whatever is there, to be looked at.
    Every,
}

/// The accounts, regions and times that are asked for; empty or None means all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Twelve digits each.
    pub accounts: Vec<String>,
    pub regions: Vec<String>,
    /// The first wanted instant.
    pub since: Option<Timestamp>,
    /// The first instant that is no longer wanted.
    pub until: Option<Timestamp>,
    /// An object of date `d` can hold events of `d - late_days` to the end of `d`.
    pub late_days: u32,
    /// The first and the last date of the keys that are listed, whenever their events were.
    pub first_key_date: Option<Date>,
    pub last_key_date: Option<Date>,
    pub kinds: Kinds,
}

impl Selection {
    /// Selects all accounts, regions and times of log input.
    pub fn everything() -> Selection {
        Selection {
            accounts: Vec::new(),
            regions: Vec::new(),
            since: None,
            until: None,
            late_days: DEFAULT_LATE_DAYS,
            first_key_date: None,
            last_key_date: None,
            kinds: Kinds::LogInput,
        }
    }
}

/// Why an object is not fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OutOfSelection {
    Account,
    Region,
    BeforeSince,
    AfterUntil,
    Digest,
    /// No digest, where digests alone are asked for.
    NoDigest,
    Insight,
    Aggregated,
    OtherService,
    /// An empty object whose key ends with `/`, as consoles make for a "folder".
    FolderMarker,
    /// A pipe, a socket, a device.
    NotRegularFile,
    /// A file or folder that is already listed, by another source or another path.
    ListedTwice,
}

impl OutOfSelection {
    /// The name under which the reason is counted.
    pub fn name(self) -> &'static str {
        match self {
            OutOfSelection::Account => "account",
            OutOfSelection::Region => "region",
            OutOfSelection::BeforeSince => "before_since",
            OutOfSelection::AfterUntil => "after_until",
            OutOfSelection::Digest => "digest",
            OutOfSelection::NoDigest => "no_digest",
            OutOfSelection::Insight => "insight",
            OutOfSelection::Aggregated => "aggregated",
            OutOfSelection::OtherService => "other_service",
            OutOfSelection::FolderMarker => "folder_marker",
            OutOfSelection::NotRegularFile => "not_regular_file",
            OutOfSelection::ListedTwice => "listed_twice",
        }
    }
}

/// What a listing does with a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FolderVerdict {
    /// Nothing in it is wanted.
    Pruned(OutOfSelection),
    /// Some folders in it are wanted, some are not.
    Mixed,
    /// No folder in it can be left out; `day` where it is one day and has no folders.
    Whole { day: bool },
    /// It is outside the layout.
    Unknown,
}

impl Selection {
    /// Says whether an object of this name can hold wanted events.
    ///
    /// Objects without a date are admitted: the events decide.
    pub fn admits(&self, key: &ObjectKey<'_>) -> Result<(), OutOfSelection> {
        match self.kinds {
            Kinds::Every => return self.admits_place(key),
            Kinds::Digests if key.kind == ObjectKind::Digest => return self.admits_place(key),
            Kinds::Digests => return Err(OutOfSelection::NoDigest),
            Kinds::LogInput => {}
        }
        match key.kind {
            ObjectKind::Digest => return Err(OutOfSelection::Digest),
            ObjectKind::OtherService => return Err(OutOfSelection::OtherService),
            _ => self.admits_place(key)?,
        }
        match key.kind {
            ObjectKind::Insight => Err(OutOfSelection::Insight),
            ObjectKind::Aggregated => Err(OutOfSelection::Aggregated),
            _ => Ok(()),
        }
    }

    fn admits_place(&self, key: &ObjectKey<'_>) -> Result<(), OutOfSelection> {
        self.admits_account(key.account)?;
        if let Some(region) = key.region
            && !self.regions.is_empty()
            && !self.regions.iter().any(|wanted| wanted == region)
        {
            return Err(OutOfSelection::Region);
        }
        if let Some((first, last)) = key.dates {
            if self.first_date().is_some_and(|wanted| last < wanted) {
                return Err(OutOfSelection::BeforeSince);
            }
            if self.last_date().is_some_and(|wanted| first > wanted) {
                return Err(OutOfSelection::AfterUntil);
            }
        }
        Ok(())
    }

    fn admits_account(&self, account: &str) -> Result<(), OutOfSelection> {
        if self.accounts.is_empty() || self.accounts.iter().any(|wanted| wanted == account) {
            return Ok(());
        }
        Err(OutOfSelection::Account)
    }

    /// The first wanted date of a key: a file is never older than its events.
    fn first_date(&self) -> Option<Date> {
        self.since.map(date_of).max(self.first_key_date)
    }

    /// The last wanted date of a key: that of the last wanted instant, and `late_days` more.
    fn last_date(&self) -> Option<Date> {
        let by_event = self.until.map(|until| {
            let last = until
                .checked_sub(SignedDuration::from_nanos(1))
                .unwrap_or(until);
            let days = i32::try_from(self.late_days)
                .unwrap_or(i32::MAX)
                .min(MAX_LATE_DAYS);
            date_of(last).saturating_add(days.days())
        });
        by_event.into_iter().chain(self.last_key_date).min()
    }

    /// Judges a folder, whose text ends with `/`, by the rules of [`Selection::admits`].
    pub(super) fn judge_folder(&self, folder: &str) -> FolderVerdict {
        let key = match Folder::parse(folder) {
            Folder::Unknown => return FolderVerdict::Unknown,
            Folder::Root => return FolderVerdict::Mixed,
            Folder::Account(account) => {
                return match self.admits_account(account) {
                    Ok(()) => FolderVerdict::Mixed,
                    Err(reason) => FolderVerdict::Pruned(reason),
                };
            }
            Folder::Service(key) => key,
        };
        match self.admits(&key) {
            // They are listed all the same, to be counted.
            Ok(()) | Err(OutOfSelection::Insight | OutOfSelection::Aggregated) => {}
            Err(reason) => return FolderVerdict::Pruned(reason),
        }
        let is_before = |first: Date| key.dates.is_none_or(|(begin, _)| begin < first);
        let is_after = |last: Date| key.dates.is_none_or(|(_, end)| end > last);
        if (key.region.is_none() && !self.regions.is_empty())
            || self.first_date().is_some_and(is_before)
            || self.last_date().is_some_and(is_after)
        {
            return FolderVerdict::Mixed;
        }
        FolderVerdict::Whole {
            day: key.date.is_some(),
        }
    }
}

/// More than the calendar has is as good as no bound.
const MAX_LATE_DAYS: i32 = 3_660_000;

fn date_of(instant: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(instant).date()
}

/// A text that is no instant.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is no time: write a date (2025-06-01), an instant with its zone (2025-06-01T12:00:00Z) or a distance from now (-30d, -12h, -45m, -2w)"
)]
pub struct InstantError {
    pub text: String,
    #[source]
    pub source: Option<jiff::Error>,
}

/// Parses the beginning of an interval: RFC 3339, a date, or `-<number><w|d|h|m>` before `now`.
///
/// A date means its first instant in UTC.
pub fn parse_since(text: &str, now: Timestamp) -> Result<Timestamp, InstantError> {
    parse_instant(text, now, Ok)
}

/// Parses the end of an interval, as [`parse_since`] does its beginning.
///
/// A date means that whole day in UTC: the first instant of the next day comes back, since
/// [`Selection::until`] is the first instant that is not wanted.
pub fn parse_until(text: &str, now: Timestamp) -> Result<Timestamp, InstantError> {
    parse_instant(text, now, Date::tomorrow)
}

/// `day_of` gives the day at whose first instant a date's interval begins or ends.
fn parse_instant(
    text: &str,
    now: Timestamp,
    day_of: fn(Date) -> Result<Date, jiff::Error>,
) -> Result<Timestamp, InstantError> {
    let error = |source| InstantError {
        text: text.to_owned(),
        source,
    };
    if let Some(distance) = text.strip_prefix('-') {
        let seconds = distance_seconds(distance).ok_or_else(|| error(None))?;
        return now
            .checked_sub(SignedDuration::from_secs(seconds))
            .map_err(|source| error(Some(source)));
    }
    // A date alone is ten characters; jiff would also read a date out of a longer text.
    if text.len() == "2025-06-01".len() {
        let date: Date = text.parse().map_err(|source| error(Some(source)))?;
        return day_of(date)
            .and_then(|day| day.to_zoned(TimeZone::UTC))
            .map(|zoned| zoned.timestamp())
            .map_err(|source| error(Some(source)));
    }
    text.parse().map_err(|source| error(Some(source)))
}

/// The seconds of `30d`, `12h`, `45m`, `2w`.
fn distance_seconds(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        'w' => 7 * 86_400,
        'd' => 86_400,
        'h' => 3_600,
        'm' => 60,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse::<i64>().ok()?.checked_mul(unit)
}
