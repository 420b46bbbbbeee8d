//! Parents and children, process groups, sessions, pid namespaces.

/// All processes.
#[derive(Debug)]
pub struct TaskTree {}
