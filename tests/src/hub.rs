//! The hub as users deploy it: `infra/hub.yaml` with the zips of `infra/package`, on an emulator of AWS.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use quench_emulator::{Emulator, REGION};
use serde_json::{Value, json};

use crate::aws::Aws;
use crate::http::{Request, Response};
use crate::proxy::Proxy;
use crate::stack::{self, Template};
use crate::{Quench, root};

/// Name of the stack.
pub const STACK: &str = "quench";
/// Names of the functions.
pub const FUNCTIONS: [&str; 8] = [
    "alert",
    "recommendation",
    "compliance",
    "runner",
    "webhook",
    "manual",
    "approve",
    "schedule",
];
/// How long anything that is waited for may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Lines of the emulator's log that are shown when a test fails.
const LAST_LINES: usize = 60;
const BUCKET: &str = "quench-code";

/// A hub that is deployed; it goes with the emulator.
#[derive(Debug)]
pub struct Hub {
    /// Where it is.
    pub emulator: Emulator,
    /// Calls AWS as an administrator.
    pub aws: Aws,
    /// What every call passes on its way to AWS.
    pub proxy: Proxy,
    outputs: BTreeMap<String, String>,
    deployments: usize,
    quench: Quench,
    _place: Place,
}

/// What a hub is deployed with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whether functions may only do what their roles allow.
    pub authorize: bool,
    /// Parameters of the template besides those that tests need.
    pub parameters: Vec<(String, String)>,
    /// Variables that the functions see besides those of the template.
    pub variables: Vec<(String, String)>,
}

/// Hubs that there are.
static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to have a hub. One keeps a processor busy, and its functions have seconds for what they do, so there are no more
/// of them than processors, however many tests run.
#[derive(Debug)]
struct Place;

