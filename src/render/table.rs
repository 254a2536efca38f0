//! Tables for a terminal: they fit its width, and what is cut shows that it is.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use comfy_table::{Cell, CellAlignment, ContentArrangement, Row, Table};
use unicode_width::UnicodeWidthStr;

use super::sanitize::one_line;
use super::{Layout, RenderError, cell};

/// What stands where a cell was cut.
const CUT: &str = "…";

/// What stands for NULL.
const NULL: &str = "-";

/// A table whose columns would be narrower than this on average is written as records.
const LEAST_COLUMN_WIDTH: usize = 11;

/// Bytes of a cell that are laid out; no terminal shows more of one.
const MAX_CELL_BYTES: usize = 8 << 10;

/// The borders between two columns.
const BETWEEN: usize = 2;

/// Writes rows as a table, once all that are shown are known.
pub struct TableWriter<W: Write> {
    schema: SchemaRef,
    layout: Layout,
    out: W,
    rows: Vec<Vec<String>>,
    count: u64,
}

impl<W: Write> TableWriter<W> {
    pub fn new(schema: SchemaRef, layout: Layout, out: W) -> Self {
        Self {
            schema,
            layout,
            out,
            rows: Vec::new(),
            count: 0,
        }
    }

    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), RenderError> {
        self.count += batch.num_rows() as u64;
        let room = self.layout.max_rows - self.rows.len();
        for row in 0..batch.num_rows().min(room) {
            let cells = batch.columns().iter();
            self.rows
                .push(cells.map(|column| shown(cell::text(column, row))).collect());
        }
        Ok(())
    }

    /// Counts rows that are not here but belong to the table.
    pub fn count_more(&mut self, rows: u64) {
        self.count += rows;
    }

    pub fn finish(mut self) -> Result<(), RenderError> {
        if self.rows.is_empty() && self.count == 0 {
            writeln!(self.out, "no rows")?;
            return Ok(());
        }
        let text = match self.fits() {
            true => self.as_table(),
            false => self.as_records(),
        };
        self.out.write_all(text.as_bytes())?;
        let more = self.count - self.rows.len() as u64;
        if more > 0 {
            writeln!(self.out, "{CUT} and {more} more rows, which are not shown")?;
        }
        Ok(self.out.flush()?)
    }

    fn fits(&self) -> bool {
        let columns = self.schema.fields().len();
        let Some(width) = self.layout.width else {
            return true;
        };
        width >= columns * (LEAST_COLUMN_WIDTH + BETWEEN) || width >= self.natural_width()
    }

    /// The width that the table has where nothing is cut.
    fn natural_width(&self) -> usize {
        let names = self.schema.fields().iter().enumerate();
        let widths = names.map(|(column, field)| {
            let cells = self.rows.iter().map(|row| row[column].width());
            cells.max().unwrap_or(0).max(field.name().width()) + BETWEEN
        });
        widths.sum()
    }

    fn as_table(&self) -> String {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_truncation_indicator(CUT);
        match self.layout.width {
            Some(width) => table
                .set_content_arrangement(ContentArrangement::Dynamic)
                .set_width(width.min(u16::MAX as usize) as u16),
            None => table.set_content_arrangement(ContentArrangement::Disabled),
        };
        let names = self.schema.fields().iter();
        let names = names.map(|field| Cell::new(one_line(field.name())));
        table.set_header(one_line_high(Row::from(names.collect::<Vec<_>>())));
        for row in &self.rows {
            table.add_row(one_line_high(Row::from(row)));
        }
        for (column, field) in self.schema.fields().iter().enumerate() {
            if let Some(column) = table.column_mut(column) {
                column.set_padding((0, BETWEEN as u16));
                if cell::is_number(field.data_type()) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        let lines = table.lines().map(|line| line.trim_end().to_owned() + "\n");
        lines.collect()
    }

    /// Every row as a block of lines, a column each.
    fn as_records(&self) -> String {
        let names = self.schema.fields().iter();
        let names: Vec<String> = names
            .map(|field| one_line(field.name()).into_owned())
            .collect();
        let widest = names.iter().map(|name| name.width()).max().unwrap_or(0);
        let mut text = String::new();
        for (number, row) in (1..).zip(&self.rows) {
            text.push_str(&format!("row {number}\n"));
            for (name, value) in names.iter().zip(row) {
                let pad = " ".repeat(widest - name.width());
                let width = self
                    .layout
                    .width
                    .map(|width| width.saturating_sub(widest + 4));
                text.push_str(&format!("  {name}{pad}  {}\n", cut(value, width)));
            }
        }
        text
    }
}

fn one_line_high(mut row: Row) -> Row {
    row.max_height(1);
    row
}

fn shown(text: Option<String>) -> String {
    match text {
        Some(text) => {
            let mut end = text.len().min(MAX_CELL_BYTES);
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            let mark = if end < text.len() { CUT } else { "" };
            format!("{}{mark}", one_line(&text[..end]))
        }
        None => NULL.to_owned(),
    }
}

/// The text cut to a width, with a mark where something is missing.
fn cut(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| text.width() > *width) else {
        return text.to_owned();
    };
    let mut shown = String::new();
    for c in text.chars() {
        let mut buffer = [0; 4];
        if shown.width() + c.encode_utf8(&mut buffer).width() + CUT.width() > width {
            break;
        }
        shown.push(c);
    }
    shown + CUT
}
