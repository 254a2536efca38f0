//! SQL that declares a lake to Athena, DuckDB or Spark: its tables, and the views `cloudtrail` and
//! `sightings`.

pub mod cloudtrail;

use super::{Part, sightings};
use crate::event::schema::{Cell, Events, Integrity, Operations, Receipts, Table};
use crate::event::time;

/// The day of CloudTrail's launch: where a lake is empty, no event can be older.
const FIRST_DAY_OF_CLOUDTRAIL: &str = "2013-11-13";

/// Whose SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Amazon Athena, engine version 3: Hive's DDL for tables, Trino's SQL for views.
    Athena,
    DuckDb,
    /// Apache Spark, from 3.4 on, which has timestamps without a zone.
    Spark,
}

/// What SQL can declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    Events,
    Operations,
    Receipts,
    Integrity,
    /// The view of `events` with the columns that AWS documents for CloudTrail tables.
    CloudTrail,
    /// The view of who was seen at which table on which day.
    Sightings,
}

impl Relation {
    /// In the order in which they can be declared.
    pub const ALL: [Self; 6] = [
        Self::Events,
        Self::Operations,
        Self::Receipts,
        Self::Integrity,
        Self::CloudTrail,
        Self::Sightings,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Events => Events::NAME,
            Self::Operations => Operations::NAME,
            Self::Receipts => Receipts::NAME,
            Self::Integrity => Integrity::NAME,
            Self::CloudTrail => "cloudtrail",
            Self::Sightings => sightings::NAME,
        }
    }
}

/// A place that cannot stand in SQL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    #[error("the lake's place has a control character in its name: {0:?}")]
    ControlCharacter(String),
    #[error("the lake's place has ${{ in its name, which Athena would replace: {0:?}")]
    Template(String),
    #[error("the lake's place has a backslash in its name, which DuckDB takes for a slash: {0:?}")]
    Backslash(String),
}

/// The functions by Athena's names that the packaged reports call.
const DUCKDB_FUNCTIONS: &str = "
CREATE OR REPLACE MACRO json_extract_scalar(json, path) AS json_extract_string(json, path);
CREATE OR REPLACE MACRO regexp_like(text, pattern) AS regexp_matches(text, pattern);
";

/// A lake, as it is declared to an engine.
pub struct Declaration<'a> {
    dialect: Dialect,
    location: &'a str,
    /// Stands before each name.
    prefix: &'a str,
    parts: &'a [Part],
    /// YYYY-MM-DD in UTC.
    today: &'a str,
}

impl<'a> Declaration<'a> {
    /// Declares the lake that is at `location`, a folder's absolute path or a URI, and has these
    /// parts; `today` is YYYY-MM-DD in UTC.
    pub fn new(
        dialect: Dialect,
        location: &'a str,
        parts: &'a [Part],
        today: &'a str,
    ) -> Result<Self, PlaceError> {
        if location.chars().any(char::is_control) {
            return Err(PlaceError::ControlCharacter(location.to_owned()));
        }
        if dialect == Dialect::Athena && location.contains("${") {
            return Err(PlaceError::Template(location.to_owned()));
        }
        if dialect == Dialect::DuckDb && location.contains('\\') {
            return Err(PlaceError::Backslash(location.to_owned()));
        }
        Ok(Self {
            dialect,
            location: location.trim_end_matches('/'),
            prefix: "",
            parts,
            today,
        })
    }

    /// Puts `prefix`, of lower-case letters, digits and `_`, before each name.
    pub fn with_prefix(self, prefix: &'a str) -> Self {
        Self { prefix, ..self }
    }

    /// The statement that declares a relation, without a closing semicolon.
    pub fn statement(&self, relation: Relation) -> String {
        match relation {
            Relation::Events => self.table::<Events>(),
            Relation::Operations => self.table::<Operations>(),
            Relation::Receipts => self.table::<Receipts>(),
            Relation::Integrity => self.table::<Integrity>(),
            Relation::CloudTrail => self.cloudtrail(),
            Relation::Sightings => self.sightings(),
        }
    }

    /// All statements, each closed by a semicolon at a line's end, after comments that say how to
    /// run them.
    pub fn script(&self) -> String {
        let mut script = String::new();
        for line in self.how_to_run() {
            script.push_str("-- ");
            script.push_str(&line);
            script.push('\n');
        }
        for relation in Relation::ALL {
            script.push('\n');
            script.push_str(&self.statement(relation));
            script.push_str(";\n");
        }
        if self.dialect == Dialect::DuckDb {
            script.push_str(DUCKDB_FUNCTIONS);
        }
        script
    }

