//! The reports there are: those packaged in the binary and those of a folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::header::{Header, ParameterType};
use super::parameter::ParameterValue;
use super::standard::{self, Standard};
use super::template::Template;

/// The reports packaged in the binary: topic, name and file.
const PACKAGED: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/packaged_reports.rs"));

/// The order of the packaged topics: what is gravest first.
pub const TOPICS: [&str; 5] = [
    "destruction",
    "exfiltration",
    "access",
    "operations",
    "evidence",
];

/// What is wrong with a report or where it stands.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("{file}: {problem}")]
    Header { file: String, problem: String },
    #[error("{file}:{line}: {problem}")]
    Statement {
        file: String,
        line: usize,
        problem: String,
    },
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0}")]
    Unknown(String),
}

/// A parameter that a report reads, its own or a standard one.
#[derive(Debug, Clone)]
pub struct ReportParameter {
    pub name: String,
    pub kind: ParameterType,
    pub default: ParameterValue,
    pub about: String,
}

/// A report: its header and its statement.
#[derive(Debug)]
pub struct Report {
    /// The name of its file without the ending, such as `table-deleted`.
    pub name: String,
    /// The folder of its file: destruction, exfiltration, access, operations, evidence, or a user's.
    pub topic: String,
    pub header: Header,
    /// The statement as it stands in the file, below the header.
    pub sql: String,
    /// Of the statement, in the order in which they are first read.
    pub parameters: Vec<ReportParameter>,
    pub template: Template,
}

impl Report {
    /// Reads a report from its file's text; `file` names it in errors.
    pub fn parse(topic: &str, name: &str, text: &str, file: &str) -> Result<Self, CatalogueError> {
        let wrong = |problem: String| CatalogueError::Header {
            file: file.to_owned(),
            problem,
        };
        let text = text.replace("\r\n", "\n");
        let comment = text
            .strip_prefix("/*")
            .and_then(|text| text.split_once("*/"));
        let (toml, sql) = comment
            .ok_or_else(|| wrong("begins with no /* … */ that holds its header".to_owned()))?;
        let header: Header = toml::from_str(toml).map_err(|error| wrong(error.to_string()))?;
        let first_line = text[..text.len() - sql.trim_start().len()]
            .matches('\n')
            .count();
        let sql = sql.trim().trim_end_matches(';').trim_end().to_owned();
        let declared = declared_parameters(&header).map_err(wrong)?;
        let kind = |name: &str| {
            let own = declared.iter().find(|parameter| parameter.name == name);
            own.map(|own| own.kind)
                .or_else(|| standard::find(name).map(|standard| standard.kind))
        };
        let is_list = |name: &str| kind(name) == Some(ParameterType::TextList);
        let statement = |line: usize, problem: String| CatalogueError::Statement {
            file: file.to_owned(),
            line: first_line + line,
            problem,
        };
        let template = Template::parse(&sql, is_list).map_err(|e| statement(e.line, e.problem))?;
        let parameters = read_parameters(&template, &declared)
            .map_err(|(line, problem)| statement(line, problem))?;
        let report = Self {
            name: name.to_owned(),
            topic: topic.to_owned(),
            header,
            sql,
            parameters,
            template,
        };
        report.check_header(&declared).map_err(wrong)?;
        Ok(report)
    }

    /// Whether the parts of the header agree with one another and with the statement.
    fn check_header(&self, declared: &[ReportParameter]) -> Result<(), String> {
        let header = &self.header;
        for parameter in declared {
            if !self.reads(&parameter.name) {
                return Err(format!("parameter {:?} is not read", parameter.name));
            }
        }
        let recorded = header.recorded_days.as_ref().map(|days| &days.parameter);
        for (member, days) in [
            ("baseline_days", header.baseline_days.as_ref()),
            ("recorded_days", recorded),
        ] {
            let Some(days) = days else { continue };
            let of_days = declared.iter().find(|parameter| parameter.name == *days);
            if !of_days.is_some_and(|p| p.kind == ParameterType::Integer) {
                return Err(format!("{member}: no whole-number parameter {days:?}"));
            }
        }
        for asked in &header.asks {
            if !self.reads(asked) {
                return Err(format!("asks: parameter {asked:?} is not read"));
            }
        }
        let has_column = |name: &str| header.columns.0.iter().any(|(column, _)| column == name);
        if let Some(chart) = &header.chart {
            let named = [Some(&chart.x), chart.y.as_ref(), chart.value.as_ref()];
            for column in named.into_iter().flatten() {
                if !has_column(column) {
                    return Err(format!("chart: no column {column:?}"));
                }
            }
        }
        for (place, column) in header.identity.iter().enumerate() {
            if !has_column(column) {
                return Err(format!("identity: no column {column:?}"));
            }
            if header.identity[..place].contains(column) {
                return Err(format!("identity: column {column:?} is named twice"));
            }
        }
        if header.needs.is_empty() {
            return Err("needs: says nothing that must have been recorded".to_owned());
        }
        Ok(())
    }

    /// Whether the statement reads a parameter.
    pub fn reads(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|p| p.name == parameter)
    }
}

