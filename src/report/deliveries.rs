//! When which account and region delivered: holes and silence against their habit and the digests, and
//! what the digests say of the log files.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Evidence, Hole, Integrity, LastDelivery};
use super::gather::{LATE_DAYS, Scope, moved, number, text, time_text, values};
use crate::query::{QueryError, Session};

/// An account and region deliver "usually" if at least this share of the hours, or days, between
/// their first and last object have one.
///
/// Of hours the longest run without an object is left out, so that one long hole does not hide
/// itself. Of days it is not: offices that rest at the weekend have objects on 5 of 7 days, and no
/// hole for it. The reports `coverage` and `coverage-hours` have the same rule and numbers.
const USUAL_SHARE: f64 = 0.9;

/// Fewer hours or days than these tell nothing about what is usual.
const LEAST_HOURS: i64 = 48;
const LEAST_DAYS: i64 = 7;

/// Days before the window from which the habit is learned too, and for which a silence is told.
const LEARN_DAYS: i64 = 30;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Hours by account and region, in milliseconds since 1970.
type HoursOfPlaces = BTreeMap<(String, String), BTreeSet<i64>>;

/// Gathers when objects were delivered and what their digests say; gives the accounts and regions
/// that were silent at the end of the window, or where the whole lake ends before it.
pub fn deliveries(
    session: &Session,
    scope: &Scope,
    evidence: &mut Evidence,
) -> Result<Vec<LastDelivery>, QueryError> {
    evidence.integrity = integrity(session, scope)?;
    let since = scope.since.as_deref();
    let learned = Scope {
        since: since.map(|since| moved(since, -LEARN_DAYS)),
        ..scope.clone()
    };
    // A hole that the first object of the window ends was one in the window's evidence.
    let begin_ms = since.and_then(midnight_ms).unwrap_or(i64::MIN);
    for ((account, region), hours) in present(session, &learned)? {
        let habit = Habit::of(&hours);
        let holes = habit.holes.into_iter();
        let holes = holes.filter(|(from, hours)| from + *hours as i64 * HOUR_MS >= begin_ms);
        evidence.holes.extend(holes.map(|(from, hours)| Hole {
            account: account.clone(),
            region: region.clone(),
            from: format!("{}:00Z", &time_text(from)[..13]),
            hours,
        }));
        if let (Some(every_hours), Some(last)) = (habit.every_hours, hours.last()) {
            evidence.last_deliveries.push(LastDelivery {
                account,
                region,
                hour_ms: *last,
                every_hours,
            });
        }
    }
    let Some(end_ms) = end_ms(session, &learned)? else {
        return Ok(Vec::new());
    };
    let places = evidence.last_deliveries.iter();
    let silent = places.filter(|last| last.is_silent_at(end_ms));
    Ok(silent.cloned().collect())
}

/// Hours in which objects were delivered, or of which a valid digest says that there was none.
fn present(session: &Session, scope: &Scope) -> Result<HoursOfPlaces, QueryError> {
    let mut hours = hours(
        session,
        scope,
        "SELECT account_id, region, delivered_at_ms - delivered_at_ms % 3600000 AS hour_ms \
         FROM receipts WHERE dt BETWEEN $since AND $until AND status <> 'digest' \
         AND $account IN ('', account_id) AND $region IN ('', region) \
         AND account_id IS NOT NULL AND region IS NOT NULL AND delivered_at_ms IS NOT NULL \
         GROUP BY 1, 2, 3",
    )?;
    let quiet = self::hours(
        session,
        scope,
        "SELECT account_id, region, delivered_from_ms - delivered_from_ms % 3600000 AS hour_ms \
         FROM integrity WHERE dt BETWEEN $since AND $until \
         AND $account IN ('', account_id) AND $region IN ('', region) \
         AND kind = 'digest' AND status = 'valid' AND files_named = 0 \
         AND delivered_from_ms IS NOT NULL GROUP BY 1, 2, 3",
    )?;
    for (place, quiet) in quiet {
        // Where nothing is ever delivered there is nothing to miss.
        if let Some(hours) = hours.get_mut(&place) {
            hours.extend(quiet);
        }
    }
    Ok(hours)
}

