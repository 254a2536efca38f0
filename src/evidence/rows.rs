//! The rows of a bundle: what a report found, and the lake's rows of the events.

use std::collections::HashSet;
use std::io::{self, Write};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMillisecondType};

use super::bundle::{Bundle, Counted};
use super::manifest::{Kind, Problem};
use super::rebuilt::{Cells, RowCells, cells};
use super::{Events, EvidenceError};
use crate::event::column::Value as CellValue;
use crate::event::schema::{self, Table};
use crate::query::{QueryError, Session, Value};
use crate::render::{Format, Layout, RenderError, RowWriter, json};
use crate::report::result::{ReportResult, ReportRun};

/// IDs that one statement names: bloom filters then find the few parts that hold them, and planning
/// one with thousands takes longer than running many.
const IDS_A_STATEMENT: usize = 100;

/// The formats of all rows.
const FORMATS: [Format; 2] = [Format::Csv, Format::Json];

/// Everything is shown in a file.
const WHOLE: Layout = Layout {
    width: None,
    max_rows: usize::MAX,
    color: false,
};

/// Collects the IDs of the events that a report's rows name; says so where rows name none.
pub fn ids_of(run: &ReportRun, ids: &mut Vec<String>, problems: &mut Vec<Problem>) {
    let mut known = HashSet::new();
    for result in &run.results {
        let (name, kept) = (&result.report.name, result.rows.count() as u64);
        if result.row_count > kept {
            let further = result.row_count - kept;
            problems.push(Problem::new(
                name,
                format!("{further} rows beyond the first {kept} are left out: narrow the report"),
            ));
        }
        let mut unnamed = 0_u64;
        for batch in result.rows.batches() {
            let columns: Vec<_> = batch
                .schema_ref()
                .fields()
                .iter()
                .zip(batch.columns())
                .filter(|(field, _)| is_event_id(field.name()))
                .filter_map(|(_, column)| column.as_string_opt::<i32>())
                .collect();
            for row in 0..batch.num_rows() {
                let mut names_one = false;
                for column in columns.iter().filter(|column| column.is_valid(row)) {
                    names_one = true;
                    if known.insert(column.value(row).to_owned()) {
                        ids.push(column.value(row).to_owned());
                    }
                }
                unnamed += u64::from(!names_one);
            }
        }
        if unnamed > 0 {
            problems.push(Problem::new(
                name,
                format!("{unnamed} rows stand for several events and name none: their records are not in the bundle"),
            ));
        }
    }
}

/// Columns such as event_id and first_event_id name an event; shared_event_id names none.
fn is_event_id(column: &str) -> bool {
    (column == "event_id" || column.ends_with("_event_id")) && column != "shared_event_id"
}

/// The objects and positions of the events, and which IDs the lake does not hold.
pub fn find(
    session: &Session,
    ids: &[String],
    problems: &mut Vec<Problem>,
) -> Result<Events, EvidenceError> {
    let mut events = Events::new();
    let mut held = HashSet::new();
    for ids in ids.chunks(IDS_A_STATEMENT) {
        let (sql, values) = statement("event_id, source, source_position", "events", ids);
        for batch in session.run(&sql, &values)? {
            let batch = batch?;
            let id = batch.column(0).as_string::<i32>();
            let source = batch.column(1).as_string::<i32>();
            let position = batch.column(2).as_primitive::<Int64Type>();
            for row in 0..batch.num_rows() {
                held.insert(id.value(row).to_owned());
                let position = u64::try_from(position.value(row)).unwrap_or(0);
                let wanted = events.entry(source.value(row).to_owned()).or_default();
                wanted.push((position, id.value(row).to_owned()));
            }
        }
    }
    for id in ids.iter().filter(|id| !held.contains(*id)) {
        problems.push(Problem::new(id, "the lake holds no event of this ID"));
    }
    for wanted in events.values_mut() {
        wanted.sort();
    }
    Ok(events)
}

/// `SELECT … WHERE event_id IN (…)` with the IDs bound, in the order of the IDs.
fn statement(columns: &str, table: &str, ids: &[String]) -> (String, Vec<(String, Value)>) {
    let names: Vec<String> = (0..ids.len())
        .map(|number| format!("$id_{number}"))
        .collect();
    let sql = select(columns, table, &names);
    let values = ids.iter().enumerate();
    let values = values.map(|(number, id)| (format!("id_{number}"), Value::Text(id.clone())));
    (sql, values.collect())
}

fn select(columns: &str, table: &str, ids: &[String]) -> String {
    let order = match (columns, table) {
        ("*", schema::Operations::NAME) => {
            " ORDER BY event_id, dt, recipient_account_id NULLS LAST, position"
        }
        ("*", _) => " ORDER BY event_id, dt, source, source_position",
        // What is looked up is put in order here.
        _ => "",
    };
    let ids = ids.join(", ");
    format!("SELECT {columns} FROM {table} WHERE event_id IN ({ids}){order}")
}

/// Writes the rows of `events` and `operations` for these IDs, and the statements that give them;
/// returns what the rows hold.
pub fn write(
    bundle: &mut Bundle,
    session: &Session,
    ids: &[String],
) -> Result<RowCells, EvidenceError> {
    let mut held = RowCells::default();
    for table in [schema::Events::NAME, schema::Operations::NAME] {
        let quoted = ids.iter().map(|id| format!("'{}'", id.replace('\'', "''")));
        let quoted: Vec<String> = quoted.collect();
        if !quoted.is_empty() {
            let sql = select("*", table, &quoted);
            bundle.write(&format!("rows/{table}.sql"), Kind::Statement, |out| {
                writeln!(out, "{sql};")
            })?;
        }
        for format in FORMATS {
            write_table(bundle, session, (table, format, ids), &mut held)?;
        }
    }
    Ok(held)
}

