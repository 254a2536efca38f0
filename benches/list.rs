//! A bare listing, which nightly runs are measured against: lists sources and does nothing else.
//!
//! usage: list SOURCE…

use dynatrail::archive::{Archive, S3Options, Selection, Source};

fn main() {
    let sources: Vec<Source> = std::env::args()
        .skip(1)
        .map(|text| Source::parse(&text).expect("usage: list SOURCE…"))
        .collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let archive = Archive::open(sources, S3Options::default());
    let listing = runtime.block_on(archive.list(&Selection::everything(), &|_| ()));
    let listing = listing.expect("a folder for temporary files");
    assert!(listing.failures.is_empty(), "{:?}", listing.failures);
    println!("{}", listing.listed);
}
