//! One self-contained page for a run.

use crate::report::result::ReportRun;

#[derive(Debug, thiserror::Error)]
pub enum HtmlError {
    #[error("cannot write the page")]
    Write(#[from] std::io::Error),
}

pub fn write_html(_: &ReportRun, _: &mut impl std::io::Write) -> Result<(), HtmlError> {
    Ok(())
}
