//! What of an archive is lost, one by one: objects that were not read to their end, and what is not as
//! the digests say. Each has an id that it keeps from night to night.

use jiff::civil::Date;

use super::gather::{Scope, number, text, values};
use crate::query::{QueryError, Session};

/// Losses that are named, the newest first; those beyond are counted.
pub const MAX_LOST: usize = 1_000;

/// One loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Without counts.
    pub id: String,
    /// What is to be said of it.
    pub sentence: String,
    /// Of delivery, where the object's key tells it.
    pub date: Option<Date>,
}

/// The losses of a lake.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LostOnes {
    pub named: Vec<Lost>,
    pub beyond: u64,
}

/// Gathers what is lost of the dates of a scope, by date of delivery.
pub fn lost(session: &Session, scope: &Scope) -> Result<LostOnes, QueryError> {
    let mut found = LostOnes::default();
    objects(session, scope, &mut found)?;
    integrity(session, scope, &mut found)?;
    Ok(found)
}

impl LostOnes {
    fn add(&mut self, lost: Lost) {
        match self.named.len() < MAX_LOST {
            true => self.named.push(lost),
            false => self.beyond += 1,
        }
    }
}

/// Objects by what became of them at last. What by its key is a log file and holds none was emptied or
/// overwritten.
const OBJECTS: &str = "WITH last AS (SELECT source, max(dt) AS dt, \
    min(CASE status WHEN 'converted' THEN 0 WHEN 'digest' THEN 1 \
    WHEN 'not_a_log' THEN CASE WHEN account_id IS NOT NULL AND delivered_at_ms IS NOT NULL \
    THEN 5 ELSE 1 END WHEN 'damaged' THEN 2 WHEN 'failed' THEN 3 ELSE 4 END) AS state, \
    sum(records_quarantined) AS quarantined \
    FROM receipts WHERE (dt IS NULL OR dt BETWEEN $since AND $until) \
    AND (account_id IS NULL OR $account IN ('', account_id)) \
    AND (region IS NULL OR $region IN ('', region)) GROUP BY source) \
    SELECT source, dt, state FROM last WHERE state > 1 OR quarantined > 0 \
    ORDER BY dt DESC NULLS LAST, source";

fn objects(session: &Session, scope: &Scope, found: &mut LostOnes) -> Result<(), QueryError> {
    for batch in session.run(OBJECTS, &values(scope))? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let what = match number(&batch, 2, row) {
                2 => "is damaged and was read as far as it goes",
                3 => "could not be read",
                4 => "was deleted before it was read",
                5 => "is a log file by its key and holds none",
                _ => "has records that could not be read",
            };
            let source = text(&batch, 0, row);
            found.add(Lost {
                id: format!("object {source} {what}"),
                sentence: format!("{source}: {what}"),
                date: text(&batch, 1, row).parse().ok(),
            });
        }
    }
    Ok(())
}

/// Log files one by one; digests, of which one that is missing takes its neighbours with it, by place
/// and day. The newest digest of a copy without metadata is another one every day, and no news.
const INTEGRITY: &str = "SELECT kind, CASE WHEN kind = 'log' THEN object END AS object, \
    account_id, region, trail, status, \
    CASE WHEN kind IN ('gap', 'chain') THEN delivered_from_ms END AS from_ms, \
    CASE WHEN status <> 'unsigned' THEN dt END AS day, count(*) AS number, min(problem) AS problem \
    FROM integrity WHERE dt BETWEEN $since AND $until \
    AND (account_id IS NULL OR $account IN ('', account_id)) \
    AND (region IS NULL OR $region IN ('', region)) \
    AND NOT (kind = 'digest' AND status = 'valid') \
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 \
    ORDER BY day DESC NULLS LAST, kind, object, account_id, region, trail, status, from_ms";

fn integrity(session: &Session, scope: &Scope, found: &mut LostOnes) -> Result<(), QueryError> {
    for batch in session.run(INTEGRITY, &values(scope))? {
        let batch = batch?;
        for row in 0..batch.num_rows() {
            let [kind, object, account, region, trail, status] =
                [0, 1, 2, 3, 4, 5].map(|column| text(&batch, column, row));
            let from_ms = number(&batch, 6, row);
            let (day, problem) = (text(&batch, 7, row), text(&batch, 9, row));
            let files = number(&batch, 8, row);
            let of = format!("of trail {trail} for {account} {region}");
            let sentence = match kind.as_str() {
                "log" => format!("{object}: {problem}"),
                "digest" => format!("{files} digest files {of} {day}: {problem}"),
                _ => format!("{problem} ({of})"),
            };
            found.add(Lost {
                id: format!(
                    "integrity {kind} {object} {account} {region} {trail} {status} {from_ms} {day}"
                ),
                sentence,
                date: day.parse().ok(),
            });
        }
    }
    Ok(())
}
