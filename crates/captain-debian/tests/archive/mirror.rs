//! Makes a signed archive as a map from path to bytes, and opens it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use captain_debian::{Archive, Error, Mirrors, NoProgress, Options, Sha256, Tuning};
use captain_model::{Arch, Timestamp};
use pgp::composed::{
    CleartextSignedMessage, EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedSecretKey,
    SubkeyParamsBuilder,
};
use pgp::types::Password;
use rand08::thread_rng;

use crate::debs::{Packing, deb_of_size};
use crate::server::Server;

/// 2025-09-07, a day after the releases here were made.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_757_240_000_000);
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A key whose subkey signs, as Debian's do.
pub(crate) fn key() -> SignedSecretKey {
    let mut subkey = SubkeyParamsBuilder::default();
    subkey.key_type(KeyType::Ed25519Legacy).can_sign(true).can_encrypt(EncryptionCaps::None);
    let mut params = SecretKeyParamsBuilder::default();
    params.key_type(KeyType::Ed25519Legacy).can_certify(true).primary_user_id("test <test@example>".into());
    params.subkeys(vec![subkey.build().unwrap()]);
    params.build().unwrap().generate(thread_rng()).unwrap()
}

/// What the archive holds.
pub(crate) struct Content {
    pub(crate) suite: String,
    pub(crate) date: &'static str,
    pub(crate) valid_until: &'static str,
    /// Name and extra fields of each package; its .deb holds 200 kB.
    pub(crate) packages: Vec<(&'static str, &'static str)>,
    pub(crate) by_hash: bool,
    pub(crate) packing: Packing,
}

impl Default for Content {
    fn default() -> Self {
        Self {
            suite: "trixie".to_owned(),
            date: "Sat, 06 Sep 2025 10:00:00 UTC",
            valid_until: "Sat, 13 Sep 2025 10:00:00 UTC",
            packages: vec![
                ("alpha", "Depends: beta (>= 1)\n"),
                ("beta", ""),
                ("gamma", "Depends: missing\n"),
            ],
            by_hash: true,
            packing: Packing::Xz,
        }
    }
}

/// Path of a package's .deb on the server.
pub(crate) fn deb_path(name: &str) -> String {
    format!("/debian/pool/{name}_1.0_amd64.deb")
}

pub(crate) const DEB_SIZE: usize = 200_000;

impl Content {
    /// All files of it, signed by `key`.
    pub(crate) fn files(&self, key: &SignedSecretKey) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut packages = String::new();
        for (name, fields) in &self.packages {
            let deb = deb_of_size(name, DEB_SIZE);
            packages += &format!(
                "Package: {name}\nVersion: 1.0\nArchitecture: amd64\nFilename: pool/{name}_1.0_amd64.deb\n\
                 Size: {}\nSHA256: {}\n{fields}Description: test\n\n",
                deb.len(),
                Sha256::of(&deb)
            );
            files.insert(deb_path(name), deb);
        }
        let dists = format!("/debian/dists/{}", self.suite);
        let packed = self.packing.pack(packages.as_bytes());
        let ending = self.packing.ending();
        let index = format!("main/binary-amd64/Packages{ending}");
        let release = self.release(&index, &packed, packages.as_bytes());
        files.insert(format!("{dists}/InRelease"), sign(&release, key));
        let by_hash = format!("{dists}/main/binary-amd64/by-hash/SHA256/{}", Sha256::of(&packed));
        files.insert(by_hash, packed.clone());
        files.insert(format!("{dists}/{index}"), packed);
        files
    }

    fn release(&self, index: &str, packed: &[u8], plain: &[u8]) -> String {
        let listed = |path: &str, bytes: &[u8]| format!(" {} {} {path}\n", Sha256::of(bytes), bytes.len());
        format!(
            "Origin: test\nSuite: {0}\nCodename: {0}\nDate: {5}\nValid-Until: {1}\n\
             Acquire-By-Hash: {2}\nArchitectures: all amd64\nComponents: main\nSHA256:\n{3}{4}",
            self.suite,
            self.valid_until,
            if self.by_hash { "yes" } else { "no" },
            listed(index, packed),
            listed("main/binary-amd64/Packages", plain),
            self.date,
        )
    }
}

pub(crate) fn sign(text: &str, key: &SignedSecretKey) -> Vec<u8> {
    let subkey = &key.secret_subkeys[0].key;
    let message = CleartextSignedMessage::sign(thread_rng(), text, subkey, &Password::empty()).unwrap();
    message.to_armored_bytes(Default::default()).unwrap()
}

/// A served archive, the keyring for it and a cache.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) key: SignedSecretKey,
    folder: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new(content: Content) -> Self {
        let (key, folder) = (key(), tempfile::tempdir().unwrap());
        let keyring = key.to_public_key().to_armored_bytes(Default::default()).unwrap();
        std::fs::write(folder.path().join("keyring.asc"), keyring).unwrap();
        Self { server: Server::start(content.files(&key)).await, key, folder }
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub(crate) fn options(&self) -> Options {
        let mirrors = Mirrors::explicit(&format!("{}/debian/", self.server.base));
        let mut options = Options::new(mirrors, "trixie", Arch::Amd64, self.cache(), NOW);
        options.keyring = Some(self.folder.path().join("keyring.asc"));
        options.tuning = Tuning {
            attempts: 3,
            backoff: Duration::from_millis(5),
            stall: Duration::from_secs(5),
            ..Tuning::default()
        };
        options
    }

    pub(crate) async fn open(&self) -> Result<Archive, Error> {
        Archive::open(self.options(), &NoProgress).await
    }

    /// What opening fails with.
    pub(crate) async fn refusal(&self) -> String {
        self.open().await.expect_err("the archive was opened").to_string()
    }
}
