//! What of a night's coverage is missing, each with a name that stays from night to night.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::verified::VerifySummary;
use crate::convert::summary::Summary;
use crate::lake::LakeState;
use crate::report::evidence::{Evidence, LastDelivery};
use crate::signal::CoverageLoss;

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
    let now = now.map(|now| end_of_window(evidence).map_or(now, |end| end.min(now)));
    let last_deliveries = evidence.last_deliveries.iter();
    let silent: Vec<&LastDelivery> = last_deliveries
        .filter(|last| now.is_some_and(|now| last.is_silent_at(now.as_millisecond())))
        .collect();
    for last in &silent {
        lose(
            format!("silent {} {}", last.account, last.region),
            last.silence_in_words(),
        );
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
    // Each silence has its own name already.
    let is_told = |gap: &&String| silent.iter().any(|last| last.silence_in_words() == **gap);
    for gap in evidence.gaps.iter().filter(|gap| !is_told(gap)) {
        lose(format!("gap {}", without_digits(gap)), gap.clone());
    }
    losses
}

/// The end of the dates that were asked for; none where all were.
fn end_of_window(evidence: &Evidence) -> Option<Timestamp> {
    let until: Date = evidence.until.as_ref()?.parse().ok()?;
    let end = until.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some(end.timestamp())
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
