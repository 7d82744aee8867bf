//! What every kind of secrets promises, wherever a reference leads. How each goes beyond, its own tests tell.

mod keeper;

use keeper::{Absence, Change, Family, Fields, Keeper, Kind, MARK, Setting, is_equipped};
use quench_actions::secrets::{Keeping, SecretError};
use quench_actions::{ActionError, Secrets};
use secrecy::ExposeSecret;
use std::time::Duration;

/// Held for longer than any test takes, and taken for changeable at once.
const LONG: Keeping = Keeping {
    kept: Duration::from_secs(3_600),
    settled: Duration::ZERO,
};
/// What the time being over is like, always.
const NOT_AT_ALL: Keeping = Keeping {
    kept: Duration::ZERO,
    settled: Duration::ZERO,
};

macro_rules! promises {
    ($($module:ident $family:ident $keeper:ident)*: $promises:tt) => {
        $(mod $module { promises! { @ $family $keeper $promises } })*
    };
    (@ $family:ident $keeper:ident { $($promise:ident)* }) => {$(
        #[tokio::test]
        async fn $promise() {
            let test = concat!(module_path!(), "::", stringify!($promise));
            let kind = super::Kind {
                family: super::Family::$family,
                keeper: super::Keeper::$keeper,
            };
            if super::is_equipped(kind, test) {
                super::$promise(kind).await;
            }
        }
    )*};
}

promises! {
    variables_of_a_process Process Variable
    files_of_a_process Process File
    variables_beside_a_vault Vault Variable
    files_beside_a_vault Vault File
    secrets_manager Vault SecretsManager
    parameters Vault Parameter
    memory Held Memory: {
        a_reference_gives_its_value
        what_is_not_there_is_missing_by_its_reference
        what_lies_in_aws_is_found_or_told_to_need_it
        a_change_is_seen_when_it_is_promised
        a_field_of_a_secret_is_found_where_there_are_fields
        a_keeper_that_is_away_loses_nothing
        what_may_not_be_read_is_denied_for_good
        a_text_that_is_no_reference_is_not_repeated
        many_at_once_get_the_same
        no_value_is_shown
    }
}

async fn read(secrets: &Secrets, reference: &str) -> Result<String, SecretError> {
    let secret = secrets.resolve(reference).await?;
    Ok(secret.expose_secret().to_owned())
}

async fn a_reference_gives_its_value(kind: Kind) {
    let setting = Setting::open(kind, Keeping::default()).await;
    let token = read(&setting.secrets, &setting.reference("TOKEN")).await;
    assert_eq!(token.unwrap(), keeper::specimen("TOKEN"));
    let ended = read(&setting.secrets, &setting.reference("ENDED")).await;
    let whole = keeper::specimen("ENDED");
    // The line break that ends a file is no part of a secret; values in memory come from no file.
    let expected = match kind.keeper {
        Keeper::Memory => whole,
        _ => whole.trim_end_matches(['\r', '\n']),
    };
    assert_eq!(ended.unwrap(), expected);
}

async fn what_is_not_there_is_missing_by_its_reference(kind: Kind) {
    let setting = Setting::open(kind, Keeping::default()).await;
    for name in ["ABSENT", "EMPTY"] {
        let reference = setting.reference(name);
        let found = read(&setting.secrets, &reference).await;
        if name == "EMPTY" && kind.keeper == Keeper::Memory {
            // Values in memory are what they are given as.
            assert_eq!(found.unwrap(), keeper::specimen("EMPTY"));
            continue;
        }
        let error = found.unwrap_err();
        assert_eq!(error, SecretError::Missing(reference.clone()));
        assert!(error.to_string().contains(&reference), "{error}");
        assert!(!error.is_transient());
        let error = ActionError::from(error);
        assert!(matches!(error, ActionError::Permanent { .. }), "{error:?}");
    }
}