impl Place {
    /// Waits for one.
    fn take() -> Place {
        let places = std::thread::available_parallelism().map_or(1, usize::from);
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let free = FREED.wait_while(taken, |taken| *taken >= places);
        *free.unwrap_or_else(PoisonError::into_inner) += 1;
        Place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

impl Hub {
    /// Starts an emulator and deploys the hub.
    ///
    /// # Panics
    /// The zips are missing, or the stack cannot be made; the message says what to do.
    pub fn deploy(settings: &Settings) -> Hub {
        let mut hub = Hub::undeployed(settings);
        hub.upload();
        let changes = hub.deploy_again(&settings.parameters);
        assert!(!changes.is_empty(), "the first deployment made nothing");
        hub
    }

    /// Starts an emulator in which nothing is deployed.
    ///
    /// # Panics
    /// It does not start; the message says what to do.
    pub fn undeployed(settings: &Settings) -> Hub {
        let place = Place::take();
        let proxy = Proxy::start();
        let mut variables = settings.variables.clone();
        variables.push(("AWS_ENDPOINT_URL".to_owned(), proxy.url()));
        let emulator = Emulator::start_with(&quench_emulator::Settings {
            authorize: settings.authorize,
            speak_for_services: true,
            variables,
        });
        proxy.lead_to(emulator.port());
        let aws = Aws::start(&variables_of(&emulator, &proxy));
        Hub {
            emulator,
            aws,
            proxy,
            outputs: BTreeMap::new(),
            deployments: 0,
            quench: Quench::new(),
            _place: place,
        }
    }

    /// Takes a stack that something else deployed for its own.
    pub fn adopt(&mut self) {
        self.outputs = stack::settled(&self.aws, STACK);
    }

    /// A command of the shell's, with what names AWS and no other setting, and with the AWS CLI and `quench` at hand.
    ///
    /// # Panics
    /// The AWS CLI is not installed; the message says how to.
    pub fn shell(&self, program: &str) -> Command {
        let tools = root().join("target/tools/infra/bin");
        assert!(
            tools.join("aws").is_file(),
            "the AWS CLI is missing; install it with: tests/tools/install infra"
        );
        let mut path = vec![tools, self.quench.folder().to_owned()];
        let link = self.quench.folder().join("quench");
        let _ = std::os::unix::fs::symlink(crate::binary(), link);
        path.extend(std::env::split_paths(
            &std::env::var_os("PATH").unwrap_or_default(),
        ));
        let mut command = Command::new(root().join(program));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("AWS_") || name.starts_with("QUENCH_") {
                command.env_remove(name.as_ref());
            }
        }
        command
            .env(
                "PATH",
                std::env::join_paths(path).expect("paths can be joined"),
            )
            .env("HOME", self.quench.folder())
            .env("AWS_REGION", REGION)
            .envs(variables_of(&self.emulator, &self.proxy))
            .stdin(std::process::Stdio::null());
        command
    }

    /// Calls AWS with other credentials: those of a session, as STS gave them.
    pub fn with_session(&self, session: &Value) -> Aws {
        let text = |name: &str| session["Credentials"][name].as_str().unwrap_or_default();
        self.with_keys(&[
            ("AWS_ACCESS_KEY_ID", text("AccessKeyId")),
            ("AWS_SECRET_ACCESS_KEY", text("SecretAccessKey")),
            ("AWS_SESSION_TOKEN", text("SessionToken")),
        ])
    }

    /// Calls AWS as an administrator of another account, whose number the emulator takes for its access key.
    pub fn in_account(&self, account: &str) -> Aws {
        self.with_keys(&[("AWS_ACCESS_KEY_ID", account)])
    }

    /// Calls AWS in another region, as an administrator of the hub's account.
    pub fn in_region(&self, region: &str) -> Aws {
        self.with_keys(&[("AWS_REGION", region), ("AWS_DEFAULT_REGION", region)])
    }

    fn with_keys(&self, keys: &[(&str, &str)]) -> Aws {
        let mut variables = variables_of(&self.emulator, &self.proxy);
        variables.retain(|(name, _)| keys.iter().all(|(key, _)| name != key));
        variables.extend(
            keys.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Aws::start(&variables)
    }

    /// Deploys the template, for the first time or again, by a change set; gives the changes it made.
    #[track_caller]
    pub fn deploy_again(&mut self, parameters: &[(String, String)]) -> Vec<Value> {
        let mut all = parameters_of_tests();
        all.extend(parameters.iter().cloned());
        let template = format!("{}/{BUCKET}/hub.yaml", self.emulator.endpoint());
        let template = Template::Url(template);
        // AWS removes the change sets of a stack that was updated; the emulator keeps them, so each has a name of its own.
        self.deployments += 1;
        let set = format!("deployment-{}", self.deployments);
        let deployed = stack::deploy(&self.aws, STACK, &template, &all, &set);
        if !deployed.changes.is_empty() {
            self.outputs = deployed.outputs;
        }
        deployed.changes
    }

    /// What AWS says to parameters that it does not take.
    ///
    /// # Panics
    /// It takes them.
    #[track_caller]
    pub fn refusal(&self, parameters: &[(String, String)]) -> String {
        let mut all = parameters_of_tests();
        all.extend(parameters.iter().cloned());
        let template = format!("{}/{BUCKET}/hub.yaml", self.emulator.endpoint());
        stack::refusal(&self.aws, STACK, &Template::Url(template), &all)
    }

    fn upload(&self) {
        self.aws.ok(
            "s3",
            "create_bucket",
            &json!({
                "Bucket": BUCKET,
                "CreateBucketConfiguration": {"LocationConstraint": REGION},
            }),
        );
        let put = |key: &str, path: PathBuf| {
            let body = json!({"file": path});
            let object = json!({"Bucket": BUCKET, "Key": key, "Body": body});
            self.aws.ok("s3", "put_object", &object);
        };
        put("hub.yaml", root().join("infra/hub.yaml"));
        for name in FUNCTIONS {
            put(&format!("{name}.zip"), zip(name));
        }
    }

    /// An output of the stack.
    #[track_caller]
    pub fn output(&self, name: &str) -> &str {
        self.outputs
            .get(name)
            .unwrap_or_else(|| panic!("the stack has no output `{name}`: {:?}", self.outputs))
    }

    /// Physical ids of the stack's resources by logical id.
    pub fn resources(&self) -> BTreeMap<String, String> {
        stack::resources(&self.aws, STACK)
    }

    /// The variables with which the command line works on this hub.
    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables = variables_of(&self.emulator, &self.proxy);
        for (name, output) in [
            ("QUENCH_TABLE", "Table"),
            ("QUENCH_QUEUE_ALERT", "QueueAlert"),
            ("QUENCH_QUEUE_RECOMMENDATION", "QueueRecommendation"),
            ("QUENCH_QUEUE_COMPLIANCE", "QueueCompliance"),
            ("QUENCH_QUEUE_RUNS", "QueueRuns"),
            ("QUENCH_SES_CONFIGURATION_SET", "SesConfigurationSet"),
        ] {
            variables.push((name.to_owned(), self.output(output).to_owned()));
        }
        variables
    }

    /// A command line over this hub.
    pub fn command<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = self.quench.command_without_store();
        command.envs(self.variables()).args(arguments);
        command
    }

