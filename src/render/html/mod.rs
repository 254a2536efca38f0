//! A run of reports as one page that needs nothing else: templates, style and script are in the
//! binary, charts are drawn here, and nothing in the page is fetched from anywhere.
//!
//! Log content is chosen by attackers. It reaches the page by two ways only: the templates, whose
//! every text is escaped by [`formatted`], and the JSON of `rows`, which the script shows as text.

mod cell;
mod chart;
mod escape;
mod link;
mod page;
mod policy;
mod rows;
mod section;

use std::io::Write;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Output, State, Value};

use crate::report::result::{ReportResult, ReportRun};

use rows::Rows;
use section::Anchors;

const TEMPLATES: [(&str, &str); 5] = [
    ("parts.html.jinja", include_str!("parts.html.jinja")),
    ("page.html.jinja", include_str!("page.html.jinja")),
    ("evidence.html.jinja", include_str!("evidence.html.jinja")),
    ("topic.html.jinja", include_str!("topic.html.jinja")),
    ("report.html.jinja", include_str!("report.html.jinja")),
];
const STYLE: &str = concat!(
    include_str!("page.css"),
    include_str!("report.css"),
    include_str!("chart.css")
);
const SCRIPT: &str = concat!(include_str!("page.js"), include_str!("table.js"));

/// Where in a template the parts stand that are written one by one, so that a page is never whole
/// in memory. No text of a log can contain it: its `<` would be escaped.
const MARK: &str = "<!-- parts -->";

/// Why a page could not be written.
#[derive(Debug, thiserror::Error)]
pub enum HtmlError {
    #[error("cannot write the page")]
    Write(#[from] std::io::Error),
    #[error("cannot read the rows of a report")]
    Rows(#[from] arrow::error::ArrowError),
    #[error("cannot fill in the page's template")]
    Template(#[from] minijinja::Error),
    #[error("cannot write rows as JSON")]
    Json(#[source] serde_json::Error),
}

/// Writes the run as one HTML page. The same run makes the same bytes.
pub fn write_html(run: &ReportRun, out: &mut impl Write) -> Result<(), HtmlError> {
    let page = Page {
        run,
        anchors: Anchors::of(run),
        environment: environment()?,
    };
    page.write(out)
}

struct Page<'a> {
    run: &'a ReportRun,
    anchors: Anchors,
    environment: Environment<'static>,
}

impl Page<'_> {
    fn write(&self, out: &mut impl Write) -> Result<(), HtmlError> {
        let context = page::context(self.run, &self.anchors);
        let (before, after) = self.rendered("page.html.jinja", context)?;
        out.write_all(before.as_bytes())?;
        for topic in &self.anchors.topics {
            let (topic_before, topic_after) =
                self.rendered("topic.html.jinja", Value::from(Serde(topic)))?;
            out.write_all(topic_before.as_bytes())?;
            for index in &topic.results {
                let id = &self.anchors.reports[*index];
                self.write_report(&self.run.results[*index], id, out)?;
            }
            out.write_all(topic_after.as_bytes())?;
        }
        out.write_all(after.as_bytes())?;
        Ok(())
    }

    fn write_report(
        &self,
        result: &ReportResult,
        id: &str,
        out: &mut impl Write,
    ) -> Result<(), HtmlError> {
        let rows = Rows::new(result, &self.run.places)?;
        let context = section::context(self.run, result, &rows, id)?;
        let (before, after) = self.rendered("report.html.jinja", context)?;
        out.write_all(before.as_bytes())?;
        if result.rows.count() > 0 {
            write!(out, "<script type=\"application/json\" id=\"{id}-rows\">")?;
            rows.write_json(out)?;
            out.write_all(b"</script>")?;
        }
        out.write_all(after.as_bytes())?;
        Ok(())
    }

    /// The two halves of a rendered template, before and behind its mark.
    fn rendered(&self, name: &str, context: Value) -> Result<(String, String), HtmlError> {
        let text = self.environment.get_template(name)?.render(context)?;
        let (before, after) = text.split_once(MARK).expect("every template has the mark");
        Ok((before.to_owned(), after.to_owned()))
    }
}

fn environment() -> Result<Environment<'static>, HtmlError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_formatter(formatted);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .build()?;
    environment.set_syntax(syntax);
    for (name, text) in TEMPLATES {
        environment.add_template(name, text)?;
    }
    Ok(environment)
}

/// Writes a value into a template: every text that is not the page's own markup is escaped, and
/// what would steer in it is shown.
fn formatted(out: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    if let (false, Some(text)) = (value.is_safe(), value.as_str()) {
        out.write_str(&escape::markup(text))?;
        return Ok(());
    }
    minijinja::escape_formatter(out, state, value)
}

/// Markup that this module has made itself.
fn own_markup(markup: String) -> Value {
    Value::from_safe_string(markup)
}

/// A count with its digits in groups of three: `1,234,567`.
fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grouped() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1234567, "1,234,567"),
        ] {
            assert_eq!(grouped(count), text);
        }
    }

    #[test]
    fn script_and_style_end_where_they_should() {
        for text in [SCRIPT, STYLE] {
            let lower = text.to_lowercase();
            for forbidden in ["</", "<!--", "\r", "innerhtml", "eval("] {
                assert!(!lower.contains(forbidden), "{forbidden}");
            }
        }
    }
}
