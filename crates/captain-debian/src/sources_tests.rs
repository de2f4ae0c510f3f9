//! apt configurations as they are met, and the mirror in each.

use super::*;

fn of_list(text: &str) -> Result<Mirrors, String> {
    Mirrors::of_sources(&parse_list(text))
}

#[test]
fn the_installers_one_line_form_is_understood() {
    let mirrors = of_list(
        "# see sources.list(5)\n\
         #deb cdrom:[Debian GNU/Linux 12]/ bookworm main\n\
         deb http://mirror.example/debian/ bookworm main non-free-firmware # here\n\
         deb-src http://source.example/debian/ bookworm main\n\
         deb http://security.example/debian-security bookworm-security main\n\
         deb http://mirror.example/debian/ bookworm-updates main\n",
    );
    let mirrors = mirrors.unwrap();
    assert_eq!(mirrors.main, ["http://mirror.example/debian"]);
    assert_eq!(mirrors.security, ["http://security.example/debian-security"]);
    assert!(mirrors.keyrings.is_empty());
}

#[test]
fn the_deb822_form_is_understood() {
    let sources = parse_deb822(
        "Types: deb deb-src\n# a comment\nURIs: https://a.example/debian https://b.example/debian\n\
         Suites: trixie trixie-updates\nComponents: main\nSigned-By: /k/debian.pgp\n\n\
         Enabled: no\nTypes: deb\nURIs: https://off.example/debian\nSuites: trixie\nComponents: main\n\n\
         Types: deb\nURIs: https://a.example/debian-security\nSuites: trixie-security\nComponents: main\n\
         Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n /abc\n -----END PGP PUBLIC KEY BLOCK-----\n",
    );
    let mirrors = Mirrors::of_sources(&sources).unwrap();
    assert_eq!(mirrors.main, ["https://a.example/debian", "https://b.example/debian"]);
    assert_eq!(mirrors.security, ["https://a.example/debian-security"]);
    assert_eq!(mirrors.keyrings, [PathBuf::from("/k/debian.pgp")]);
}

#[test]
fn archives_of_others_are_not_taken_for_debians() {
    for other in [
        "deb [arch=amd64 signed-by=/k] https://docker.example/linux/debian bookworm stable",
        "deb https://postgres.example/pub/repos/apt bookworm-pgdg main",
        "deb http://archive.example/ubuntu noble main universe",
        "deb http://debug.example/debian-debug bookworm-debug main",
        "deb http://backports.example/debian bookworm-backports main",
    ] {
        assert!(of_list(other).is_err(), "{other}");
        let both = format!(
            "{other}\ndeb http://vendor.example bookworm main\ndeb http://m.example/debian trixie main"
        );
        assert_eq!(of_list(&both).unwrap().main, ["http://m.example/debian"], "{other}");
    }
}

#[test]
fn a_mirror_under_another_path_is_known_by_its_suites() {
    let mirrors = of_list(
        "deb [signed-by=/k/one.gpg,/k/two.gpg] http://nexus.example/repository/apt-proxy bookworm main\n\
         deb http://nexus.example/repository/apt-security bookworm/updates main",
    );
    let mirrors = mirrors.unwrap();
    assert_eq!(mirrors.main, ["http://nexus.example/repository/apt-proxy"]);
    assert_eq!(mirrors.security, ["http://nexus.example/repository/apt-security"]);
    assert_eq!(mirrors.keyrings, [PathBuf::from("/k/one.gpg"), PathBuf::from("/k/two.gpg")]);
}

#[test]
fn schemes_that_cannot_be_used_are_named() {
    let why = of_list(
        "deb mirror+file:/etc/apt/mirrors/debian.list bookworm main\ndeb tor+http://x.example/debian sid main",
    );
    assert!(why.unwrap_err().ends_with("(entries with mirror+file:, tor+http: are passed over)"));
}

#[test]
fn a_folder_is_read_in_apts_order() {
    let folder = tempfile::tempdir().unwrap();
    let parts = folder.path().join("sources.list.d");
    assert!(matches!(Mirrors::of_apt(folder.path()), Err(Error::NoMirror { .. })));
    fs::create_dir(&parts).unwrap();
    fs::write(parts.join("b.list"), "deb http://b.example/debian trixie main").unwrap();
    fs::write(
        parts.join("a.sources"),
        "Types: deb\nURIs: http://a.example/debian\nSuites: trixie\nComponents: main\n",
    )
    .unwrap();
    fs::write(parts.join("c.list.save"), "deb http://c.example/debian trixie main").unwrap();
    fs::write(folder.path().join("sources.list"), "deb http://z.example/debian trixie main").unwrap();
    let mirrors = Mirrors::of_apt(folder.path()).unwrap();
    assert_eq!(
        mirrors.main,
        ["http://z.example/debian", "http://a.example/debian", "http://b.example/debian"]
    );
}
