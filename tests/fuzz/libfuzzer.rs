//! Runs a fuzz target under libFuzzer; DYNATRAIL_FUZZ_TARGET names it.

#![no_main]

use std::sync::LazyLock;

#[path = "../it/fuzz/json.rs"]
mod json;
#[path = "../it/fuzz/targets.rs"]
mod targets;

static TARGET: LazyLock<targets::Target> = LazyLock::new(|| {
    let name =
        std::env::var("DYNATRAIL_FUZZ_TARGET").expect("DYNATRAIL_FUZZ_TARGET names a target");
    let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no target {name:?}")).1
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| TARGET(data));
