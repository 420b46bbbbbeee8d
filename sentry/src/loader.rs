//! Programs into memory.
