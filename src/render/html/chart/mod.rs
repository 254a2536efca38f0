//! Charts of a report's rows, drawn as SVG inside the page.

mod bars;
mod points;
mod squares;
mod svg;
mod time;

use crate::report::header::ChartKind;
use crate::report::result::ReportResult;

use super::{HtmlError, grouped};
use points::Points;

/// A report's chart, and what must be said beside it.
#[derive(Debug, Default)]
pub struct Drawing {
    pub svg: Option<String>,
    pub note: Option<String>,
}

/// Draws the chart that the report's header asks for; nothing where it asks for none or there are
/// no rows. `id` is the report's anchor.
pub fn draw(result: &ReportResult, id: &str) -> Result<Drawing, HtmlError> {
    let Some(chart) = &result.report.header.chart else {
        return Ok(Drawing::default());
    };
    if result.rows.count() == 0 {
        return Ok(Drawing::default());
    }
    let points = match Points::read(result, chart)? {
        Ok(points) => points,
        Err(column) => {
            return Ok(Drawing {
                svg: None,
                note: Some(format!("No chart: there is no column {column}.")),
            });
        }
    };
    let svg = match chart.kind {
        ChartKind::TimeSeries => time::draw(&points, id),
        ChartKind::Bar => bars::draw(&points, id),
        ChartKind::HeatMap => squares::heat_map(&points, id),
        ChartKind::HoursByDay => squares::hours_by_day(&points, id),
        ChartKind::Matrix => squares::matrix(&points, id),
    };
    let mut notes = Vec::new();
    if svg.is_none() {
        notes.push("No chart: no row has what it would show.".to_owned());
    } else if result.row_count > result.rows.count() as u64 {
        notes.push(format!(
            "Drawn from the first {} of {} rows.",
            grouped(result.rows.count() as u64),
            grouped(result.row_count)
        ));
    }
    if points.left_out > 0 && svg.is_some() {
        let left_out = grouped(points.left_out);
        notes.push(format!(
            "Rows without a value to draw, left out: {left_out}."
        ));
    }
    if let (ChartKind::HoursByDay, Some(text)) = (chart.kind, squares::days_not_drawn(&points)) {
        notes.push(format!("Of the days, {text}."));
    }
    Ok(Drawing {
        svg,
        note: (!notes.is_empty()).then(|| notes.join(" ")),
    })
}
