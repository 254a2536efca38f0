//! When which account and region delivered: holes against the neighbours and the digests, and what the
//! digests say of the log files.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::{Evidence, Hole, Integrity, LastDelivery};
use super::gather::{Scope, number, text, time_text, values};
use crate::query::{QueryError, Session};

/// An account and region deliver "usually" if at least this share of the hours, or days, between
/// their first and last object have one.
///
/// Offices that rest at the weekend have objects on 5 of 7 days, and no hole for it.
const USUAL_SHARE: f64 = 0.9;

/// Fewer hours or days than these tell nothing about what is usual.
const LEAST_HOURS: i64 = 48;
const LEAST_DAYS: i64 = 7;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// Hours by account and region, in milliseconds since 1970.
type HoursOfPlaces = BTreeMap<(String, String), BTreeSet<i64>>;

/// Gathers when objects were delivered and what their digests say.
pub fn deliveries(
    session: &Session,
    scope: &Scope,
    evidence: &mut Evidence,
) -> Result<(), QueryError> {
    let mut hours = hours(
        session,
        scope,
        "SELECT account_id, region, delivered_at_ms - delivered_at_ms % 3600000 AS hour_ms \
         FROM receipts WHERE (dt IS NULL OR dt BETWEEN $since AND $until) \
         AND $account IN ('', account_id) AND $region IN ('', region) \
         AND account_id IS NOT NULL AND region IS NOT NULL AND delivered_at_ms IS NOT NULL \
         GROUP BY 1, 2, 3",
    )?;
    // Hours of which a signed digest says that nothing was delivered are no holes.
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
    for ((account, region), hours) in hours {
        let habit = Habit::of(&hours);
        let found = habit.holes.into_iter().map(|(from, hours)| Hole {
            account: account.clone(),
            region: region.clone(),
            from: format!("{}:00Z", &time_text(from)[..13]),
            hours,
        });
        evidence.holes.extend(found);
        if let (Some(every_hours), Some(last)) = (habit.every_hours, hours.last()) {
            evidence.last_deliveries.push(LastDelivery {
                account,
                region,
                hour_ms: *last,
                every_hours,
            });
        }
    }
    evidence.integrity = integrity(session, scope)?;
    Ok(())
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
    let mut found = Integrity::default();
    for batch in session.run(sql, &values(scope))? {
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
            let steps = (last - first) / step + 1;
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

    #[test]
    fn holes_are_where_objects_usually_are() {
        let all: Vec<i64> = (0..48).collect();
        let hours = |hours: &[i64]| hours.iter().map(|hour| hour * HOUR_MS).collect();
        let holes = |hours: &BTreeSet<i64>| Habit::of(hours).holes;
        assert_eq!(holes(&hours(&all)), []);
        let without: Vec<i64> = all
            .iter()
            .copied()
            .filter(|h| !(20..23).contains(h))
            .collect();
        assert_eq!(holes(&hours(&without)), [(20 * HOUR_MS, 3)]);
        // Every third hour is no habit, but every day is.
        let sparse: Vec<i64> = (0..240).filter(|h| h % 3 == 0 && h / 24 != 5).collect();
        assert_eq!(holes(&hours(&sparse)), [(5 * 24 * HOUR_MS, 24)]);
        // Once a week tells nothing.
        assert_eq!(holes(&hours(&[0, 168, 336])), []);
        assert_eq!(holes(&BTreeSet::new()), []);
    }
}
