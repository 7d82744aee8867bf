//! AWS as its own SDK for Python sees it: what the product's client is held against.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use crate::root;

/// A process that calls AWS; it ends with this value.
#[derive(Debug)]
pub struct Aws {
    process: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// What AWS said instead of doing it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Such as `ResourceNotFoundException`.
    pub code: String,
    /// Why, for people.
    pub message: String,
}

impl Aws {
    /// Starts with the variables that name endpoint, region and credentials.
    ///
    /// # Panics
    /// Python and the SDK are not installed; the message says how to.
    pub fn start(variables: &[(String, String)]) -> Aws {
        let python = python();
        assert!(
            python.is_file(),
            "the SDK of AWS is missing; install it with: tests/tools/install emulator"
        );
        let mut process = Command::new(python)
            .args(["-c", include_str!("aws.py")])
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python can be started");
        let calls = process.stdin.take().expect("the input is a pipe");
        let answers = process.stdout.take().expect("the output is a pipe");
        Aws {
            process,
            pipes: Mutex::new((calls, BufReader::new(answers))),
        }
    }

    /// Calls an operation of a service, both named as the SDK does, such as `sqs` and `send_message`. In place of a
    /// parameter `{"file": path}` the file's content is sent.
    ///
    /// # Errors
    /// AWS refused.
    pub fn call(
        &self,
        service: &str,
        operation: &str,
        parameters: &Value,
    ) -> Result<Value, Refused> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (calls, answers) = &mut *pipes;
        let call = json!({"service": service, "operation": operation, "parameters": parameters});
        writeln!(calls, "{call}").expect("the SDK's process lives");
        let mut line = String::new();
        answers
            .read_line(&mut line)
            .expect("the SDK's process answers");
        let mut answer: Value =
            serde_json::from_str(&line).expect("the SDK's process answers in JSON");
        match answer.get_mut("ok") {
            Some(ok) => Ok(ok.take()),
            None => Err(Refused {
                code: text(&answer["error"]["Code"]),
                message: text(&answer["error"]["Message"]),
            }),
        }
    }

    /// Calls an operation that must do well.
    #[track_caller]
    pub fn ok(&self, service: &str, operation: &str, parameters: &Value) -> Value {
        match self.call(service, operation, parameters) {
            Ok(answer) => answer,
            Err(refused) => panic!(
                "{service} {operation}: {}: {}",
                refused.code, refused.message
            ),
        }
    }

    /// The headers that sign a request to an HTTP gateway.
    #[track_caller]
    pub fn sign(&self, method: &str, url: &str, body: &str) -> Vec<(String, String)> {
        let headers = json!({"content-type": "application/json"});
        let request = json!({"method": method, "url": url, "headers": headers, "body": body});
        let signed = self.ok("execute-api", "sign", &request);
        signed
            .as_object()
            .expect("headers are an object")
            .iter()
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Python with the SDK, where `tests/tools/install` puts it.
pub fn python() -> std::path::PathBuf {
    root().join("target/tools/emulator/bin/python3")
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
