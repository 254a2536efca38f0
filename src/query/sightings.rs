//! The view `sightings` as DataFusion sees it: the files of the dates that have one, and the view's
//! own statement for the other dates; and the writing of the files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::Schema;
use datafusion::common::DFSchema;
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit};

use super::table::{DT, LakeTable};
use super::{QueryError, Session, Value};
use crate::event::schema::{Events, Operations, Table};
use crate::lake::sightings::{self, Sightings};
use crate::lake::{LakeState, Store};

/// Which dates of `sightings` are to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dates {
    /// Those without a file, or with one of other parts than now.
    Missing,
    All,
}

/// What became of the files of `sightings`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Renewed {
    /// Dates whose file was written.
    pub written: usize,
    /// Dates whose file was there.
    pub held: usize,
    /// Dates left without one: the run was interrupted.
    pub left: usize,
    /// Files removed whose dates had other parts.
    pub removed: usize,
}

fn definition() -> String {
    sightings::definition(Events::NAME, Operations::NAME)
}

impl Session {
    /// Registers the view as the files that there are leave it.
    pub(super) fn register_sightings(&self) -> Result<(), QueryError> {
        let view = self.sightings_plan()?;
        self.context.deregister_table(sightings::NAME)?;
        self.register_view(sightings::NAME, view)
    }

    fn sightings_plan(&self) -> Result<LogicalPlan, QueryError> {
        let defined = self.plan(&definition(), &[])?;
        let Sightings { held, missing, .. } = &self.sightings;
        if held.is_empty() {
            return Ok(defined);
        }
        let columns = defined.schema().clone();
        let files = LakeTable::of_small_files(&self.url, &file_schema(&columns), held.clone());
        let files = match self.engine {
            Some(_) => files.for_others(),
            None => files,
        };
        let files = provider_as_source(Arc::new(files));
        let files = LogicalPlanBuilder::scan(sightings::NAME, files, None)?;
        if missing.is_empty() {
            return Ok(files.build()?);
        }
        let dates: Vec<Expr> = missing.keys().map(|dt| lit(dt.as_str())).collect();
        let defined = LogicalPlanBuilder::from(defined)
            .filter(col(DT).in_list(dates, false))?
            .build()?;
        Ok(files.union(defined)?.build()?)
    }

    /// Writes the files of dates, one after another, and removes those that are stale. What is asked
    /// from then on is answered from them. Once `interrupted` is set, no further date is begun.
    ///
    /// Whoever calls it holds the lock of the lake, of which `lake` is the state.
    pub fn renew_sightings(
        &mut self,
        store: &Store,
        lake: &LakeState,
        dates: Dates,
        interrupted: &AtomicBool,
    ) -> Result<Renewed, QueryError> {
        let asked = match dates {
            Dates::Missing => self.sightings.clone(),
            Dates::All => self.sightings.clone().none_held(),
        };
        let mut renewed = Renewed {
            held: asked.held.len(),
            left: asked.missing.len(),
            ..Renewed::default()
        };
        for (dt, path) in &asked.missing {
            if interrupted.load(Ordering::Relaxed) {
                return Ok(renewed);
            }
            self.write_sightings(store, dt, path)?;
            renewed.written += 1;
            renewed.left -= 1;
        }
        for path in &asked.stale {
            store.delete(path)?;
            renewed.removed += 1;
        }
        if renewed.written > 0 {
            self.sightings = Sightings::find(store, &lake.parts())?;
            self.register_sightings()?;
        }
        Ok(renewed)
    }

    /// Writes a date's rows to a path, by the view's statement.
    fn write_sightings(&self, store: &Store, dt: &str, path: &str) -> Result<(), QueryError> {
        let sql = format!(
            "SELECT * EXCEPT ({DT}) FROM ({}) AS defined WHERE {DT} = $dt ORDER BY {}",
            definition(),
            sightings::ORDER
        );
        let values = [("dt".to_owned(), Value::Text(dt.to_owned()))];
        let rows = self.run(&sql, &values)?;
        sightings::write(store, path, rows.schema(), rows)
    }
}

/// The columns that a file has of the view's: all but the date.
fn file_schema(columns: &DFSchema) -> Schema {
    let fields = columns.fields().iter();
    Schema::new(
        fields
            .filter(|field| field.name() != DT)
            .cloned()
            .collect::<Vec<_>>(),
    )
}
