//! Read-only OCI registry, image import and assembly.
