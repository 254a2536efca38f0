//! Lists and fetches the objects of an archive.
