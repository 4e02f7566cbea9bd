//! Runs on recorded and on real servers.
