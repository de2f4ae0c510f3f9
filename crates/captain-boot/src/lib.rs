//! What one machine is told: kernel command line, boot scripts.
