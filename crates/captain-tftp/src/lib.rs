//! TFTP engine: one transfer as a state machine and the loop that drives many.
