//! Which reports are run, and what the site says of itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::report::catalogue::{Catalogue, Report};
use crate::report::config::{Config, FILE_NAME};
use crate::report::header::Level;

#[derive(clap::Args, Clone, Debug)]
pub struct ChoiceArgs {
    /// Those of a topic: destruction, exfiltration, access, operations, evidence.
    #[arg(long, value_name = "TOPIC")]
    topic: Vec<String>,

    /// Those of this level or a graver one.
    #[arg(long, value_enum)]
    level: Option<LevelArg>,

    /// Those with this ATT&CK technique, such as T1485.
    #[arg(long, value_name = "ID")]
    tag: Vec<String>,
}

/// What the site adds: its own settings and reports.
#[derive(clap::Args, Clone, Debug)]
pub struct SiteArgs {
    /// What the site says of itself; dynatrail.toml in this folder if there is one.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// A folder with reports of your own, <topic>/<name>.sql.
    #[arg(long, value_name = "DIR")]
    queries: Vec<PathBuf>,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelArg {
    Informational,
    Low,
    Medium,
    High,
    Critical,
}

impl LevelArg {
    pub fn level(self) -> Level {
        match self {
            Self::Informational => Level::Informational,
            Self::Low => Level::Low,
            Self::Medium => Level::Medium,
            Self::High => Level::High,
            Self::Critical => Level::Critical,
        }
    }
}

impl SiteArgs {
    /// The packaged reports and the user's own.
    pub fn catalogue(&self) -> anyhow::Result<Catalogue> {
        let mut catalogue = Catalogue::packaged()?;
        for folder in &self.queries {
            catalogue.add_folder(folder)?;
        }
        Ok(catalogue)
    }

    /// The file that says what the site is, if there is one.
    pub fn config_path(&self) -> Option<&Path> {
        let own = Path::new(FILE_NAME);
        self.config
            .as_deref()
            .or_else(|| own.is_file().then_some(own))
    }

    pub fn read_config(&self, catalogue: &Catalogue) -> anyhow::Result<Config> {
        match self.config_path() {
            Some(path) => Ok(Config::read(path, catalogue)?),
            None => Ok(Config::default()),
        }
    }
}

impl ChoiceArgs {
    pub fn is_narrowed(&self) -> bool {
        !self.topic.is_empty() || !self.tag.is_empty() || self.level.is_some()
    }

    /// The reports that the topics, levels and tags admit.
    pub fn fitting(&self, catalogue: &Catalogue) -> anyhow::Result<Vec<Arc<Report>>> {
        for topic in &self.topic {
            anyhow::ensure!(
                catalogue
                    .reports
                    .iter()
                    .any(|report| report.topic == *topic),
                "no topic {topic:?}"
            );
        }
        let least = self.level.map_or(Level::Informational, LevelArg::level);
        let fitting = catalogue.reports.iter().filter(|report| {
            let header = &report.header;
            (self.topic.is_empty() || self.topic.contains(&report.topic))
                && header.level >= least
                && (self.tag.is_empty() || header.attack.iter().any(|id| has_tag(&self.tag, id)))
        });
        Ok(fitting.cloned().collect())
    }
}

/// T1485 also stands for its sub-techniques, T1485.001.
fn has_tag(tags: &[String], id: &str) -> bool {
    tags.iter().any(|tag| {
        let tail = id
            .get(..tag.len())
            .filter(|head| head.eq_ignore_ascii_case(tag));
        tail.is_some() && matches!(id[tag.len()..].chars().next(), None | Some('.'))
    })
}
