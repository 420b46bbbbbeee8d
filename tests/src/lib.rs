//! End-to-end tests: guest programs, the OCI command line, conformance and the rules of the tree.
