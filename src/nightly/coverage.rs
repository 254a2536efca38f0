//! What of a night's coverage is missing, each with a name that stays from night to night.

use jiff::Timestamp;
use jiff::civil::Date;

use super::verified::VerifySummary;
use crate::convert::summary::Summary;
use crate::lake::LakeState;
use crate::report::evidence::Evidence;
use crate::signal::CoverageLoss;

const HOUR_MS: i64 = 3_600_000;

/// Times its usual distance after which an account and region that do not deliver are silent.
/// CloudTrail delivers within minutes; what comes every hour may come at its beginning and its end.
const SILENT_AFTER: u64 = 3;

/// Days without any key after which the whole archive is silent.
const SILENT_DAYS: i32 = 1;

/// What is missing, in words, with the numbers that may change left out of the names. `now` is none
/// where the newest deliveries were not read: there is no silence then.
pub fn losses(
    evidence: &Evidence,
    integrity: Option<&VerifySummary>,
    convert: &Summary,
    now: Option<Timestamp>,
) -> Vec<CoverageLoss> {
    let mut losses = Vec::new();
    let mut lose = |id: String, sentence: String| losses.push(CoverageLoss { id, sentence });
    for hole in &evidence.holes {
        lose(
            format!("hole {} {} {}", hole.account, hole.region, hole.from),
            format!(
                "no objects of {} {} for {} hours from {}, though they usually come",
                hole.account, hole.region, hole.hours, hole.from
            ),
        );
    }
    let last_deliveries = evidence.last_deliveries.iter();
    for (last, now) in last_deliveries.filter_map(|last| Some((last, now?))) {
        let silent_hours = (now.as_millisecond() - last.hour_ms) / HOUR_MS;
        if silent_hours > (last.every_hours * SILENT_AFTER) as i64 {
            let since = Timestamp::from_millisecond(last.hour_ms)
                .map_or_else(|_| "long ago".to_owned(), |time| time.to_string());
            lose(
                format!("silent {} {}", last.account, last.region),
                format!(
                    "nothing was delivered of {} {} since {since}, though it usually comes every {} hours",
                    last.account, last.region, last.every_hours
                ),
            );
        }
    }
    if convert.objects.failed > 0 {
        lose(
            "failed objects".to_owned(),
            format!("{} objects could not be read", convert.objects.failed),
        );
    }
    if convert.objects.deferred > 0 {
        lose(
            "deferred objects".to_owned(),
            format!(
                "{} objects were left for the next run",
                convert.objects.deferred
            ),
        );
    }
    if let Some(integrity) = integrity.filter(|integrity| !integrity.is_sound) {
        let more = integrity.problems.len() as u64 + integrity.further_problems;
        let first = integrity.problems.first().map_or("", String::as_str);
        lose(
            "integrity".to_owned(),
            format!(
                "the log files are not all as CloudTrail's digests say: {more} problems, first {first}"
            ),
        );
    }
    for gap in &evidence.gaps {
        lose(format!("gap {}", without_digits(gap)), gap.clone());
    }
    losses
}

/// That no key of any account and region has come for days, if so.
pub fn silence(lake: &LakeState, today: Date) -> Option<CoverageLoss> {
    // A unit's name begins with the date of its keys.
    let dates = lake.receipts.keys().filter_map(|unit| {
        let date = unit.get(..8)?;
        Date::strptime("%Y%m%d", date).ok()
    });
    let newest = dates.max()?;
    let days = newest.until(today).ok()?.get_days();
    (days > SILENT_DAYS).then(|| CoverageLoss {
        id: "silent archive".to_owned(),
        sentence: format!("no object of any account was delivered since {newest}"),
    })
}

/// A sentence whose counts may change from night to night.
fn without_digits(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}
