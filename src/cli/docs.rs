//! Shell completions, the manual page and the page of columns.

use std::io::Write;

use super::Outcome;
use crate::event::schema::{Cell, Events, Integrity, Operations, Receipts, Storage, Table};

/// Prints shell completions.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail completions bash > /etc/bash_completion.d/dynatrail
  dynatrail completions zsh > ~/.zfunc/_dynatrail")]
pub struct CompletionArgs {
    /// The shell to complete in.
    shell: clap_complete::Shell,
}

/// Prints the manual page, or writes those of all commands into a folder.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail man | man -l -
  dynatrail man --out /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Writes dynatrail.1 and a page a command here.
    #[arg(long, value_name = "DIR")]
    out: Option<std::path::PathBuf>,
}

/// Prints what the columns of the lake are, as Markdown.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  dynatrail columns > docs/columns.md")]
pub struct ColumnArgs {}

pub fn completions(args: &CompletionArgs) -> anyhow::Result<Outcome> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::command(), "dynatrail", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Outcome::Complete)
}

pub fn man(args: &ManArgs) -> anyhow::Result<Outcome> {
    let command = super::command();
    match &args.out {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            clap_mangen::generate_to(command, folder)?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            std::io::stdout().write_all(&page)?;
        }
    }
    Ok(Outcome::Complete)
}

pub fn columns(_: &ColumnArgs) -> anyhow::Result<Outcome> {
    let page = format!(
        "# Columns of the lake\n\nMade by `dynatrail columns` from the one table in \
         `src/event/schema.rs`.\n\n{}\n{}\n{}\n{}",
        table_page::<Events>(),
        table_page::<Operations>(),
        table_page::<Receipts>(),
        table_page::<Integrity>()
    );
    std::io::stdout().write_all(page.as_bytes())?;
    Ok(Outcome::Complete)
}

fn table_page<T: Table>() -> String {
    let mut page = format!(
        "## {}\n\n{}\n\n| column | type | record member | meaning |\n|---|---|---|---|\n",
        T::NAME,
        T::ABOUT
    );
    for column in T::COLUMNS {
        let kind = match column.cell {
            Cell::Text(_) => "text",
            Cell::Json(_) => "JSON text",
            Cell::Bool(_) => "boolean",
            Cell::Int(_) => "int",
            Cell::Long(_) => "bigint",
            Cell::Timestamp(_) => "timestamp, UTC",
        };
        let lookup = match column.storage {
            Storage::RepeatingLookup | Storage::UniqueLookup => " (bloom filter)",
            Storage::Repeating | Storage::Ordered | Storage::Unique => "",
        };
        let member = column
            .member
            .map_or_else(String::new, |member| format!("`{member}`"));
        page.push_str(&format!(
            "| `{}` | {kind} | {member} | {}{lookup} |\n",
            column.name, column.about
        ));
    }
    page
}
