//! Marks the rows that a site has suppressed, with the reason, for as long as it said.

use arrow::array::{Array, RecordBatch};
use arrow::error::ArrowError;
use arrow::util::display::array_value_to_string;
use jiff::civil::Date;

use super::catalogue::Report;
use super::config::{Config, Suppression, matches};
use super::result::AppliedSuppression;

/// The suppressions of a report.
pub struct Suppressor<'c> {
    valid: Vec<&'c Suppression>,
    /// Rows that each matched.
    rows: Vec<u64>,
    expired: Vec<&'c Suppression>,
}

impl<'c> Suppressor<'c> {
    pub fn new(report: &Report, config: &'c Config, today: Date) -> Self {
        let own = config.suppressions.iter();
        let own = own.filter(|suppression| suppression.report == report.name);
        let (valid, expired): (Vec<_>, Vec<_>) = own.partition(|own| own.until >= today);
        Self {
            rows: vec![0; valid.len()],
            valid,
            expired,
        }
    }

    /// For each row, which suppression it matches, if any.
    pub fn look(&mut self, batch: &RecordBatch) -> Result<Vec<Option<usize>>, ArrowError> {
        let mut found = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let mut matched = None;
            for (place, suppression) in self.valid.iter().enumerate() {
                if is_matched(suppression, batch, row)? {
                    matched = Some(place);
                    self.rows[place] += 1;
                    break;
                }
            }
            found.push(matched);
        }
        Ok(found)
    }

    /// What was applied, and a sentence for each that has ended.
    pub fn finish(self) -> (Vec<AppliedSuppression>, Vec<String>) {
        let applied = self.valid.iter().zip(self.rows);
        let applied = applied.map(|(suppression, rows)| AppliedSuppression {
            reason: suppression.reason.clone(),
            until: suppression.until.to_string(),
            rows,
        });
        let ended = self.expired.iter().map(|suppression| {
            format!(
                "a suppression ended on {}: {}",
                suppression.until, suppression.reason
            )
        });
        (applied.collect(), ended.collect())
    }
}

fn is_matched(
    suppression: &Suppression,
    batch: &RecordBatch,
    row: usize,
) -> Result<bool, ArrowError> {
    for (column, pattern) in &suppression.columns {
        let Some(column) = batch.column_by_name(column) else {
            return Ok(false);
        };
        let text = match column.is_null(row) {
            true => String::new(),
            false => array_value_to_string(column, row)?,
        };
        if !matches(pattern, &text) {
            return Ok(false);
        }
    }
    Ok(true)
}
