//! captaind.toml -> Config, with every fault and its line.