/// The window's end, or the last delivery of any account and region where that is earlier: that the
/// lake as a whole ends is told once, and is no silence of each of them.
fn end_ms(session: &Session, scope: &Scope) -> Result<Option<i64>, QueryError> {
    let whole = Scope {
        since: scope.since.clone(),
        ..Scope::default()
    };
    let sql = "SELECT max(delivered_at_ms) FROM receipts \
        WHERE dt >= $since AND status <> 'digest' AND account_id IS NOT NULL AND region IS NOT NULL";
    let window_end = scope.until.as_deref().and_then(midnight_ms);
    let window_end = window_end.map_or(i64::MAX, |begin| begin + DAY_MS);
    let mut end = None;
    for batch in session.run(sql, &values(&whole))? {
        let batch = batch?;
        if batch.num_rows() > 0 && batch.column(0).is_valid(0) {
            end = Some(number(&batch, 0, 0).min(window_end));
        }
    }
    Ok(end)
}

/// The begin of a date, YYYY-MM-DD, in milliseconds since 1970.
fn midnight_ms(date: &str) -> Option<i64> {
    let date: jiff::civil::Date = date.parse().ok()?;
    let time = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(time.timestamp().as_millisecond())
}

fn hours(session: &Session, scope: &Scope, sql: &str) -> Result<HoursOfPlaces, QueryError> {
    let mut hours = HoursOfPlaces::new();
    for batch in session.run(sql, &values(scope))? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let place = (text(&batch, 0, row), text(&batch, 1, row));
            let hour = number(&batch, 2, row);
            hours.entry(place).or_default().insert(hour);
        }
    }
    Ok(hours)
}

fn integrity(session: &Session, scope: &Scope) -> Result<Option<Integrity>, QueryError> {
    let sql = "SELECT CAST(count(*) FILTER (WHERE kind = 'digest') AS bigint), \
        CAST(count(*) FILTER (WHERE kind = 'digest' AND status = 'valid') AS bigint), \
        CAST(coalesce(sum(files_named), 0) AS bigint), \
        CAST(coalesce(sum(files_valid), 0) AS bigint), \
        CAST(count(*) FILTER (WHERE kind = 'log') AS bigint) \
        FROM integrity WHERE dt BETWEEN $since AND $until \
        AND $account IN ('', account_id) AND $region IN ('', region)";
    // A log file of the window's last hours is delivered, and named by a digest, after it.
    let scope = Scope {
        until: scope.until.as_deref().map(|until| moved(until, LATE_DAYS)),
        ..scope.clone()
    };
    let mut found = Integrity::default();
    for batch in session.run(sql, &values(&scope))? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let number = |column| number(&batch, column, row) as u64;
            found = Integrity {
                digests: number(0),
                digests_valid: number(1),
                files_named: number(2),
                files_valid: number(3),
                files_wrong: number(4),
            };
        }
    }
    Ok((found.digests + found.files_wrong > 0).then_some(found))
}

/// How an account and region usually deliver.
#[derive(Debug, Default, PartialEq, Eq)]
struct Habit {
    /// 1 or 24; none where they have no habit.
    every_hours: Option<u64>,
    /// Runs of hours without an object, against the habit: the begin, and how many hours.
    holes: Vec<(i64, u64)>,
}