async fn what_lies_in_aws_is_found_or_told_to_need_it(kind: Kind) {
    let setting = Setting::open(kind, Keeping::default()).await;
    for reference in [
        "secret://secretsmanager/quench/NOWHERE",
        "secret://ssm/quench/NOWHERE",
    ] {
        let error = read(&setting.secrets, reference).await.unwrap_err();
        let expected = match kind.family {
            Family::Process => SecretError::NoAws(reference.to_owned()),
            Family::Vault | Family::Held => SecretError::Missing(reference.to_owned()),
        };
        assert_eq!(error, expected);
        assert!(error.to_string().contains(reference), "{error}");
    }
}

async fn a_change_is_seen_when_it_is_promised(kind: Kind) {
    let setting = Setting::open(kind, LONG).await;
    let (secrets, reference) = (&setting.secrets, setting.reference("TOKEN"));
    let old = read(secrets, &reference).await.unwrap();
    match kind.change() {
        Change::Never => {
            assert!(!secrets.has_changed(&reference).await);
            assert_eq!(read(secrets, &reference).await.unwrap(), old);
        }
        Change::AtOnce => {
            setting.put("TOKEN", "new");
            assert_eq!(read(secrets, &reference).await.unwrap(), "new");
            // Nothing is held, so there is nothing to be read anew.
            assert!(!secrets.has_changed(&reference).await);
        }
        Change::AfterItsTime => {
            setting.put("TOKEN", "new");
            assert_eq!(read(secrets, &reference).await.unwrap(), old);
            assert!(secrets.has_changed(&reference).await);
            assert_eq!(read(secrets, &reference).await.unwrap(), "new");
            assert!(!secrets.has_changed(&reference).await);
            assert_eq!(setting.asked(), 3);

            let setting = Setting::open(kind, NOT_AT_ALL).await;
            assert_eq!(read(&setting.secrets, &reference).await.unwrap(), old);
            setting.put("TOKEN", "new");
            assert_eq!(read(&setting.secrets, &reference).await.unwrap(), "new");
        }
    }
}

async fn a_field_of_a_secret_is_found_where_there_are_fields(kind: Kind) {
    let setting = Setting::open(kind, Keeping::default()).await;
    let of = |field: &str| setting.reference(&format!("FIELDS#{field}"));
    let fields = kind.fields();
    for (field, value) in [("bot", format!("xoxb {MARK}")), ("port", "587".to_owned())] {
        let found = read(&setting.secrets, &of(field)).await;
        match fields {
            Fields::OfJson => assert_eq!(found.unwrap(), value),
            Fields::NotInReferences => {
                assert_eq!(found.unwrap_err(), SecretError::UnknownPlace(of(field)));
            }
            Fields::PartOfTheName => {
                assert_eq!(found.unwrap_err(), SecretError::Missing(of(field)));
            }
        }
    }
    if matches!(fields, Fields::OfJson) {
        for (reference, why) in [
            (of("none"), "no field `none`"),
            (of("list"), "field `list` is no text"),
            (setting.reference("TOKEN#bot"), "no JSON object"),
        ] {
            let error = read(&setting.secrets, &reference).await.unwrap_err();
            assert!(matches!(error, SecretError::Unreadable { .. }), "{error:?}");
            let told = error.to_string();
            assert!(told.contains(why) && told.contains(&reference), "{told}");
            assert!(!told.contains(MARK), "{told}");
        }
    }
}

