//! The binary: parses the command line, runs it, and turns the outcome into an exit code.

use std::process::ExitCode;

/// The system's keeps what threads have freed: a run of reports would hold twice its memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    dynatrail::cli::run()
}
