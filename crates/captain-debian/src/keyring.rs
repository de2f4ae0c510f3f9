//! OpenPGP: whether a clear-signed file was signed by a key of the keyring that may sign now (RFC 9580).

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use captain_model::Timestamp;
use pgp::composed::{CleartextSignedMessage, Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{KeyFlags, Signature, SignatureType};
use pgp::types::{KeyDetails, Tag, VerifyingKey};

use crate::error::Error;

/// Debian's own keyrings, the first that exists; the suffix changed with trixie.
const DEFAULTS: [&str; 2] =
    ["/usr/share/keyrings/debian-archive-keyring.pgp", "/usr/share/keyrings/debian-archive-keyring.gpg"];

/// The keys that an archive may be signed with.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

/// A verified text, and by which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    /// Exactly the text that was signed.
    pub(crate) text: String,
    /// Fingerprint of the primary key, in hex.
    pub(crate) signed_by: String,
}

impl Keyring {
    /// Reads keys from a file's content, binary or armored.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (keys, _) =
            SignedPublicKey::from_reader_many(Cursor::new(bytes)).map_err(|error| error.to_string())?;
        // A key of a kind that is not known (Debian keeps ancient ones) must not hide the others.
        let keys: Vec<_> = keys.filter_map(Result::ok).collect();
        if keys.is_empty() { Err("no OpenPGP key in it".to_owned()) } else { Ok(Self { keys }) }
    }

    /// The keys in `chosen`; without it, those in `of_apt` (what apt verifies the mirror with) and in the
    /// host's Debian keyring. `url` is what should be verified, for messages.
    ///
    /// # Errors
    /// [`Error::Keyring`] where there is no key at all, or `chosen` cannot be used.
    pub fn load(chosen: Option<&Path>, of_apt: &[PathBuf], url: &str) -> Result<Self, Error> {
        if let Some(path) = chosen {
            return Self::read(path).map_err(|why| Error::Keyring { url: url.to_owned(), why });
        }
        let default = DEFAULTS.iter().map(Path::new).find(|path| path.exists());
        let mut keyring = Self::default();
        let mut tried = Vec::new();
        for path in of_apt.iter().map(PathBuf::as_path).chain(default) {
            match Self::read(path) {
                Ok(found) => keyring.keys.extend(found.keys),
                Err(why) => tried.push(why),
            }
        }
        if !keyring.keys.is_empty() {
            return Ok(keyring);
        }
        if tried.is_empty() {
            tried.push(format!("neither {} nor {} is there", DEFAULTS[0], DEFAULTS[1]));
        }
        Err(Error::Keyring { url: url.to_owned(), why: tried.join("; ") })
    }

    fn read(path: &Path) -> Result<Self, String> {
        let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Self::parse(&bytes).map_err(|why| format!("{}: {why}", path.display()))
    }

    /// Verifies a clear-signed file: at least one signature must be good, as of `now`.
    pub(crate) fn verify(&self, bytes: &[u8], url: &str, now: Timestamp) -> Result<Verified, Error> {
        let wrong = |why: String| Error::Signature { url: url.to_owned(), why };
        let (message, _) = CleartextSignedMessage::from_armor(Cursor::new(bytes))
            .map_err(|error| wrong(format!("it is not a clear-signed file ({error})")))?;
        let text = message.signed_text();
        let mut faults = Vec::new();
        for signature in message.signatures() {
            match self.signer(signature, &text, now) {
                Ok(signed_by) => return Ok(Verified { text: text.replace("\r\n", "\n"), signed_by }),
                Err(why) => faults.push(why),
            }
        }
        Err(wrong(if faults.is_empty() { "it has no signature".to_owned() } else { faults.join("; ") }))
    }

    /// The fingerprint of the key that made `signature` over `text`.
    fn signer(&self, signature: &Signature, text: &str, now: Timestamp) -> Result<String, String> {
        check_signature(signature, now)?;
        let mut faults = Vec::new();
        for key in &self.keys {
            match made_by(key, signature, text, now) {
                Some(Ok(())) => return Ok(key.fingerprint().to_string()),
                Some(Err(why)) => faults.push(format!("by key {}: {why}", key.fingerprint())),
                None => {}
            }
        }
        if faults.is_empty() {
            return Err(format!("by key {}, which is not in the keyring", issuer(signature)));
        }
        Err(faults.join("; "))
    }
}

fn issuer(signature: &Signature) -> String {
    let prints = signature.issuer_fingerprint();
    let ids = signature.issuer_key_id();
    let print = prints.first().map(|print| print.to_string());
    print.or_else(|| ids.first().map(|id| id.to_string())).unwrap_or_else(|| "unknown".to_owned())
}

/// What can be said of a signature without its key.
fn check_signature(signature: &Signature, now: Timestamp) -> Result<(), String> {
    if !matches!(signature.typ(), Some(SignatureType::Text | SignatureType::Binary)) {
        return Err("a signature that is not over a document".to_owned());
    }
    if !is_strong(signature) {
        return Err("a signature with a weak hash".to_owned());
    }
    let made = seconds_of(signature).ok_or("a signature without a date")?;
    let end = signature.signature_expiration_time().map(|span| made + u64::from(span.as_secs()));
    if end.is_some_and(|end| end > made && end <= seconds(now)) {
        return Err("an expired signature".to_owned());
    }
    Ok(())
}