    /// Runs a command with `--json` that must do well and gives its objects.
    #[track_caller]
    pub fn json<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Vec<Value> {
        let mut command = self.command(["--json"]);
        let output = command
            .args(arguments)
            .output()
            .expect("the binary can be started");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success(),
            "exit {:?}\n{printed}\n{}",
            output.status.code(),
            String::from_utf8_lossy(&output.stderr)
        );
        crate::objects(&printed)
    }

    /// Writes a file that is gone with the hub.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        self.quench.write(name, content)
    }

    /// Puts definitions in force.
    #[track_caller]
    pub fn apply(&self, definitions: &str) {
        let path = self.quench.write("definitions.yaml", definitions);
        self.json(["apply".as_ref(), path.as_os_str()]);
    }

    /// Puts events on the default bus, as the services of AWS do.
    #[track_caller]
    pub fn put(&self, events: &[Value]) {
        self.put_on("default", events);
    }

    /// Puts events on a bus.
    #[track_caller]
    pub fn put_on(&self, bus: &str, events: &[Value]) {
        put_events(&self.aws, bus, events);
    }

    /// Invokes a function and gives its answer; `Err` is what it failed with.
    pub fn invoke(&self, function: &str, payload: &Value) -> Result<Value, Value> {
        let answer = self.aws.ok(
            "lambda",
            "invoke",
            &json!({
                "FunctionName": self.output(&format!("{}FunctionName", capital(function))),
                "Payload": payload.to_string(),
            }),
        );
        let text = answer["Payload"].as_str().unwrap_or_default();
        let body = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
        match answer.get("FunctionError") {
            Some(_) => Err(body),
            None => Ok(body),
        }
    }

    /// Sends a request to the HTTP API.
    #[track_caller]
    pub fn request(&self, request: Request) -> Response {
        let host = self.host();
        let request = match request.header("host") {
            Some(_) => request,
            None => request.with("host", &host),
        };
        request
            .send(self.emulator.port())
            .expect("the gateway answers")
    }

    /// The name by which requests reach the HTTP API.
    pub fn host(&self) -> String {
        let api = self.output("HttpApiId");
        format!("{api}.execute-api.localhost:{}", self.emulator.port())
    }

    /// A request as an IAM principal makes it.
    pub fn signed(&self, method: &str, path: &str, body: &str) -> Request {
        let url = format!("http://{}{path}", self.host());
        let mut request = Request::new(method, path, body).with("host", &self.host());
        for (name, value) in self.aws.sign(method, &url, body) {
            request = request.with(&name, &value);
        }
        request
    }

    /// The mails that SES was given with a subject that begins so.
    pub fn mails(&self, subject: &str) -> Vec<Value> {
        let answer = Request::new("GET", "/_ministack/ses/messages", "")
            .send(self.emulator.port())
            .expect("the emulator answers");
        let body: Value = serde_json::from_slice(&answer.body).expect("mails come as JSON");
        let accounts = body["messages"].as_object().into_iter().flatten();
        accounts
            .flat_map(|(_, mails)| mails.as_array().cloned().unwrap_or_default())
            .filter(|mail| {
                mail["Subject"]
                    .as_str()
                    .is_some_and(|written| written.starts_with(subject))
            })
            .collect()
    }

    /// Waits until SES was given so many mails with a subject that begins so.
    #[track_caller]
    pub fn wait_for_mails(&self, subject: &str, number: usize) -> Vec<Value> {
        wait_for(&format!("mail {number} on `{subject}`"), || {
            let mails = self.mails(subject);
            (mails.len() >= number).then_some(mails)
        })
    }

    /// The runs for findings whose title begins so.
    #[track_caller]
    pub fn runs(&self, title: &str) -> Vec<Value> {
        let mut runs = self.json(["runs", "list", "--limit", "10000"]);
        runs.retain(|run| {
            run["finding"]["title"]
                .as_str()
                .is_some_and(|written| written.starts_with(title))
        });
        runs
    }

    /// A run with its journal.
    #[track_caller]
    pub fn run(&self, id: &str) -> Value {
        self.json(["runs", "show", id]).swap_remove(0)
    }

    /// The processes that run a function.
    pub fn processes(&self, function: &str) -> Vec<u32> {
        let name = self.output(&format!("{}FunctionName", capital(function)));
        let wanted = [
            format!("AWS_LAMBDA_FUNCTION_NAME={name}"),
            format!("AWS_ENDPOINT_URL={}", self.proxy.url()),
        ];
        let all = std::fs::read_dir("/proc").expect("processes can be listed");
        all.flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|process: &u32| {
                let environment =
                    std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
                let environment = String::from_utf8_lossy(&environment);
                wanted
                    .iter()
                    .all(|variable| environment.split('\0').any(|one| one == variable))
            })
            .collect()
    }

    /// How many messages a queue holds, those in hand and those that wait included.
    pub fn messages(&self, queue: &str) -> u64 {
        let names = [
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ];
        let asked = json!({"QueueUrl": queue, "AttributeNames": names});
        let seen = self.aws.ok("sqs", "get_queue_attributes", &asked);
        names
            .iter()
            .map(|name| {
                seen["Attributes"][name]
                    .as_str()
                    .and_then(|number| number.parse::<u64>().ok())
                    .unwrap_or_default()
            })
            .sum()
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.emulator.log();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n");
            eprintln!("the last that AWS logged:\n{last}");
        }
    }
}

