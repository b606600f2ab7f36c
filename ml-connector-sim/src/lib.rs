//! Local simulators of the vendor APIs that ml-connector talks to