/// SHA-1 and older can be forged.
fn is_strong(signature: &Signature) -> bool {
    use HashAlgorithm as Hash;
    matches!(
        signature.hash_alg(),
        Some(Hash::Sha256 | Hash::Sha384 | Hash::Sha512 | Hash::Sha3_256 | Hash::Sha3_512)
    )
}

fn seconds(time: Timestamp) -> u64 {
    time.as_millis() / 1000
}

fn seconds_of(signature: &Signature) -> Option<u64> {
    signature.created().map(|time| u64::from(time.as_secs()))
}

/// Whether `key` or one of its subkeys made `signature`, and may; nothing where it was another key.
fn made_by(
    key: &SignedPublicKey,
    signature: &Signature,
    text: &str,
    now: Timestamp,
) -> Option<Result<(), String>> {
    let names = |fingerprint: &pgp::types::Fingerprint, id: &pgp::types::KeyId| {
        signature.issuer_fingerprint().contains(&fingerprint) || signature.issuer_key_id().contains(&id)
    };
    if names(&key.fingerprint(), &key.legacy_key_id()) {
        return Some(check(signature, &key.primary_key, text).and_then(|()| primary_may_sign(key, now)));
    }
    let subkey =
        key.public_subkeys.iter().find(|sub| names(&sub.key.fingerprint(), &sub.key.legacy_key_id()))?;
    Some(check(signature, &subkey.key, text).and_then(|()| subkey_may_sign(key, subkey, now)))
}

fn check(signature: &Signature, key: &impl VerifyingKey, text: &str) -> Result<(), String> {
    signature.verify(key, text.as_bytes()).map_err(|_| "it does not match the text".to_owned())
}

/// The primary key is alive: bound to itself, not revoked, not expired. Gives what it says of itself: in its
/// newest direct signature, in the newest one of its names, or in both (RFC 9580 section 5.2.3.10).
fn primary_is_alive(key: &SignedPublicKey, now: Timestamp) -> Result<Vec<&Signature>, String> {
    let own = &key.primary_key;
    let good = |signature: &&Signature| signature.verify_key(own).is_ok();
    if key.details.revocation_signatures.iter().any(|signature| good(&signature)) {
        return Err("the key is revoked".to_owned());
    }
    let direct = latest(key.details.direct_signatures.iter().filter(good));
    let of_users = latest(key.details.users.iter().filter_map(|user| user_binding(own, user)));
    let bindings: Vec<_> = direct.into_iter().chain(of_users).collect();
    if bindings.is_empty() {
        return Err("the key is not bound to a name by itself".to_owned());
    }
    let created = u64::from(own.created_at().as_secs());
    for binding in &bindings {
        not_expired(created, binding, now).map_err(|why| format!("the key {why}"))?;
    }
    Ok(bindings)
}

/// A user's newest own certification, unless the key took it back later.
fn user_binding<'a>(key: &pgp::packet::PublicKey, user: &'a pgp::types::SignedUser) -> Option<&'a Signature> {
    let own = user
        .signatures
        .iter()
        .filter(|signature| signature.verify_certification(key, Tag::UserId, &user.id).is_ok());
    let newest = latest(own)?;
    (newest.typ() != Some(SignatureType::CertRevocation)).then_some(newest)
}

fn primary_may_sign(key: &SignedPublicKey, now: Timestamp) -> Result<(), String> {
    let flags: Vec<_> = primary_is_alive(key, now)?.iter().map(|binding| binding.key_flags()).collect();
    // Keys of old say nothing about their use: all are allowed.
    let says_nothing = flags.iter().all(|flags| *flags == KeyFlags::default());
    let may = says_nothing || flags.iter().any(KeyFlags::sign);
    if may { Ok(()) } else { Err("the key is not for signing".to_owned()) }
}

/// The subkey is bound to its living primary key for signing, and the other way round; not revoked or expired.
fn subkey_may_sign(key: &SignedPublicKey, subkey: &SignedPublicSubKey, now: Timestamp) -> Result<(), String> {
    primary_is_alive(key, now)?;
    let (primary, own) = (&key.primary_key, &subkey.key);
    let good = |signature: &&Signature| signature.verify_subkey_binding(primary, own).is_ok();
    let of_type = |typ| subkey.signatures.iter().filter(move |one| one.typ() == Some(typ)).filter(good);
    if of_type(SignatureType::SubkeyRevocation).next().is_some() {
        return Err("the subkey is revoked".to_owned());
    }
    let binding =
        latest(of_type(SignatureType::SubkeyBinding)).ok_or("the subkey is not bound to its key")?;
    not_expired(u64::from(own.created_at().as_secs()), binding, now)
        .map_err(|why| format!("the subkey {why}"))?;
    if !binding.key_flags().sign() {
        return Err("the subkey is not for signing".to_owned());
    }
    let back = binding.embedded_signature().ok_or("the subkey does not acknowledge its key")?;
    back.verify_primary_key_binding(own, primary)
        .map_err(|_| "the subkey does not acknowledge its key".to_owned())
}

fn latest<'a>(signatures: impl Iterator<Item = &'a Signature>) -> Option<&'a Signature> {
    signatures.filter(|signature| is_strong(signature)).max_by_key(|signature| seconds_of(signature))
}

fn not_expired(created: u64, binding: &Signature, now: Timestamp) -> Result<(), String> {
    let span = binding.key_expiration_time().map_or(0, |span| u64::from(span.as_secs()));
    if span > 0 && created + span <= seconds(now) {
        let days = (seconds(now) - created - span) / 86_400;
        return Err(format!("expired {days} days ago: a newer keyring may have it prolonged"));
    }
    Ok(())
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
