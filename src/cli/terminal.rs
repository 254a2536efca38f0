//! What stands between the program and a terminal: colour, and text that cannot steer it.

use std::io::{IsTerminal, Write};

pub use crate::render::sanitize::printable;

/// Whether stderr is a terminal that may be coloured (<https://no-color.org>).
pub fn wants_color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Writes a line to stderr. Whoever has stopped reading it (`2>&1 | head`) stops no work.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{}", printable(line));
}

/// The columns of the terminal that stdout is; none where it is a file or a pipe.
pub fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| width.0 as usize)
}

/// Whether stdout is a terminal that may be coloured.
pub fn wants_color_on_stdout() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
