//! The parameters that every report may read without declaring them: the scope of a run, and what
//! a site says of itself.

use super::catalogue::ReportParameter;
use super::header::ParameterType;
use super::parameter::ParameterValue;

/// A standard parameter.
pub struct Standard {
    pub name: &'static str,
    pub kind: ParameterType,
    /// As a person writes it; a list's default is empty.
    pub default: &'static str,
    pub about: &'static str,
    pub of: Of,
}

/// Where a standard parameter's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// An option of the command line.
    Scope,
    /// `[site]` in dynatrail.toml.
    Site(Pattern),
}

/// What a site's names may be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// As they are.
    Exact,
    /// With `*` for any text, against the principals of the lake.
    Principal,
    /// With `*` for any text, against the tables of the lake.
    Table,
    /// As CIDR blocks, against the addresses of the lake.
    Address,
}

const fn scope(name: &'static str, default: &'static str, about: &'static str) -> Standard {
    Standard {
        name,
        kind: ParameterType::Text,
        default,
        about,
        of: Of::Scope,
    }
}

const fn site(name: &'static str, pattern: Pattern, about: &'static str) -> Standard {
    Standard {
        name,
        kind: ParameterType::TextList,
        default: "",
        about,
        of: Of::Site(pattern),
    }
}

const fn hours(name: &'static str, default: &'static str, about: &'static str) -> Standard {
    Standard {
        name,
        kind: ParameterType::Integer,
        default,
        about,
        of: Of::Site(Pattern::Exact),
    }
}

/// The standard parameters.
pub const STANDARD: [Standard; 15] = [
    scope("since", "2000-01-01", "First event date, UTC"),
    scope("until", "2999-12-31", "Last event date, UTC, included"),
    scope(
        "account",
        "",
        "Account whose trail recorded the event; empty for all",
    ),
    scope("region", "", "Region; empty for all"),
    scope("table", "", "Table name; empty for all"),
    scope(
        "principal",
        "",
        "Principal, as in the column principal; empty for all",
    ),
    site(
        "own_accounts",
        Pattern::Exact,
        "Accounts of the organisation",
    ),
    site(
        "pipeline_roles",
        Pattern::Principal,
        "Principals of deployment and other expected automation",
    ),
    site(
        "decoy_tables",
        Pattern::Table,
        "Tables that nobody has a reason to touch",
    ),
    site("allowed_regions", Pattern::Exact, "Regions in use"),
    site(
        "allowed_addresses",
        Pattern::Address,
        "Addresses that calls are expected from",
    ),
    hours("work_start", "7", "Hour at which work begins"),
    hours("work_end", "19", "Hour at which work ends"),
    Standard {
        name: "work_days",
        kind: ParameterType::Text,
        default: "12345",
        about: "Days of work, Monday is 1",
        of: Of::Site(Pattern::Exact),
    },
    hours(
        "utc_offset_minutes",
        "0",
        "Minutes by which the site's clock is ahead of UTC",
    ),
];

/// The standard parameter of a name.
pub fn find(name: &str) -> Option<&'static Standard> {
    STANDARD.iter().find(|standard| standard.name == name)
}

impl Standard {
    pub fn parameter(&self) -> ReportParameter {
        let texts: &[String] = match self.kind {
            ParameterType::TextList => &[],
            _ => &[self.default.to_owned()],
        };
        ReportParameter {
            name: self.name.to_owned(),
            kind: self.kind,
            default: ParameterValue::parse(self.kind, texts)
                .expect("the defaults are of their types"),
            about: self.about.to_owned(),
        }
    }
}
