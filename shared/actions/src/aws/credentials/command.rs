use super::{Given, none};
use crate::aws::AwsError;
use crate::aws::keys::Keys;
use std::io::{self, Read};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long the program may take; it may ask a service of its own.
const LIMIT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_millis(20);

/// Asks the AWS CLI for keys (`aws configure export-credentials`, since its version 2.9).
pub(super) async fn fetch() -> Result<Keys, AwsError> {
    let mut command = Command::new("aws");
    command.args(["configure", "export-credentials", "--format", "process"]);
    tokio::task::spawn_blocking(move || run(command, LIMIT))
        .await
        .map_err(|error| none(error.to_string(), true))?
}

pub(super) fn run(mut command: Command, limit: Duration) -> Result<Keys, AwsError> {
    let started = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(none(
                "set `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or install the AWS CLI (`aws`) and sign in with it",
                false,
            ));
        }
        Err(error) => return Err(none(format!("`aws` cannot be started: {error}"), false)),
    };
    let until = Instant::now() + limit;
    let ended = loop {
        match child.try_wait() {
            Ok(Some(ended)) => break ended,
            Ok(None) if Instant::now() < until => sleep(LOOK),
            _ => {
                // Whether it can be stopped makes no difference to what is told.
                let _ = child.kill();
                let _ = child.wait();
                return Err(none(
                    "`aws configure export-credentials` does not end; sign in with the AWS CLI first",
                    true,
                ));
            }
        }
    };
    let mut out = Vec::new();
    let mut told = String::new();
    if let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) {
        // What cannot be read is told as an answer that cannot be used.
        let _ = stdout.read_to_end(&mut out);
        let _ = stderr.read_to_string(&mut told);
    }
    if !ended.success() {
        return Err(none(
            format!("`aws configure export-credentials` failed: {}", told.trim()),
            false,
        ));
    }
    Given::read(&out).ok_or_else(|| {
        none(
            "`aws configure export-credentials` yields none; is it version 2 of the AWS CLI?",
            false,
        )
    })
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn says(script: &str) -> Result<Keys, AwsError> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, Duration::from_millis(500))
    }

    #[test]
    fn what_the_program_prints_are_the_keys() {
        let keys = says(
            r#"echo '{"Version":1,"AccessKeyId":"AKID","SecretAccessKey":"s","SessionToken":"t","Expiration":"2026-11-22T12:00:00+00:00"}'"#,
        )
        .unwrap();
        assert_eq!(keys.id(), "AKID");
        assert_eq!(keys.token(), Some("t"));
        assert!(keys.expires().is_some());
        let known = Keys::new("AKID".to_owned(), "s".into(), None, None);
        let signed = |keys: &Keys| keys.sign("20261122", "eu-central-1", "sqs", b"text");
        assert_eq!(signed(&keys).as_ref(), signed(&known).as_ref());
    }

    #[test]
    fn why_there_are_none_is_told() {
        for (script, told) in [
            (
                "echo 'run aws sso login' >&2; exit 255",
                "run aws sso login",
            ),
            ("echo hunter2", "version 2 of the AWS CLI"),
            ("sleep 5", "does not end"),
        ] {
            let error = says(script).unwrap_err().to_string();
            assert!(
                error.contains(told) && !error.contains("hunter2"),
                "{error}"
            );
        }
        let error = run(Command::new("/nowhere/aws"), LIMIT).unwrap_err();
        assert!(error.to_string().contains("AWS_ACCESS_KEY_ID"), "{error}");
    }
}