    fn how_to_run(&self) -> Vec<String> {
        let mut lines = vec![format!("The lake at {}", self.location)];
        let rest: &[&str] = match self.dialect {
            Dialect::Athena => &[
                "Athena runs one statement at a time: paste them in turn, or print one with --only:",
                "  aws athena start-query-execution --query-execution-context Database=default \\",
                "    --query-string \"$(dynatrail ddl athena --lake LAKE --only events)\"",
                "New dates are seen by themselves. When older ones than the range begins with are",
                "converted, drop the tables (their files stay) and run this again.",
            ],
            Dialect::DuckDb if self.location.contains("://") => &[
                "Run: duckdb -init lake.sql",
                "S3 is read by an extension; run first:",
                "  INSTALL httpfs; INSTALL aws; LOAD httpfs; LOAD aws;",
                "  CREATE SECRET (TYPE s3, PROVIDER credential_chain);",
            ],
            Dialect::DuckDb => &["Run: duckdb -init lake.sql"],
            Dialect::Spark if self.location.starts_with("s3://") => &[
                "Run: spark-sql -i lake.sql",
                "Spark outside of EMR and Glue reads S3 as s3a://: print with --location s3a://…",
            ],
            Dialect::Spark => &["Run: spark-sql -i lake.sql"],
        };
        lines.extend(rest.iter().map(|line| (*line).to_owned()));
        if self.dialect != Dialect::Athena && self.is_any_table_empty() {
            lines.push(
                "A table of this lake is still empty: run ddl again when it has rows.".to_owned(),
            );
        }
        lines
    }

    fn is_any_table_empty(&self) -> bool {
        self.is_empty::<Events>()
            || self.is_empty::<Operations>()
            || self.is_empty::<Receipts>()
            || self.is_empty::<Integrity>()
    }

    fn is_empty<T: Table>(&self) -> bool {
        !self.parts.iter().any(|part| part.table == T::NAME)
    }

    /// A relation's quoted name.
    fn relation(&self, name: &str) -> String {
        self.quoted(&format!("{}{name}", self.prefix))
    }

    /// A quoted name, as queries write it.
    fn quoted(&self, name: &str) -> String {
        match self.dialect {
            Dialect::Athena | Dialect::DuckDb => format!("\"{name}\""),
            Dialect::Spark => format!("`{name}`"),
        }
    }

    fn table<T: Table>(&self) -> String {
        match self.dialect {
            Dialect::Athena => self.athena_table::<T>(),
            // Both engines refuse a folder or pattern without files.
            Dialect::DuckDb | Dialect::Spark if self.is_empty::<T>() => self.empty_view::<T>(),
            Dialect::DuckDb => self.duckdb_view::<T>(),
            Dialect::Spark => self.spark_view::<T>(),
        }
    }

    /// Partition projection: no partition has to be added for a new date to be seen.
    fn athena_table<T: Table>(&self) -> String {
        let columns = T::COLUMNS.iter().map(|column| {
            let kind = column_type(self.dialect, &column.cell);
            format!("  `{}` {kind}", column.name)
        });
        let folder = hive_text(&format!("{}/{}/", self.location, T::NAME));
        let template = hive_text(&format!("{}/{}/dt=${{dt}}/", self.location, T::NAME));
        format!(
            "CREATE EXTERNAL TABLE IF NOT EXISTS `{prefix}{name}` (\n{columns}\n)\n\
             PARTITIONED BY (`dt` string)\n\
             STORED AS PARQUET\n\
             LOCATION {folder}\n\
             TBLPROPERTIES (\n\
             \x20 'projection.enabled'='true',\n\
             \x20 'projection.dt.type'='date',\n\
             \x20 'projection.dt.format'='yyyy-MM-dd',\n\
             \x20 'projection.dt.interval'='1',\n\
             \x20 'projection.dt.interval.unit'='DAYS',\n\
             \x20 'projection.dt.range'='{range}',\n\
             \x20 'storage.location.template'={template}\n)",
            prefix = self.prefix,
            name = T::NAME,
            columns = joined(columns, ",\n"),
            range = self.date_range::<T>(),
        )
    }

    /// From the table's first date to today; Athena sees no rows outside, so it ends with the
    /// table's last date where that is yet to come.
    fn date_range<T: Table>(&self) -> String {
        let parts = || self.parts.iter().filter(|part| part.table == T::NAME);
        let undated = time::day_text(None);
        let dates = || {
            parts()
                .map(|part| part.dt.as_str())
                .filter(|dt| *dt != undated)
        };
        let first = dates().min().unwrap_or(FIRST_DAY_OF_CLOUDTRAIL);
        let last = dates().max().filter(|last| *last > self.today);
        format!("{first},{}", last.unwrap_or("NOW"))
    }

