//! What stands between the program and a terminal: colour, and text that cannot steer it.

use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

pub use crate::render::sanitize::printable;

/// Whether stderr is a terminal that may be coloured (<https://no-color.org>).
pub fn wants_color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// How lines on stderr are written.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    /// One object a line: time, level and message.
    Json,
}

static LOG_FORMAT: OnceLock<LogFormat> = OnceLock::new();

/// Chooses how lines are written, once, before the first.
pub fn write_log_as(format: LogFormat) {
    let _ = LOG_FORMAT.set(format);
}

pub fn log_format() -> LogFormat {
    LOG_FORMAT.get().copied().unwrap_or(LogFormat::Text)
}

/// Writes a line to stderr. Whoever has stopped reading it (`2>&1 | head`) stops no work.
pub fn tell(line: &str) {
    let line = match log_format() {
        LogFormat::Text => printable(line).into_owned(),
        LogFormat::Json => log_object(line),
    };
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A line as an object. Errors begin with the program's name.
fn log_object(line: &str) -> String {
    let (level, message) = match line.strip_prefix("dynatrail: ") {
        Some(message) => ("error", message),
        None => ("info", line),
    };
    let time = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%3fZ");
    let object = serde_json::json!({
        "time": time.to_string(), "level": level, "message": printable(message)
    });
    object.to_string()
}

/// The columns of the terminal that stdout is; none where it is a file or a pipe.
pub fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0 as usize)
}

/// Whether stdout is a terminal that may be coloured.
pub fn wants_color_on_stdout() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
