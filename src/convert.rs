//! Runs units: objects in, parts and a receipt out.
