use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Config, InvalidConfig> {
    Config::from_variables(
        &variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

#[test]
fn nothing_set_means_the_defaults() {
    assert_eq!(read(&[]).unwrap(), Config::local("./quench-data"));
    assert_eq!(read(&[("QUENCH_LEASE_SECONDS", " ")]), read(&[]));
}

#[test]
fn every_variable_is_read() {
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/authority.pem");
    let config = read(&[
        ("QUENCH_DATA", "/var/lib/quench"),
        (
            "QUENCH_SMTP_URL",
            "smtps://bot%40example.com@mail.example.com:465",
        ),
        ("QUENCH_SMTP_PASSWORD", "secret://env/MAIL_PASSWORD"),
        ("QUENCH_MAIL_FROM", "Security <security@example.com>"),
        ("QUENCH_ALLOW_HOSTS", "10.0.0.0/8, tickets.example.com,"),
        ("QUENCH_MAIL_DOMAINS", "example.com"),
        ("QUENCH_CA_FILE", authority),
        ("QUENCH_URL", "https://quench.example.com"),
        ("QUENCH_LEASE_SECONDS", "60"),
        ("QUENCH_VISIBILITY_SECONDS", "90"),
        ("QUENCH_MAX_RECEIVES", "3"),
        ("QUENCH_CONCURRENCY", "2"),
        ("QUENCH_RETENTION_DAYS", "30"),
        (
            "QUENCH_SENDERS",
            r#"{"forge": {"scheme": "github", "secrets": ["secret://env/FORGE"]}}"#,
        ),
        (
            "QUENCH_ACTIONS",
            r#"{"Tell": {"playbook": "mail-the-team"}}"#,
        ),
        ("QUENCH_REMEDIATION_ROLE", "security/quench-remediation"),
        ("QUENCH_EXTERNAL_ID", "secret://env/EXTERNAL_ID"),
    ])
    .unwrap();
    assert_eq!(
        config,
        Config {
            host: Host::Machine {
                data: "/var/lib/quench".into(),
            },
            mail: Mail::Smtp {
                url: Url::parse("smtps://mail.example.com:465").unwrap(),
                user: Some("bot@example.com".into()),
                password: Some("secret://env/MAIL_PASSWORD".into()),
            },
            mail_from: "Security <security@example.com>".into(),
            mail_domains: vec!["example.com".into()],
            authorities: Some(authority.into()),
            allow_hosts: vec!["10.0.0.0/8".into(), "tickets.example.com".into()],
            url: Some(Url::parse("https://quench.example.com").unwrap()),
            lease: Duration::from_secs(60),
            visibility: Duration::from_secs(90),
            max_receives: 3,
            concurrency: 2,
            retention: 30 * DAY,
            senders: BTreeMap::from([(
                "forge".into(),
                Sender {
                    scheme: crate::webhook::Scheme::Github,
                    secrets: vec!["secret://env/FORGE".into()],
                },
            )]),
            actions: BTreeMap::from([(
                "Tell".into(),
                Button {
                    playbook: "mail-the-team".into(),
                    with: serde_json::Map::new(),
                },
            )]),
            remediation_role: RoleName::parse("security/quench-remediation").ok(),
            external_id: Some(ExternalId::Secret("secret://env/EXTERNAL_ID".into())),
        }
    );
}

#[test]
fn all_faults_are_told_at_once_by_variable() {
    let invalid = read(&[
        ("QUENCH_SMTP_URL", "http://mail.example.com"),
        ("QUENCH_SMTP_PASSWORD", "hunter2"),
        ("QUENCH_MAIL_FROM", "nobody"),
        ("QUENCH_MAIL_DOMAINS", "@example.com, *.example.org"),
        (
            "QUENCH_ALLOW_HOSTS",
            "not a host, 10.0.0.0/8, *.example.com, 10.0.0.0/99, tickets.example.com:8443",
        ),
        ("QUENCH_CA_FILE", "/nowhere/own.pem"),
        ("QUENCH_LEASE_SECONDS", "1"),
        ("QUENCH_CONCURRENCY", "many"),
        ("QUENCH_RETENTION_DAYS", "0"),
        ("QUENCH_SENDERS", r#"{"forge": {"scheme": "rot13"}}"#),
        ("QUENCH_ACTIONS", "Tell"),
        (
            "QUENCH_REMEDIATION_ROLE",
            "arn:aws:iam::111122223333:role/x",
        ),
        ("QUENCH_EXTERNAL_ID", "hunter 2"),
        ("QUENCH_ALOW_HOSTS", "x"),
    ])
    .unwrap_err();
    assert_eq!(
        invalid.faults,
        [
            "QUENCH_SMTP_PASSWORD: is no secret reference, such as `secret://env/NAME` or `secret://file/PATH`",
            "QUENCH_SMTP_URL: is no address that begins with `smtp://…` or `smtps://…`",
            "QUENCH_MAIL_FROM: `nobody` is no mail address, such as `Quench <quench@example.com>`",
            "QUENCH_MAIL_DOMAINS: `*.example.org` is no domain, such as `example.com`",
            "QUENCH_ALLOW_HOSTS: `not a host` is no host name, address or network; write for example `tickets.example.com`, `10.0.0.5` or `10.1.0.0/16`",
            "QUENCH_ALLOW_HOSTS: `*.example.com` is no host name, address or network; write for example `tickets.example.com`, `10.0.0.5` or `10.1.0.0/16`",
            "QUENCH_ALLOW_HOSTS: `10.0.0.0/99` is no host name, address or network; write for example `tickets.example.com`, `10.0.0.5` or `10.1.0.0/16`",
            "QUENCH_CA_FILE: `/nowhere/own.pem` cannot be used: No such file or directory (os error 2)",
            "QUENCH_LEASE_SECONDS: `1` is no whole number from 10 to 900",
            "QUENCH_CONCURRENCY: `many` is no whole number from 1 to 256",
            "QUENCH_RETENTION_DAYS: `0` is no whole number from 1 to 36500",
            "QUENCH_SENDERS: `forge` has no `scheme` of `standard-webhooks`, `github`, `shared-key`, `event-grid`",
            "QUENCH_ACTIONS: is no JSON (expected value at line 1 column 1); write for example `{\"TellTheTeam\": {\"playbook\": \"mail-the-team\", \"with\": {}}}`",
            "QUENCH_REMEDIATION_ROLE: `arn:aws:iam::111122223333:role/x` is no name of a role; write it without account, such as `quench-remediation`, or with its path, such as `security/quench-remediation`",
            "QUENCH_EXTERNAL_ID: an external id has 2 to 1224 letters and digits, and `_+=,.@:/-`; or write a secret reference",
            "QUENCH_ALOW_HOSTS: is not known; did you mean `QUENCH_ALLOW_HOSTS`?",
        ]
    );
    assert_eq!(invalid.to_string().lines().count(), 16);
}

#[test]
fn secrets_are_never_repeated() {
    for variables in [
        &[("QUENCH_SMTP_URL", "smtp://bot:hunter2@mail.example.com")][..],
        &[("QUENCH_SMTP_URL", "ftp://bot:hunter2@mail.example.com")],
        &[
            ("QUENCH_SMTP_URL", "smtp://bot@mail.example.com"),
            ("QUENCH_SMTP_PASSWORD", "hunter2"),
        ],
    ] {
        let told = read(variables).unwrap_err().to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_mail_server_needs_a_host_and_its_password_a_whole_reference() {
    for (variables, expected) in [
        (
            &[("QUENCH_SMTP_URL", "smtp://mail%20server")][..],
            "QUENCH_SMTP_URL: names no host",
        ),
        (
            &[
                ("QUENCH_SMTP_URL", "smtp://bot@mail.example.com"),
                ("QUENCH_SMTP_PASSWORD", "secret://vault/mail"),
            ],
            "QUENCH_SMTP_PASSWORD: is no secret reference, such as `secret://env/NAME` or `secret://file/PATH`",
        ),
    ] {
        assert_eq!(read(variables).unwrap_err().faults, [expected]);
    }
}

#[test]
fn a_file_without_certificates_is_told() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let told = read(&[("QUENCH_CA_FILE", path)]).unwrap_err().to_string();
    assert_eq!(
        told,
        format!(
            "QUENCH_CA_FILE: `{path}` cannot be used: certificates cannot be used: there is none in the text"
        )
    );
}

#[test]
fn a_user_needs_a_password_and_a_password_a_user() {
    for variables in [
        &[("QUENCH_SMTP_URL", "smtp://bot@mail.example.com")][..],
        &[
            ("QUENCH_SMTP_URL", "smtp://mail.example.com"),
            ("QUENCH_SMTP_PASSWORD", "secret://env/X"),
        ],
        &[("QUENCH_SMTP_PASSWORD", "secret://env/X")],
    ] {
        assert_eq!(read(variables).unwrap_err().faults.len(), 1);
    }
}

#[test]
fn variables_of_others_are_left_alone() {
    assert!(read(&[("QUENCH_SLACK_HOOK", "x"), ("QUENCH_CORPUS", "y")]).is_ok());
}

#[test]
fn a_table_means_aws() {
    let config = read(&[
        ("QUENCH_TABLE", "quench"),
        (
            "QUENCH_QUEUE_RUNS",
            "https://sqs.eu-central-1.amazonaws.com/111122223333/quench-runs",
        ),
        ("QUENCH_SES_CONFIGURATION_SET", "quench"),
        ("QUENCH_SES_RATE", "14"),
        ("QUENCH_MAIL_FROM", "security@example.com"),
    ])
    .unwrap();
    let url = "https://sqs.eu-central-1.amazonaws.com/111122223333/quench-runs";
    let queues = [(Queue::Runs, Url::parse(url).unwrap())];
    assert_eq!(
        config,
        Config {
            mail: Mail::Ses {
                configuration_set: Some("quench".into()),
                rate: Some(14),
            },
            mail_from: "security@example.com".into(),
            ..Config::aws("quench", queues)
        }
    );
    assert_eq!((config.database(), config.outbox()), (None, None));
    let moved = config.in_folder(Path::new("x"));
    assert_eq!(moved.mail, Mail::Outbox);
    assert_eq!(moved.database(), Some("x/quench.db".into()));
}

#[test]
fn a_table_may_be_told_with_the_queue_of_what_was_not_delivered() {
    let url = "https://sqs.eu-central-1.amazonaws.com/111122223333/quench-Undelivered";
    let variables = [
        ("QUENCH_TABLE", "quench"),
        ("QUENCH_QUEUE_UNDELIVERED", url),
    ];
    let told = read(&variables).unwrap().host;
    let Host::Aws { undelivered, .. } = told else {
        panic!("a table means AWS: {told:?}")
    };
    assert_eq!(undelivered, Some(Url::parse(url).unwrap()));
    let faults = read(&variables[1..]).unwrap_err().faults;
    assert_eq!(
        faults,
        ["QUENCH_QUEUE_UNDELIVERED: means nothing without `QUENCH_TABLE`; set that, or remove it"]
    );
}

#[test]
fn what_means_nothing_where_it_is_set_is_told() {
    let invalid = read(&[
        ("QUENCH_TABLE", "q!"),
        ("QUENCH_QUEUE_RUNS", "quench-runs"),
        ("QUENCH_QUEUE_ALERTS", "https://sqs.example.com/q"),
        ("QUENCH_SES_CONFIGURATION_SET", "my set"),
        ("QUENCH_SES_RATE", "0"),
        ("QUENCH_DATA", "x"),
        ("QUENCH_SMTP_URL", "smtp://mail.example.com"),
        ("QUENCH_VISIBILITY_SECONDS", "60"),
    ])
    .unwrap_err();
    assert_eq!(
        invalid.faults,
        [
            "QUENCH_TABLE: `q!` is no name of a table, such as `quench`",
            "QUENCH_QUEUE_RUNS: is no address that begins with `https://…` or `http://…`",
            "QUENCH_SES_CONFIGURATION_SET: `my set` is no name of a configuration set, such as `quench`",
            "QUENCH_SES_RATE: `0` is no whole number from 1 to 10000",
            "QUENCH_DATA: means nothing on AWS, where `QUENCH_TABLE` is set: everything is in the table; remove it",
            "QUENCH_SMTP_URL: means nothing on AWS, where `QUENCH_TABLE` is set: mail goes through SES; remove it",
            "QUENCH_VISIBILITY_SECONDS: means nothing on AWS, where `QUENCH_TABLE` is set: it is an attribute of the queue; remove it",
            "QUENCH_QUEUE_ALERTS: is not known; did you mean `QUENCH_QUEUE_ALERT`?",
        ]
    );
    assert_eq!(
        read(&[("QUENCH_SES_RATE", "1"), ("QUENCH_QUEUE_RUNS", "x")])
            .unwrap_err()
            .faults,
        [
            "QUENCH_QUEUE_RUNS: means nothing without `QUENCH_TABLE`; set that, or remove it",
            "QUENCH_SES_RATE: means nothing without `QUENCH_TABLE`; set that, or remove it",
        ]
    );
}
