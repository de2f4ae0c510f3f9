//! What is done to make a kernel: one shell command after the other, the same wherever they run.
//!
//! They find `source` (a tarball or a folder) and `wanted.config` in `$WORK`, and leave `vmlinuz`, `config` and
//! `lib/modules/VERSION` in `$WORK/out`.

use captain_model::Arch;
use captain_osie::kernel_config::Wanted;

/// Part of the key of a finished kernel: raise it when a stage changes what comes out.
pub const VERSION: u32 = 1;

/// One step of the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// What it does, for people.
    pub name: String,
    /// For `sh -e -c`.
    pub command: String,
}

impl Stage {
    fn new(name: impl Into<String>, command: impl Into<String>) -> Self {
        Self { name: name.into(), command: command.into() }
    }
}

/// Compiler prefix for `arch` on a machine of architecture `host`; nothing where that is the same.
pub fn cross_prefix(host: Arch, arch: Arch) -> &'static str {
    match (host, arch) {
        (Arch::Amd64, Arch::Amd64) | (Arch::Arm64, Arch::Arm64) => "",
        (Arch::Amd64, Arch::Arm64) => "aarch64-linux-gnu-",
        (Arch::Arm64, Arch::Amd64) => "x86_64-linux-gnu-",
    }
}

/// The text of the `.config` that `make olddefconfig` starts from.
pub fn config(wanted: &[Wanted]) -> String {
    wanted.iter().map(Wanted::text).collect()
}

/// Unpack the sources and configure them; after these, `out/config` is the configuration to be checked.
pub(crate) fn configure(host: Arch, arch: Arch, options: usize) -> Vec<Stage> {
    let make = make(host, arch);
    // A tarball has its files below one folder, a folder (packed by captaind) too.
    let unpack = "rm -rf src out; mkdir -p src out; tar -xf source -C src --strip-components=1; \
                  if [ ! -f src/Kconfig ] || [ ! -f src/Makefile ]; then \
                  echo 'no Kconfig and Makefile in its only top folder: no Linux source tree' >&2; exit 1; fi";
    let configure =
        format!("cp wanted.config src/.config; cd src; {make} olddefconfig; cp .config ../out/config");
    vec![
        Stage::new("unpack the kernel's sources", format!("cd \"$WORK\"; {unpack}")),
        Stage::new(
            format!("configure the kernel ({options} options asked for)"),
            format!("cd \"$WORK\"; {configure}"),
        ),
    ]
}

/// Compile and collect.
pub(crate) fn compile(host: Arch, arch: Arch) -> Vec<Stage> {
    let make = make(host, arch);
    let (target, image) = match arch {
        Arch::Amd64 => ("bzImage", "arch/x86/boot/bzImage"),
        Arch::Arm64 => ("vmlinuz.efi", "arch/arm64/boot/vmlinuz.efi"),
    };
    let src = "cd \"$WORK/src\"";
    // depmod's indices are the image builder's work; the links lead to where the kernel was made.
    let install = format!(
        "{make} modules_install INSTALL_MOD_PATH=\"$WORK/out\" INSTALL_MOD_STRIP=1 DEPMOD=true; \
         cp {image} \"$WORK/out/vmlinuz\"; rm -f \"$WORK\"/out/lib/modules/*/build \"$WORK\"/out/lib/modules/*/source"
    );
    vec![
        Stage::new(
            format!("compile the kernel for {arch}"),
            format!("{src}; {make} -j\"$(nproc)\" {target}"),
        ),
        Stage::new("compile its modules", format!("{src}; {make} -j\"$(nproc)\" modules")),
        Stage::new("collect kernel and modules", format!("{src}; {install}")),
    ]
}

/// `make` with everything that would otherwise differ between two machines, two folders, or two days.
fn make(host: Arch, arch: Arch) -> String {
    let name = match arch {
        Arch::Amd64 => "x86",
        Arch::Arm64 => "arm64",
    };
    format!(
        "make ARCH={name} CROSS_COMPILE={} LOCALVERSION= KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' \
         KBUILD_BUILD_USER=captaind KBUILD_BUILD_HOST=captaind KBUILD_BUILD_VERSION=1 \
         KCFLAGS=\"-ffile-prefix-map=$PWD=.\" KAFLAGS=\"-ffile-prefix-map=$PWD=.\"",
        cross_prefix(host, arch)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_machine_or_the_day_is_in_a_command_and_the_compiler_fits() {
        for (host, arch, prefix) in [
            (Arch::Amd64, Arch::Amd64, "CROSS_COMPILE= "),
            (Arch::Amd64, Arch::Arm64, "CROSS_COMPILE=aarch64-linux-gnu- "),
            (Arch::Arm64, Arch::Arm64, "CROSS_COMPILE= "),
            (Arch::Arm64, Arch::Amd64, "CROSS_COMPILE=x86_64-linux-gnu- "),
        ] {
            for stage in configure(host, arch, 1).iter().skip(1).chain(&compile(host, arch)) {
                for part in [
                    prefix,
                    "KBUILD_BUILD_TIMESTAMP='Thu Jan  1",
                    "BUILD_USER=captaind",
                    "-ffile-prefix-map=$PWD=.",
                ] {
                    assert!(stage.command.contains(part), "{}: no {part}", stage.command);
                }
            }
        }
        assert!(compile(Arch::Amd64, Arch::Arm64)[0].command.ends_with("vmlinuz.efi"));
    }
}
