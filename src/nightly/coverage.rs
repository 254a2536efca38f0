//! What of a night's coverage is missing, each with a name that stays from night to night.

use jiff::Timestamp;
use jiff::civil::Date;

use super::verified::VerifySummary;
use crate::archive::ObjectKey;
use crate::convert::summary::{ProblemKind, Summary};
use crate::lake::LakeState;
use crate::report::evidence::{Evidence, LastDelivery};
use crate::report::lost::LostOnes;
use crate::signal::CoverageLoss;

/// Days without any key after which the whole archive is silent.
const SILENT_DAYS: i32 = 1;

/// Digits of the number of an account, which is no count.
const ACCOUNT_DIGITS: usize = 12;

/// What a night knows of its coverage.
pub struct Known<'n> {
    pub evidence: &'n Evidence,
    pub lost: &'n LostOnes,
    pub integrity: Option<&'n VerifySummary>,
    pub convert: &'n Summary,
    /// Now, or the end of what was looked at; none where not all was read: there is no silence then.
    pub now: Option<Timestamp>,
}

/// What is missing, in words. The names leave out the numbers that may change, but no object, account
/// or day: what is new must not pass for what is known.
pub fn losses(known: &Known<'_>) -> Vec<CoverageLoss> {
    let mut losses = Vec::new();
    of_deliveries(known, &mut losses);
    of_objects(known, &mut losses);
    let sentences = known.integrity.map(|integrity| &integrity.beside_rows);
    for sentence in sentences.into_iter().flatten() {
        let key = sentence.split(": ").next().and_then(ObjectKey::parse);
        losses.push(CoverageLoss {
            id: format!("integrity {sentence}"),
            sentence: sentence.clone(),
            date: key.and_then(|key| key.date),
        });
    }
    // Each silence has its own name already.
    let silent: Vec<String> = silent(known)
        .iter()
        .map(|last| last.silence_in_words())
        .collect();
    for gap in known
        .evidence
        .gaps
        .iter()
        .filter(|gap| !silent.contains(gap))
    {
        losses.push(CoverageLoss {
            id: format!("gap {}", without_counts(gap)),
            sentence: gap.clone(),
            date: None,
        });
    }
    losses
}

fn of_deliveries(known: &Known<'_>, losses: &mut Vec<CoverageLoss>) {
    for hole in &known.evidence.holes {
        losses.push(CoverageLoss {
            id: format!("hole {} {} {}", hole.account, hole.region, hole.from),
            sentence: format!(
                "no objects of {} {} for {} hours from {}, though they usually come",
                hole.account, hole.region, hole.hours, hole.from
            ),
            date: hole.from.get(..10).and_then(|date| date.parse().ok()),
        });
    }
    for last in silent(known) {
        losses.push(CoverageLoss {
            id: format!("silent {} {}", last.account, last.region),
            sentence: last.silence_in_words(),
            date: None,
        });
    }
}

/// The accounts and regions that have not delivered for longer than they use to.
fn silent<'n>(known: &Known<'n>) -> Vec<&'n LastDelivery> {
    let Some(now) = known.now else {
        return Vec::new();
    };
    let places = known.evidence.last_deliveries.iter();
    places
        .filter(|last| last.is_silent_at(now.as_millisecond()))
        .collect()
}

fn of_objects(known: &Known<'_>, losses: &mut Vec<CoverageLoss>) {
    for lost in &known.lost.named {
        losses.push(CoverageLoss {
            id: lost.id.clone(),
            sentence: lost.sentence.clone(),
            date: lost.date,
        });
    }
    if known.lost.beyond > 0 {
        losses.push(CoverageLoss {
            // It is told again when they are twice as many.
            id: format!("more lost objects {}", known.lost.beyond.ilog2()),
            sentence: format!("{} more objects and digests are lost", known.lost.beyond),
            date: None,
        });
    }
    for problem in &known.convert.problems {
        let id = match problem.kind {
            ProblemKind::Listing => format!("listing {}", problem.object),
            ProblemKind::Changed => format!("changed {}", problem.object),
            ProblemKind::Object => continue,
        };
        losses.push(CoverageLoss {
            id,
            sentence: format!("{}: {}", problem.object, problem.problem),
            date: ObjectKey::parse(&problem.object).and_then(|key| key.date),
        });
    }
    if known.convert.objects.deferred > 0 {
        losses.push(CoverageLoss {
            id: "deferred objects".to_owned(),
            sentence: format!(
                "{} objects were left for the next run",
                known.convert.objects.deferred
            ),
            date: None,
        });
    }
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
        date: None,
    })
}

/// A sentence without the counts and times that may change from night to night. Accounts and regions
/// stay.
fn without_counts(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_number = bare.starts_with(|c: char| c.is_ascii_digit())
            && bare
                .chars()
                .all(|c| c.is_ascii_digit() || "-:.TZ".contains(c));
        let is_account = bare.len() == ACCOUNT_DIGITS && bare.bytes().all(|b| b.is_ascii_digit());
        if is_account || !is_number {
            words.push(word);
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_times_are_left_out_and_places_stay() {
        for (text, expected) in [
            ("12 objects could not be read", "objects could not be read"),
            ("the lake ends on 2025-03-13", "the lake ends on"),
            (
                "111122223333 us-east-1: 7 hours from 2025-03-13T05:00Z",
                "111122223333 us-east-1: hours from",
            ),
            ("of 444455556666, 3 days", "of 444455556666, days"),
        ] {
            assert_eq!(without_counts(text), expected);
        }
    }
}