impl Habit {
    fn of(hours: &BTreeSet<i64>) -> Self {
        let days: BTreeSet<i64> = hours
            .iter()
            .map(|hour| hour - hour.rem_euclid(DAY_MS))
            .collect();
        for (present, step, least) in [(hours, HOUR_MS, LEAST_HOURS), (&days, DAY_MS, LEAST_DAYS)] {
            let (Some(first), Some(last)) = (present.first(), present.last()) else {
                continue;
            };
            let pairs = present.iter().zip(present.iter().skip(1));
            let longest = pairs.map(|(before, after)| after - before - step).max();
            let left_out = match step {
                HOUR_MS => longest.unwrap_or(0),
                _ => 0,
            };
            let steps = (last - first - left_out) / step + 1;
            if steps < least || (present.len() as f64) < USUAL_SHARE * steps as f64 {
                continue;
            }
            let pairs = present.iter().zip(present.iter().skip(1));
            let holes = pairs
                .filter(|(before, after)| *after - *before > step)
                .map(|(before, after)| (before + step, ((after - before - step) / HOUR_MS) as u64));
            return Self {
                every_hours: Some((step / HOUR_MS) as u64),
                holes: holes.collect(),
            };
        }
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::catalogue::Catalogue;
    use crate::report::evidence::SILENT_AFTER;

    fn habit(hours: impl Iterator<Item = i64>) -> Habit {
        Habit::of(&hours.map(|hour| hour * HOUR_MS).collect())
    }

    #[test]
    fn holes_are_where_objects_usually_are() {
        assert_eq!(habit(0..48).holes, []);
        let without = habit((0..51).filter(|h| !(20..23).contains(h)));
        assert_eq!(without.holes, [(20 * HOUR_MS, 3)]);
        assert_eq!(without.every_hours, Some(1));
        let too_few = habit((0..50).filter(|h| !(20..23).contains(h)));
        assert_eq!(too_few, Habit::default());
        // Every third hour is no habit, but every day is.
        let sparse = habit((0..240).filter(|h| h % 3 == 0 && h / 24 != 5));
        assert_eq!(sparse.holes, [(5 * 24 * HOUR_MS, 24)]);
        assert_eq!(sparse.every_hours, Some(24));
        // Once a week tells nothing.
        assert_eq!(habit([0, 168, 336].into_iter()), Habit::default());
        assert_eq!(habit(0..0), Habit::default());
    }

    #[test]
    fn a_long_hole_does_not_hide_itself() {
        let ten_of_72 = habit((0..72).filter(|h| !(30..40).contains(h)));
        assert_eq!(ten_of_72.holes, [(30 * HOUR_MS, 10)]);
        let days_3_of_7 = habit((0..168).filter(|h| !(48..120).contains(h)));
        assert_eq!(days_3_of_7.holes, [(48 * HOUR_MS, 72)]);
        // Working days, and the hours of an office, leave nothing to miss.
        let office = habit((0..336).filter(|h| h / 24 % 7 < 5 && (8..18).contains(&(h % 24))));
        assert_eq!(office, Habit::default());
    }

    #[test]
    fn the_reports_have_the_same_numbers() {
        let reports = Catalogue::packaged().expect("sound reports").reports;
        let begin = format!("INTERVAL '{LEARN_DAYS}' DAY");
        let is_told = |name: &str| ["coverage", "coverage-hours"].contains(&name);
        let mut seen = 0;
        for report in reports.iter().filter(|report| is_told(&report.name)) {
            for (name, expected) in [
                ("min_share", USUAL_SHARE.to_string()),
                ("min_hours", LEAST_HOURS.to_string()),
                ("min_days", LEAST_DAYS.to_string()),
                ("silent_after", SILENT_AFTER.to_string()),
            ] {
                let own = report.parameters.iter().find(|own| own.name == name);
                if let Some(own) = own {
                    assert_eq!(own.default.in_words(), expected, "{} {name}", report.name);
                    seen += 1;
                }
            }
            let sql = report
                .template
                .text(crate::report::parameter::Engine::Athena, |_| None);
            assert!(sql.contains(&begin), "{}", report.name);
        }
        assert_eq!(seen, 7);
    }
}
