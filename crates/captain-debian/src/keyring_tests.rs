//! Keys of every bad kind, made on the spot.

use pgp::composed::{EncryptionCaps, KeyType, SecretKeyParamsBuilder, SignedSecretKey, SubkeyParamsBuilder};
use pgp::packet::{SignatureConfig, Subpacket, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Duration, Password, SignatureBytes, SigningKey, Timestamp as PgpTime};
use rand08::thread_rng;

use super::*;

const URL: &str = "http://m/InRelease";
/// When all keys here were made: 2025-01-01.
const MADE: u32 = 1_735_689_600;
const DAY: u32 = 86_400;

fn days_later(days: u32) -> Timestamp {
    Timestamp::from_millis(u64::from(MADE + days * DAY) * 1000)
}

/// A key that certifies, and signs itself if `signs`, with a subkey that signs.
fn key(signs: bool) -> SignedSecretKey {
    let mut subkey = SubkeyParamsBuilder::default();
    subkey.key_type(KeyType::Ed25519Legacy).can_sign(true).can_encrypt(EncryptionCaps::None);
    subkey.created_at(PgpTime::from_secs(MADE));
    let mut params = SecretKeyParamsBuilder::default();
    params.key_type(KeyType::Ed25519Legacy).can_certify(true).can_sign(signs);
    params.created_at(PgpTime::from_secs(MADE)).primary_user_id("test <test@example>".into());
    params.subkeys(vec![subkey.build().unwrap()]);
    params.build().unwrap().generate(thread_rng()).unwrap()
}

fn keyring(key: &SignedSecretKey) -> Keyring {
    Keyring { keys: vec![key.to_public_key()] }
}

fn sign(text: &str, key: &impl SigningKey) -> Vec<u8> {
    let message = CleartextSignedMessage::sign(thread_rng(), text, key, &Password::empty()).unwrap();
    message.to_armored_bytes(Default::default()).unwrap()
}

/// A signature of `typ` that says `data`, made in the far future so that it is the newest.
fn config(key: &SignedSecretKey, typ: SignatureType, data: Vec<SubpacketData>) -> SignatureConfig {
    let mut config = SignatureConfig::from_key(thread_rng(), &key.primary_key, typ).unwrap();
    let made = SubpacketData::SignatureCreationTime(PgpTime::from_secs(u32::MAX - 1));
    let issuer = SubpacketData::IssuerFingerprint(key.fingerprint());
    let all = [made, issuer].into_iter().chain(data);
    config.hashed_subpackets = all.map(|data| Subpacket::regular(data).unwrap()).collect();
    config
}

fn on_key(key: &SignedSecretKey, typ: SignatureType, data: Vec<SubpacketData>) -> Signature {
    let public = key.primary_key.public_key();
    config(key, typ, data).sign_key(&key.primary_key, &Password::empty(), public).unwrap()
}

fn on_subkey(key: &SignedSecretKey, typ: SignatureType, data: Vec<SubpacketData>) -> Signature {
    let public = key.primary_key.public_key();
    let subkey = key.secret_subkeys[0].key.public_key();
    config(key, typ, data).sign_subkey_binding(&key.primary_key, public, &Password::empty(), &subkey).unwrap()
}

fn verify(key: &SignedSecretKey, bytes: &[u8], days: u32) -> Result<Verified, String> {
    keyring(key).verify(bytes, URL, days_later(days)).map_err(|error| error.to_string())
}

#[test]
fn a_primary_key_and_a_subkey_may_sign() {
    let key = key(true);
    for bytes in [sign("a\n- b\n", &key.primary_key), sign("a\n- b\n", &key.secret_subkeys[0].key)] {
        let verified = verify(&key, &bytes, 1).unwrap();
        assert_eq!((verified.text.as_str(), verified.signed_by), ("a\n- b\n", key.fingerprint().to_string()));
    }
}