async fn a_keeper_that_is_away_loses_nothing(kind: Kind) {
    let setting = Setting::open(kind, LONG).await;
    let secrets = &setting.secrets;
    let (held, other) = (setting.reference("FIELDS"), setting.reference("TOKEN"));
    let before = read(secrets, &held).await.unwrap();
    match kind.absence() {
        Absence::Never => return,
        Absence::LooksMissing => {
            setting.goes();
            let error = read(secrets, &other).await.unwrap_err();
            assert_eq!(error, SecretError::Missing(other.clone()));
        }
        Absence::IsTransient => {
            setting.goes();
            let error = read(secrets, &other).await.unwrap_err();
            assert!(error.is_transient(), "{error:?}");
            assert!(error.to_string().contains(&other), "{error}");
            let error = ActionError::from(error);
            assert!(matches!(error, ActionError::Transient { .. }), "{error:?}");
            // What is held is given meanwhile, even to who asks whether it has changed.
            assert_eq!(read(secrets, &held).await.unwrap(), before);
            assert!(!secrets.has_changed(&held).await);
            assert_eq!(read(secrets, &held).await.unwrap(), before);
        }
    }
    setting.returns();
    let found = read(secrets, &other).await.unwrap();
    assert_eq!(found, keeper::specimen("TOKEN"));
    assert_eq!(read(secrets, &held).await.unwrap(), before);
}

async fn what_may_not_be_read_is_denied_for_good(kind: Kind) {
    let setting = Setting::open(kind, Keeping::default()).await;
    let Some(reference) = setting.closed() else {
        // What is in memory was put there to be read. Where processes are no files, none tells of this one.
        let is_open = match kind.keeper {
            Keeper::Memory => true,
            Keeper::File => cfg!(not(target_os = "linux")),
            _ => false,
        };
        assert!(is_open, "{kind:?}");
        return;
    };
    for _ in 0..2 {
        let error = read(&setting.secrets, &reference).await.unwrap_err();
        assert!(matches!(error, SecretError::Denied { .. }), "{error:?}");
        assert!(error.to_string().contains(&reference), "{error}");
        assert!(!error.is_transient());
        let error = ActionError::from(error);
        assert!(matches!(error, ActionError::Permanent { .. }), "{error:?}");
    }
}

async fn a_text_that_is_no_reference_is_not_repeated(kind: Kind) {
    let setting = Setting::open(kind, Keeping::default()).await;
    for text in [MARK, "", "https://example.com/never-to-be-shown"] {
        let error = read(&setting.secrets, text).await.unwrap_err();
        assert_eq!(error, SecretError::NotAReference);
        assert!(!error.to_string().contains(MARK), "{error}");
    }
    for reference in ["secret://nowhere/x", "secret://env/", "secret://file/"] {
        let error = read(&setting.secrets, reference).await.unwrap_err();
        assert_eq!(error, SecretError::UnknownPlace(reference.to_owned()));
    }
    assert_eq!(setting.asked(), 0);
}

async fn many_at_once_get_the_same(kind: Kind) {
    let setting = Setting::open(kind, LONG).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let (secrets, reference) = (setting.secrets.clone(), setting.reference("TOKEN"));
            tokio::spawn(async move { read(&secrets, &reference).await })
        })
        .collect();
    for task in tasks {
        let found = task.await.unwrap().unwrap();
        assert_eq!(found, keeper::specimen("TOKEN"));
    }
    let asked = match kind.change() {
        Change::AfterItsTime => 1,
        // No service is asked.
        Change::AtOnce | Change::Never => 0,
    };
    assert_eq!(setting.asked(), asked);
}

async fn no_value_is_shown(kind: Kind) {
    let setting = Setting::open(kind, LONG).await;
    let secrets = &setting.secrets;
    let mut told = Vec::new();
    for name in [
        "TOKEN",
        "ENDED",
        "EMPTY",
        "ABSENT",
        "FIELDS",
        "FIELDS#bot",
        "FIELDS#list",
        "FIELDS#none",
        "TOKEN#bot",
    ] {
        let reference = setting.reference(name);
        match secrets.resolve(&reference).await {
            Ok(secret) => told.push(format!("{secret:?}")),
            Err(error) => {
                told.push(format!("{error:?} {error}"));
                let error = ActionError::from(error);
                told.push(format!("{error:?} {error}"));
            }
        }
    }
    if let Some(reference) = setting.closed() {
        told.push(secrets.resolve(&reference).await.unwrap_err().to_string());
    }
    told.push(format!("{secrets:?} {secrets:#?}"));
    for told in told {
        assert!(!told.contains(MARK), "{told}");
    }
}
