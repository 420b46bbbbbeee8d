//! A platform for unit tests that runs scripted events instead of code.