/// Puts events on a bus of whatever account and region.
///
/// # Panics
/// AWS does not take them.
#[track_caller]
pub fn put_events(aws: &Aws, bus: &str, events: &[Value]) {
    for ten in events.chunks(10) {
        let entries: Vec<Value> = ten
            .iter()
            .map(|event| {
                json!({
                    "Source": event["source"],
                    "DetailType": event["detail-type"],
                    "Detail": event["detail"].to_string(),
                    "Resources": event["resources"],
                    "EventBusName": bus,
                })
            })
            .collect();
        let put = aws.ok("events", "put_events", &json!({"Entries": entries}));
        assert_eq!(put["FailedEntryCount"], 0, "{put}");
    }
}

/// Waits until something is there, and gives it.
///
/// # Panics
/// It does not come.
#[track_caller]
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(started.elapsed() < PATIENCE, "{what} does not come");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Kills a process, which learns nothing of it.
pub fn kill(process: u32) {
    let _ = Command::new("kill")
        .args(["-KILL", &process.to_string()])
        .stderr(std::process::Stdio::null())
        .status();
}

/// The zip of a function, of this machine's architecture.
///
/// # Panics
/// It is not there; the message says how to build it.
pub fn zip(function: &str) -> PathBuf {
    let folder = root().join("target/lambda").join(machine());
    let path = folder.join(format!("{function}.zip"));
    assert!(
        path.is_file(),
        "no `{}`; build it with: infra/package",
        path.display()
    );
    path
}

/// What Lambda calls this machine's architecture.
fn machine() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        other => other,
    }
}

/// The variables by which programs find the emulator on the way through the proxy.
fn variables_of(emulator: &Emulator, proxy: &Proxy) -> Vec<(String, String)> {
    let mut variables = emulator.variables();
    variables.retain(|(name, _)| name != "AWS_ENDPOINT_URL");
    variables.push(("AWS_ENDPOINT_URL".to_owned(), proxy.url()));
    variables
}

fn parameters_of_tests() -> Vec<(String, String)> {
    [
        ("CodeBucket", BUCKET),
        ("Architecture", machine()),
        ("MailFrom", "Quench <quench@example.com>"),
        ("MailIdentity", "example.com"),
        ("CreateMailIdentity", "true"),
        ("DeletionProtection", "false"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

/// A function's name as the template has it in the names of what belongs to it.
pub fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
        .unwrap_or_default()
}
