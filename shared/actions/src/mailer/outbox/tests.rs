use super::*;

#[test]
fn a_key_that_can_be_a_name_is_one() {
    assert_eq!(file_name("0f3c9a7b-mail_1"), "0f3c9a7b-mail_1.eml");
}

#[test]
fn a_key_that_cannot_be_a_name_is_told_by_its_digest() {
    for (key, begins) in [
        ("run/mail[2]", "run-mail-2-."),
        ("../etc/passwd", "-etc-passwd."),
        (".hidden", "hidden."),
        ("", "mail."),
        ("...", "mail."),
    ] {
        let name = file_name(key);
        assert!(name.starts_with(begins), "{name}");
        assert_eq!(name.len(), begins.len() + 16 + ".eml".len(), "{name}");
    }
    assert_ne!(file_name("a/b"), file_name("a-b"));
    assert!(file_name(&"x".repeat(1_000)).len() < 130);
}

#[test]
fn a_file_is_written_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep").join("a.eml");
    assert!(write_once(&path, b"first").unwrap());
    assert!(!write_once(&path, b"second").unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"first");
    let left: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
    assert_eq!(left.len(), 1);
}

#[cfg(unix)]
#[test]
fn only_its_owner_may_read_a_mail() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("outbox").join("a.eml");
    write_once(&path, b"mail").unwrap();
    for (path, mode) in [(path.as_path(), 0o600), (path.parent().unwrap(), 0o700)] {
        let found = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{}", path.display());
    }
}