#[test]
fn a_changed_text_does_not_verify() {
    let key = key(true);
    let text = String::from_utf8(sign("Suite: good\n", &key.primary_key)).unwrap();
    let error = verify(&key, text.replace("good", "evil").as_bytes(), 1).unwrap_err();
    assert!(error.starts_with(URL) && error.contains("does not match the text"), "{error}");
    let error = verify(&key, b"Suite: good\n", 1).unwrap_err();
    assert!(error.contains("not a clear-signed file"), "{error}");
}

#[test]
fn text_around_the_signed_text_is_not_taken() {
    let key = key(true);
    let signed = sign("Suite: good\n", &key.primary_key);
    let before = [b"Suite: evil\n\n".as_slice(), &signed].concat();
    let after = [&signed, b"\nSuite: evil\n".as_slice()].concat();
    for bytes in [before, after] {
        if let Ok(verified) = verify(&key, &bytes, 1) {
            assert_eq!(verified.text, "Suite: good\n");
        }
    }
}

#[test]
fn a_key_outside_the_keyring_is_named() {
    let (ours, theirs) = (key(true), key(true));
    let error = verify(&ours, &sign("x\n", &theirs.primary_key), 1).unwrap_err();
    assert!(
        error.contains(&theirs.fingerprint().to_string()) && error.contains("not in the keyring"),
        "{error}"
    );
}

#[test]
fn a_key_that_is_only_for_certifying_may_not_sign() {
    let key = key(false);
    let error = verify(&key, &sign("x\n", &key.primary_key), 1).unwrap_err();
    assert!(error.contains("not for signing"), "{error}");
    assert!(verify(&key, &sign("x\n", &key.secret_subkeys[0].key), 1).is_ok());
}

#[test]
fn an_expired_key_is_refused_from_its_last_day_on() {
    let mut key = key(true);
    let ten_days = SubpacketData::KeyExpirationTime(Duration::from_secs(10 * DAY));
    let expiry = on_key(&key, SignatureType::Key, vec![ten_days]);
    key.details.direct_signatures.push(expiry);
    for bytes in [sign("x\n", &key.primary_key), sign("x\n", &key.secret_subkeys[0].key)] {
        assert!(verify(&key, &bytes, 9).is_ok());
        let error = verify(&key, &bytes, 12).unwrap_err();
        assert!(error.contains("the key expired 2 days ago"), "{error}");
    }
}

#[test]
fn a_revoked_key_is_refused_with_its_subkeys() {
    let mut key = key(true);
    let revocation = on_key(&key, SignatureType::KeyRevocation, vec![]);
    key.details.revocation_signatures.push(revocation);
    for bytes in [sign("x\n", &key.primary_key), sign("x\n", &key.secret_subkeys[0].key)] {
        assert!(verify(&key, &bytes, 1).unwrap_err().contains("the key is revoked"));
    }
}

#[test]
fn a_revocation_by_another_key_counts_for_nothing() {
    let mut ours = key(true);
    let revocation = on_key(&key(true), SignatureType::KeyRevocation, vec![]);
    ours.details.revocation_signatures.push(revocation);
    assert!(verify(&ours, &sign("x\n", &ours.primary_key), 1).is_ok());
}

#[test]
fn a_revoked_subkey_is_refused_alone() {
    let mut key = key(true);
    let revocation = on_subkey(&key, SignatureType::SubkeyRevocation, vec![]);
    key.secret_subkeys[0].signatures.push(revocation);
    let error = verify(&key, &sign("x\n", &key.secret_subkeys[0].key), 1).unwrap_err();
    assert!(error.contains("the subkey is revoked"), "{error}");
    assert!(verify(&key, &sign("x\n", &key.primary_key), 1).is_ok());
}

#[test]
fn a_subkey_that_its_key_did_not_bind_is_refused() {
    let mut key_of_victim = key(true);
    let stranger = key(true);
    // The stranger hangs a subkey of its own onto the victim's key.
    key_of_victim.secret_subkeys = stranger.secret_subkeys.clone();
    let error = verify(&key_of_victim, &sign("x\n", &stranger.secret_subkeys[0].key), 1).unwrap_err();
    assert!(error.contains("not bound"), "{error}");
}

