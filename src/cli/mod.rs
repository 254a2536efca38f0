//! The command line: one file a subcommand. stdout is the answer, stderr everything else.

#[cfg(not(feature = "cluster"))]
#[path = "alone.rs"]
mod cluster;

mod aws;
#[cfg(feature = "cluster")]
mod cluster;
mod convert;
mod ddl;
mod docs;
mod engine;
mod evidence;
mod export;
mod inspect;
mod nightly;
mod progress;
mod prompt;
mod query;
mod rebuild;
mod report;
mod selection;
mod show;
mod signals;
mod terminal;
mod verified;
mod verify;
mod verify_lines;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Complete,
    /// Complete, but something was quarantined or unreadable.
    Incomplete,
    /// Complete, with findings at or above the level asked for.
    Findings,
    /// Ended by a signal: its number.
    Interrupted(u8),
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Complete => Self::SUCCESS,
            Outcome::Incomplete => Self::from(3),
            Outcome::Findings => Self::from(4),
            Outcome::Interrupted(signal) => Self::from(128 + signal),
        }
    }
}

/// The exit code for wrong usage, which is clap's too.
const USAGE: u8 = 2;

const EXIT_CODES: &str = "\
Exit codes:
  0    complete
  1    failed
  2    wrong usage
  3    complete, but something was quarantined, unreadable, not there or not valid
  4    findings at or above the level of --fail-on
  130  interrupted (143: terminated)";

/// Turns AWS CloudTrail archives into a Parquet lake of Amazon DynamoDB events, and answers
/// forensic questions from it.
#[derive(Parser)]
#[command(name = "dynatrail", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    /// Tells more on stderr; twice for traces.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,

    /// Tells nothing on stderr but errors.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Convert(convert::Args),
    Inspect(inspect::Args),
    Show(show::Args),
    Export(export::Args),
    Verify(verify::Args),
    Report(Box<report::Args>),
    Query(Box<query::Args>),
    Nightly(Box<nightly::Args>),
    Evidence(Box<evidence::Args>),
    Ddl(ddl::Args),
    Rebuild(rebuild::Args),
    #[cfg(feature = "cluster")]
    Cluster(cluster::Args),
    Completions(docs::CompletionArgs),
    Man(docs::ManArgs),
    Columns(docs::ColumnArgs),
}

impl Command {
    /// Whether it runs until it is told to end, for others.
    fn serves(&self) -> bool {
        match self {
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => true,
            _ => false,
        }
    }
}

/// What every command is told beside its own arguments.
#[derive(Clone, Copy)]
pub struct Manner {
    pub quiet: bool,
    pub verbose: u8,
}

/// The command line as clap knows it.
pub fn command() -> clap::Command {
    Cli::command()
}

/// The process's command line, and what a file adds to it.
fn parse() -> anyhow::Result<Cli> {
    let arguments: Vec<std::ffi::OsString> = std::env::args_os().collect();
    let judged = Cli::command().try_get_matches_from(&arguments);
    let given = match &judged {
        Ok(matches) => matches.clone(),
        // What an option requires may stand in the file.
        Err(error) if error.kind() == ErrorKind::MissingRequiredArgument => Cli::command()
            .ignore_errors(true)
            .get_matches_from(&arguments),
        Err(error) => error.exit(),
    };
    match nightly::with_file(arguments, &given)? {
        Some(cli) => Ok(cli),
        None => {
            let matches = judged.unwrap_or_else(|error| error.exit());
            Ok(Cli::from_arg_matches(&matches)?)
        }
    }
}

/// Runs the process's command line.
pub fn run() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            let text = crate::convert::unit::error_chain(error.as_ref());
            terminal::tell(&format!("dynatrail: {}", text.trim_end()));
            return ExitCode::from(USAGE);
        }
    };
    let manner = Manner {
        quiet: cli.quiet,
        verbose: cli.verbose,
    };
    trace(manner, &cli.command);
    // Rows that wait on disk keep a file open for each batch: more than a shell may allow at first.
    let _ = rlimit::increase_nofile_limit(u64::from(u32::MAX));
    let outcome = match cli.command {
        Command::Convert(args) => convert::run(args, manner),
        Command::Inspect(args) => inspect::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Verify(args) => verify::run(&args, manner),
        Command::Report(args) => report::run(&args),
        Command::Query(args) => query::run(&args),
        Command::Nightly(args) => nightly::run(&args, manner),
        Command::Evidence(args) => evidence::run(&args, manner),
        Command::Ddl(args) => ddl::run(&args),
        Command::Rebuild(args) => rebuild::run(&args, manner),
        #[cfg(feature = "cluster")]
        Command::Cluster(args) => cluster::run(&args, manner),
        Command::Completions(args) => docs::completions(&args),
        Command::Man(args) => docs::man(&args),
        Command::Columns(args) => docs::columns(&args),
    };
    match outcome {
        Ok(outcome) => outcome.into(),
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if cluster::is_cancelled(&error) => Outcome::Interrupted(2).into(),
        Err(error) => {
            // Some errors repeat their causes in their own text.
            let text = crate::convert::unit::error_chain(error.as_ref());
            terminal::tell(&format!("dynatrail: {text}"));
            ExitCode::FAILURE
        }
    }
}

/// `dynatrail … | head` is no failure.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// Sends traces to stderr: none unless asked for. Who only serves others has no other words, and
/// tells at least what went wrong.
fn trace(manner: Manner, command: &Command) {
    let level = match manner.verbose {
        0 if command.serves() => tracing::Level::WARN,
        0 => return,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(terminal::wants_color())
        .init();
}