fn write_table(
    bundle: &mut Bundle,
    session: &Session,
    (table, format, ids): (&str, Format, &[String]),
    held: &mut RowCells,
) -> Result<(), EvidenceError> {
    let path = format!("rows/{table}.{}", format.ending());
    let rendered = |source| EvidenceError::Render {
        path: path.clone(),
        source,
    };
    // Without any ID the table is empty, but has its columns.
    let none = session.run(&format!("SELECT * FROM {table} WHERE false"), &[])?;
    let mut out = bundle.begin(&path)?;
    let mut writer = RowWriter::new(format, &none.schema(), WHOLE, &mut out).map_err(rendered)?;
    for ids in ids.chunks(IDS_A_STATEMENT) {
        let (sql, values) = statement("*", table, ids);
        for batch in session.run(&sql, &values)? {
            let batch = batch?;
            writer.write(&batch).map_err(rendered)?;
            // Every format has the same rows, and what is held is a set.
            match table == schema::Events::NAME {
                true => hold_events(&batch, held),
                false => hold_operations(&batch, held),
            }
        }
    }
    writer.finish().map_err(rendered)?;
    bundle.end(&path, Kind::Rows, out)?;
    Ok(())
}

fn hold_events(batch: &RecordBatch, held: &mut RowCells) {
    let (source, position) = (column(batch, "source"), column(batch, "source_position"));
    for (row, cells) in rows_of::<schema::Events>(batch).into_iter().enumerate() {
        let position = position.as_primitive::<Int64Type>().value(row);
        let origin = (
            source.as_string::<i32>().value(row).to_owned(),
            u64::try_from(position).unwrap_or(0),
        );
        held.events.entry(origin).or_default().insert(cells);
    }
}

fn hold_operations(batch: &RecordBatch, held: &mut RowCells) {
    let id = column(batch, "event_id");
    for (row, cells) in rows_of::<schema::Operations>(batch).into_iter().enumerate() {
        let id = id.as_string::<i32>().value(row).to_owned();
        held.operations.entry(id).or_default().insert(cells);
    }
}

fn column<'b>(batch: &'b RecordBatch, name: &str) -> &'b ArrayRef {
    batch
        .column_by_name(name)
        .expect("every table of a lake has all columns")
}

fn rows_of<T: Table>(batch: &RecordBatch) -> Vec<Cells> {
    let columns = T::COLUMNS.iter().map(|wanted| column(batch, wanted.name));
    let columns: Vec<&ArrayRef> = columns.collect();
    let rows = 0..batch.num_rows();
    rows.map(|row| cells(columns.iter().map(|column| cell(column, row))))
        .collect()
}

/// A cell as converting has it in memory.
fn cell(column: &ArrayRef, row: usize) -> Option<CellValue<'_>> {
    if column.is_null(row) {
        return None;
    }
    Some(match column.data_type() {
        DataType::Boolean => CellValue::Flag(column.as_boolean().value(row)),
        DataType::Int32 => CellValue::Number(column.as_primitive::<Int32Type>().value(row).into()),
        DataType::Int64 => CellValue::Number(column.as_primitive::<Int64Type>().value(row)),
        DataType::Timestamp(_, _) => {
            let times = column.as_primitive::<TimestampMillisecondType>();
            CellValue::Number(times.value(row))
        }
        _ => CellValue::Text(column.as_string::<i32>().value(row)),
    })
}

/// Writes what a report ends in, its statement and its rows.
pub fn write_report(bundle: &mut Bundle, run: &ReportRun) -> Result<(), EvidenceError> {
    bundle.write("report.json", Kind::Report, |out| {
        json::write_run(run, out).map_err(io::Error::other)
    })?;
    for result in &run.results {
        bundle.write("report.sql", Kind::Statement, |out| {
            writeln!(out, "{}", result.sql.trim_end())
        })?;
        for format in FORMATS {
            let path = format!("rows/report.{}", format.ending());
            bundle.write(&path, Kind::Rows, |out| {
                write_rows(result, format, out).map_err(io::Error::other)
            })?;
        }
    }
    Ok(())
}

fn write_rows(result: &ReportResult, format: Format, out: &mut Counted) -> Result<(), RenderError> {
    let mut writer = RowWriter::new(format, &result.schema, WHOLE, out)?;
    for batch in result.rows.batches() {
        writer.write(&batch)?;
    }
    writer.finish()
}

/// The receipts' units that looked at these objects.
pub fn units_of(session: &Session, objects: &[String]) -> Result<Vec<String>, QueryError> {
    let mut units = Vec::new();
    for objects in objects.chunks(IDS_A_STATEMENT) {
        let names: Vec<String> = (0..objects.len())
            .map(|number| format!("$o_{number}"))
            .collect();
        let sql = format!(
            "SELECT DISTINCT unit FROM receipts WHERE source IN ({})",
            names.join(", ")
        );
        let values = objects.iter().enumerate();
        let values = values.map(|(number, uri)| (format!("o_{number}"), Value::Text(uri.clone())));
        for batch in session.run(&sql, &values.collect::<Vec<_>>())? {
            let batch = batch?;
            units.extend(
                batch
                    .column(0)
                    .as_string::<i32>()
                    .iter()
                    .flatten()
                    .map(str::to_owned),
            );
        }
    }
    units.sort();
    units.dedup();
    Ok(units)
}
