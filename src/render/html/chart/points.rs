//! The values that a chart shows, read from a report's rows.

use std::collections::BTreeMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit};
use arrow::error::ArrowError;

use crate::render::html::HtmlError;
use crate::render::html::cell::Reader;
use crate::report::header::{Chart, ChartKind};
use crate::report::result::ReportResult;

/// What a row that has no label is counted under.
const NO_LABEL: &str = "–";

/// A row of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// A label, or for a time series a time in seconds since 1970, or a number of a heat map.
    pub x: X,
    pub y: String,
    pub value: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub enum X {
    Label(String),
    Number(i64),
}

/// The rows of a chart and the names of its columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    pub points: Vec<Point>,
    pub x_name: String,
    pub y_name: Option<String>,
    /// What the values are: the column that is summed, or "rows".
    pub value_name: String,
    /// Rows that cannot be drawn.
    pub left_out: u64,
}

impl Points {
    /// Reads the rows; the inner error is the name of a column that is not there.
    pub fn read(result: &ReportResult, chart: &Chart) -> Result<Result<Self, String>, HtmlError> {
        let mut points = Self {
            points: Vec::new(),
            x_name: chart.x.clone(),
            y_name: chart.y.clone(),
            value_name: chart.value.clone().unwrap_or_else(|| "rows".to_owned()),
            left_out: 0,
        };
        let names = [Some(&chart.x), chart.y.as_ref(), chart.value.as_ref()];
        for name in names.into_iter().flatten() {
            if result.schema.index_of(name).is_err() {
                return Ok(Err(name.clone()));
            }
        }
        for batch in result.rows.batches() {
            points.read_batch(&batch, chart)?;
        }
        Ok(Ok(points))
    }

    fn read_batch(&mut self, batch: &RecordBatch, chart: &Chart) -> Result<(), ArrowError> {
        let column = |name: &str| batch.column_by_name(name).filter(|_| batch.num_rows() > 0);
        let Some(x) = column(&chart.x) else {
            return Ok(());
        };
        let xs = Xs::new(x, chart.kind)?;
        let ys = chart.y.as_deref().and_then(column);
        let ys = ys.map(|array| Reader::new(array.as_ref())).transpose()?;
        let values = chart.value.as_deref().and_then(column);
        let values = values
            .map(|array| cast(array, &DataType::Float64))
            .transpose()?;
        for row in 0..batch.num_rows() {
            let value = match &values {
                None => Some(1.0),
                Some(values) => number(values, row),
            };
            let y = match &ys {
                None => String::new(),
                Some(reader) => reader.shown(row)?.unwrap_or_else(|| NO_LABEL.to_owned()),
            };
            match (xs.get(row)?, value) {
                (Some(x), Some(value)) => self.points.push(Point { x, y, value }),
                _ => self.left_out += 1,
            }
        }
        Ok(())
    }

    /// Sums by the label of x.
    pub fn by_x(&self) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for point in &self.points {
            if let X::Label(label) = &point.x {
                *sums.entry(label.as_str()).or_default() += point.value;
            }
        }
        sums
    }

    /// Sums by y.
    pub fn by_y(&self) -> BTreeMap<&str, f64> {
        let mut sums = BTreeMap::new();
        for point in &self.points {
            *sums.entry(point.y.as_str()).or_default() += point.value;
        }
        sums
    }
}

/// The labels with the largest sums, largest first, then by name.
pub fn largest<'a>(sums: &BTreeMap<&'a str, f64>, count: usize) -> Vec<(&'a str, f64)> {
    let mut sums: Vec<(&str, f64)> = sums.iter().map(|(label, sum)| (*label, *sum)).collect();
    sums.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    sums.truncate(count);
    sums
}

enum Xs<'a> {
    Labels(Reader<'a>),
    Numbers(ArrayRef),
}

impl<'a> Xs<'a> {
    fn new(array: &'a ArrayRef, kind: ChartKind) -> Result<Self, ArrowError> {
        Ok(match kind {
            ChartKind::Bar | ChartKind::Matrix => Self::Labels(Reader::new(array.as_ref())?),
            ChartKind::HeatMap | ChartKind::HoursByDay => {
                Self::Numbers(cast(array, &DataType::Int64)?)
            }
            ChartKind::TimeSeries => {
                let seconds = cast(array, &DataType::Timestamp(TimeUnit::Second, None))?;
                Self::Numbers(cast(&seconds, &DataType::Int64)?)
            }
        })
    }

    fn get(&self, row: usize) -> Result<Option<X>, ArrowError> {
        Ok(match self {
            Self::Labels(reader) => {
                let label = reader.shown(row)?;
                Some(X::Label(label.unwrap_or_else(|| NO_LABEL.to_owned())))
            }
            Self::Numbers(array) if array.is_null(row) => None,
            Self::Numbers(array) => Some(X::Number(array.as_primitive::<Int64Type>().value(row))),
        })
    }
}

/// A value that can be drawn: nothing below zero, and no infinity.
fn number(values: &ArrayRef, row: usize) -> Option<f64> {
    if values.is_null(row) {
        return None;
    }
    let value = values.as_primitive::<Float64Type>().value(row);
    (value.is_finite() && value >= 0.0).then_some(value)
}
