//! The safe face of the host: memory files, mappings, fd passing, openat2, namespaces, seccomp, futex.
