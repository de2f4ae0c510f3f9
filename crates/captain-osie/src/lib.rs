//! The OSIE builder: recipe -> plan -> initramfs and kernel.