    fn duckdb_view<T: Table>(&self) -> String {
        let columns = column_names::<T>().map(|name| format!("  {}", self.quoted(name)));
        let pattern = format!("{}/{}/dt=*/*.parquet", glob_text(self.location), T::NAME);
        format!(
            "CREATE OR REPLACE VIEW {} AS SELECT\n{}\n\
             FROM read_parquet({}, hive_partitioning=true, hive_types={{'dt': VARCHAR}}, \
             union_by_name=true)",
            self.relation(T::NAME),
            joined(columns, ",\n"),
            sql_text(&pattern),
        )
    }

    /// The types are given, so that `dt` is no date and no file has to be opened for them.
    fn spark_view<T: Table>(&self) -> String {
        let columns = T::COLUMNS
            .iter()
            .map(|column| (column.name, column_type(self.dialect, &column.cell)))
            .chain([("dt", "STRING")])
            .map(|(name, kind)| format!("  {} {kind}", self.quoted(name)));
        let folder = format!("{}/{}", hadoop_text(self.location), T::NAME);
        format!(
            "CREATE OR REPLACE TEMPORARY VIEW {} (\n{}\n)\nUSING parquet\nOPTIONS (path {})",
            self.relation(T::NAME),
            joined(columns, ",\n"),
            hive_text(&folder),
        )
    }

    fn sightings(&self) -> String {
        let [events, operations] = [Events::NAME, Operations::NAME].map(|name| self.relation(name));
        format!(
            "CREATE OR REPLACE {} {} AS\n{}",
            self.view(),
            self.relation(sightings::NAME),
            sightings::definition(&events, &operations),
        )
    }

    /// What a view is declared as: Spark has no place for others than those of a session.
    fn view(&self) -> &'static str {
        match self.dialect {
            Dialect::Spark => "TEMPORARY VIEW",
            Dialect::Athena | Dialect::DuckDb => "VIEW",
        }
    }

    fn empty_view<T: Table>(&self) -> String {
        let text = match self.dialect {
            Dialect::Spark => "STRING",
            Dialect::Athena | Dialect::DuckDb => "VARCHAR",
        };
        let columns = T::COLUMNS
            .iter()
            .map(|column| (column.name, column_type(self.dialect, &column.cell)))
            .chain([("dt", text)])
            .map(|(name, kind)| format!("  CAST(NULL AS {kind}) AS {}", self.quoted(name)));
        format!(
            "CREATE OR REPLACE {} {} AS SELECT\n{}\nWHERE false",
            self.view(),
            self.relation(T::NAME),
            joined(columns, ",\n"),
        )
    }
}

fn column_names<T: Table>() -> impl Iterator<Item = &'static str> {
    T::COLUMNS.iter().map(|column| column.name).chain(["dt"])
}

fn column_type<T: Table>(dialect: Dialect, cell: &Cell<T>) -> &'static str {
    let [athena, duckdb, spark] = match cell {
        Cell::Text(_) | Cell::Json(_) => ["string", "VARCHAR", "STRING"],
        Cell::Bool(_) => ["boolean", "BOOLEAN", "BOOLEAN"],
        Cell::Int(_) => ["int", "INTEGER", "INT"],
        Cell::Long(_) => ["bigint", "BIGINT", "BIGINT"],
        Cell::Timestamp(_) => ["timestamp", "TIMESTAMP", "TIMESTAMP_NTZ"],
    };
    match dialect {
        Dialect::Athena => athena,
        Dialect::DuckDb => duckdb,
        Dialect::Spark => spark,
    }
}

fn joined(texts: impl Iterator<Item = String>, between: &str) -> String {
    texts.collect::<Vec<_>>().join(between)
}

/// A text literal of standard SQL.
fn sql_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A text literal of Hive and Spark, where the backslash escapes and `'a''b'` is `'ab'`.
fn hive_text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// A path as a DuckDB pattern that matches only itself.
fn glob_text(path: &str) -> String {
    let mut pattern = String::new();
    for character in path.chars() {
        match character {
            '*' | '?' | '[' => pattern.extend(['[', character, ']']),
            _ => pattern.push(character),
        }
    }
    pattern
}

/// A path as a Hadoop pattern, as Spark reads paths, that matches only itself.
fn hadoop_text(path: &str) -> String {
    let mut pattern = String::new();
    for character in path.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '{' | '}' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}