#[test]
fn a_subkey_that_does_not_acknowledge_its_key_is_refused() {
    let mut key = key(true);
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    let binding = on_subkey(&key, SignatureType::SubkeyBinding, vec![SubpacketData::KeyFlags(flags)]);
    key.secret_subkeys[0].signatures.push(binding);
    let error = verify(&key, &sign("x\n", &key.secret_subkeys[0].key), 1).unwrap_err();
    assert!(error.contains("does not acknowledge"), "{error}");
}

#[test]
fn an_acknowledgement_of_another_key_counts_for_nothing() {
    let (mut key, stranger) = (key(true), key(true));
    let theirs = stranger.secret_subkeys[0].signatures[0].embedded_signature().unwrap().clone();
    let mut flags = KeyFlags::default();
    flags.set_sign(true);
    let data = vec![SubpacketData::KeyFlags(flags), SubpacketData::EmbeddedSignature(Box::new(theirs))];
    let binding = on_subkey(&key, SignatureType::SubkeyBinding, data);
    key.secret_subkeys[0].signatures.push(binding);
    let error = verify(&key, &sign("x\n", &key.secret_subkeys[0].key), 1).unwrap_err();
    assert!(error.contains("does not acknowledge"), "{error}");
}

#[test]
fn an_expired_signature_is_refused() {
    let key = key(true);
    let sign = |config| {
        let message =
            CleartextSignedMessage::new("x\n", config, &key.primary_key, &Password::empty()).unwrap();
        message.to_armored_bytes(Default::default()).unwrap()
    };
    let mut short = config(&key, SignatureType::Text, vec![]);
    let made = SubpacketData::SignatureCreationTime(PgpTime::from_secs(MADE));
    let span = SubpacketData::SignatureExpirationTime(Duration::from_secs(DAY));
    short.hashed_subpackets[0] = Subpacket::regular(made).unwrap();
    short.hashed_subpackets.push(Subpacket::regular(span).unwrap());
    let bytes = sign(short);
    assert!(verify(&key, &bytes, 0).is_ok());
    assert!(verify(&key, &bytes, 2).unwrap_err().contains("an expired signature"));
}

#[test]
fn a_signature_with_a_weak_hash_or_not_over_a_document_is_refused() {
    let key = key(true);
    // Ed25519 refuses to sign SHA-1, so the signature itself is empty: it must not even be looked at.
    let empty = |config| Signature::from_config(config, [0; 2], SignatureBytes::Mpis(Vec::new())).unwrap();
    let mut weak = config(&key, SignatureType::Text, vec![]);
    weak.hash_alg = HashAlgorithm::Sha1;
    assert!(check_signature(&empty(weak), days_later(1)).unwrap_err().contains("weak hash"));
    let other = config(&key, SignatureType::Standalone, vec![]);
    assert!(check_signature(&empty(other), days_later(1)).unwrap_err().contains("not over a document"));
    assert!(check_signature(&empty(config(&key, SignatureType::Text, vec![])), days_later(1)).is_ok());
}

#[test]
fn a_keyring_is_read_binary_and_armored() {
    let public = key(true).to_public_key();
    let armored = public.to_armored_bytes(Default::default()).unwrap();
    for bytes in [public.to_bytes().unwrap(), armored] {
        assert_eq!(Keyring::parse(&bytes).unwrap().keys, std::slice::from_ref(&public));
    }
    assert!(Keyring::parse(b"no key at all").is_err());
}

#[test]
fn a_keyring_that_is_not_there_says_the_way_out() {
    let error = Keyring::load(Some(Path::new("/nonexistent.gpg")), &[], URL).unwrap_err().to_string();
    assert!(
        error.contains("/nonexistent.gpg") && error.contains("install debian-archive-keyring"),
        "{error}"
    );
}
