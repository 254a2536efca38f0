//! Event times: text to milliseconds since 1970, and back.

use jiff::civil::Date;

const EPOCH: Date = Date::constant(1970, 1, 1);
const MS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since 1970-01-01T00:00:00 UTC of an eventTime; finer digits are cut.
///
/// AWS writes `2021-04-15T04:15:02Z`. Copies that other tools made are understood as well: a
/// fraction, an offset (`+0000`, `+02:00`), a blank for the `T`, no zone at all (UTC).
pub fn parse_event_time(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() < 19 || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    for (at, mark) in [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')] {
        if bytes[at] != mark {
            return None;
        }
    }
    let number = |range: std::ops::Range<usize>| -> Option<i16> {
        let digits = &bytes[range];
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |n, d| n * 10 + i16::from(d - b'0')))
    };
    let part = |at: usize| number(at..at + 2).map(|n| n as i8);
    // A leap second counts as the second before it.
    let second = part(17).filter(|second| *second <= 60)?.min(59);
    let year = number(0..4).filter(|year| *year > 0)?;
    let date = Date::new(year, part(5)?, part(8)?).ok()?;
    let (hour, minute) = (part(11)?, part(14)?);
    if hour > 23 || minute > 59 {
        return None;
    }
    let day = i64::from((date - EPOCH).get_days());
    let seconds = (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second);
    let (milliseconds, zone) = fraction(&text[19..])?;
    let local_ms = day * MS_PER_DAY + seconds * 1000 + milliseconds;
    Some(local_ms - offset_ms(zone.trim_start())?)
}

/// Milliseconds of a leading `.123…`, and what follows it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(digits) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return None;
    }
    let milliseconds = digits
        .bytes()
        .take(length)
        .chain(std::iter::repeat(b'0'))
        .take(3)
        .fold(0, |n, d| n * 10 + i64::from(d - b'0'));
    Some((milliseconds, &digits[length..]))
}

/// Milliseconds east of UTC.
fn offset_ms(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first() {
        None => return Some(0),
        Some(b'Z' | b'z') if zone.len() == 1 => return Some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return None,
    };
    let digits: String = zone[1..].chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i64, i64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes) * 60_000)
}

/// The day, counted from 1970-01-01, that a time falls on in UTC.
pub fn day_of(event_time_ms: i64) -> i32 {
    event_time_ms.div_euclid(MS_PER_DAY) as i32
}

/// The partition of events whose time is not known: what Hive, Spark and DuckDB read as NULL.
pub const UNDATED: &str = "__HIVE_DEFAULT_PARTITION__";

/// `YYYY-MM-DD` of a day counted from 1970-01-01, the value of `dt`.
pub fn day_text(day: Option<i32>) -> String {
    day.map_or_else(|| UNDATED.to_owned(), |day| civil_day(day).to_string())
}

fn civil_day(day: i32) -> Date {
    EPOCH.saturating_add(jiff::Span::new().days(day.clamp(-719_162, 2_932_896)))
}

/// The time as AWS writes it, to the second: `2021-04-15T04:15:02Z`.
pub fn canonical_event_time(event_time_ms: i64) -> String {
    let day = civil_day(day_of(event_time_ms));
    let second = event_time_ms.rem_euclid(MS_PER_DAY) / 1000;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{day}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Whether `canonical_event_time` gives back exactly this text.
pub fn is_canonical(text: &str) -> bool {
    text.len() == 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z') && &text[17..19] != "60"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_spelling_seen() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2021-04-15T04:15:02Z", Some(1_618_460_102_000)),
            ("2017-10-10T23:01:45+0000", Some(1_507_676_505_000)),
            ("2017-10-11T01:01:45+02:00", Some(1_507_676_505_000)),
            ("2023-01-09 16:01:21", Some(1_673_280_081_000)),
            ("2023-01-09 16:01:21.123456789", Some(1_673_280_081_123)),
            ("0001-01-01T00:00:00Z", Some(-62_135_596_800_000)),
            ("9999-12-31T23:59:59Z", Some(253_402_300_799_000)),
            ("2021-02-30T00:00:00Z", None),
            ("{{next_log_timestamp()}}", None),
            ("2021-04-15", None),
            ("2021-04-15T04:15:02é", None),
        ] {
            assert_eq!(parse_event_time(text), expected, "{text}");
            if is_canonical(text) {
                let Some(ms) = expected else { continue };
                assert_eq!(canonical_event_time(ms), text);
                assert_eq!(day_text(Some(day_of(ms))), text[..10]);
            }
        }
    }
}