fn declared_parameters(header: &Header) -> Result<Vec<ReportParameter>, String> {
    let declared = header.parameters.0.iter().map(|(name, declared)| {
        if standard::find(name).is_some() {
            return Err(format!("parameter {name:?} is a standard one"));
        }
        let default = ParameterValue::from_toml(declared.kind, &declared.default)
            .map_err(|problem| format!("parameter {name:?}: {problem}"))?;
        Ok(ReportParameter {
            name: name.clone(),
            kind: declared.kind,
            default,
            about: declared.about.clone(),
        })
    });
    declared.collect()
}

/// The parameters of a statement; its literals must be the defaults, or the file would not do as
/// it stands what it does by its name.
fn read_parameters(
    template: &Template,
    declared: &[ReportParameter],
) -> Result<Vec<ReportParameter>, (usize, String)> {
    let mut read: Vec<ReportParameter> = Vec::new();
    for place in template.parameters() {
        let own = declared.iter().find(|own| own.name == place.name).cloned();
        let parameter = own
            .or_else(|| standard::find(&place.name).map(Standard::parameter))
            .ok_or_else(|| {
                let problem = format!("parameter {:?} is not declared", place.name);
                (place.line, problem)
            })?;
        let default = parameter
            .default
            .literal(super::parameter::Engine::DataFusion);
        if squeezed(&default) != squeezed(&place.default) {
            let problem = format!(
                "the literal of {:?} is {}, its default is {default}",
                place.name, place.default
            );
            return Err((place.line, problem));
        }
        if !read.iter().any(|other| other.name == parameter.name) {
            read.push(parameter);
        }
    }
    Ok(read)
}

/// Number and space spelled in one way: `0.10` is `0.1`.
fn squeezed(literal: &str) -> String {
    match literal.parse::<f64>() {
        Ok(number) => number.to_string(),
        Err(_) => literal.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Reports by topic and name.
pub struct Catalogue {
    /// In the order of topics, then of names.
    pub reports: Vec<Arc<Report>>,
}

impl Catalogue {
    /// The packaged reports.
    pub fn packaged() -> Result<Self, CatalogueError> {
        let reports = PACKAGED.iter().map(|(topic, name, text)| {
            let file = format!("queries/{topic}/{name}.sql");
            Report::parse(topic, name, text, &file).map(Arc::new)
        });
        let mut catalogue = Self {
            reports: reports.collect::<Result<_, _>>()?,
        };
        catalogue.sort();
        Ok(catalogue)
    }

    /// Adds the reports of a folder, `<topic>/<name>.sql` or `<name>.sql`; one with the name of
    /// another stands for it.
    pub fn add_folder(&mut self, folder: &Path) -> Result<(), CatalogueError> {
        for entry in sorted_entries(folder)? {
            if entry.is_dir() {
                let topic = file_name(&entry);
                for file in sorted_entries(&entry)? {
                    self.add_file(&topic, &file)?;
                }
            } else {
                self.add_file("own", &entry)?;
            }
        }
        self.sort();
        Ok(())
    }

    fn add_file(&mut self, topic: &str, path: &Path) -> Result<(), CatalogueError> {
        if path.extension().is_none_or(|ending| ending != "sql") {
            return Ok(());
        }
        let text = fs::read_to_string(path).map_err(|source| CatalogueError::Read {
            path: path.to_owned(),
            source,
        })?;
        let name = file_name(&path.with_extension(""));
        let report = Report::parse(topic, &name, &text, &path.display().to_string())?;
        self.reports.retain(|other| other.name != name);
        self.reports.push(Arc::new(report));
        Ok(())
    }

    fn sort(&mut self) {
        let place = |topic: &str| TOPICS.iter().position(|known| *known == topic);
        self.reports.sort_by_key(|report| {
            let place = place(&report.topic).unwrap_or(TOPICS.len());
            (place, report.topic.clone(), report.name.clone())
        });
    }

    /// The report of a name, or an error that says which names are near.
    pub fn find(&self, name: &str) -> Result<Arc<Report>, CatalogueError> {
        let bare = name.rsplit('/').next().unwrap_or(name);
        if let Some(report) = self.reports.iter().find(|report| report.name == bare) {
            return Ok(report.clone());
        }
        let near = self.reports.iter().filter(|report| {
            let words = || bare.split('-').filter(|word| word.len() > 2);
            words().any(|word| report.name.contains(word))
        });
        let near: Vec<&str> = near.map(|report| report.name.as_str()).take(5).collect();
        let hint = match near.is_empty() {
            true => "dynatrail report --list shows all".to_owned(),
            false => format!("did you mean {}?", near.join(", ")),
        };
        Err(CatalogueError::Unknown(format!(
            "no report {name:?}: {hint}"
        )))
    }
}

fn sorted_entries(folder: &Path) -> Result<Vec<PathBuf>, CatalogueError> {
    let failed = |source| CatalogueError::Read {
        path: folder.to_owned(),
        source,
    };
    let entries = fs::read_dir(folder).map_err(failed)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    Ok(paths)
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
