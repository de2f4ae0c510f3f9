//! Virtual machines with real firmware on a private network.
