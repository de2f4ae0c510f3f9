//! Debian archive client: verify, resolve, fetch, unpack.
