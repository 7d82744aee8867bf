//! Emulators of AWS on a free port of this machine, for tests: each ends with the value that stands for it.
#![warn(missing_docs)]

mod moto;

pub use moto::{MOTO_ACCOUNT, Moto};

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a line of the log begins with that tells the properties of a `StackSet`, as JSON.
pub const STACK_SET_MADE: &str = "StackSet made: ";
/// What a line of the log begins with that tells which `StackSet` was removed.
pub const STACK_SET_REMOVED: &str = "StackSet removed: ";

/// How long the emulator may take to answer its first request.
const PATIENCE: Duration = Duration::from_secs(60);

/// The region that everything is in.
pub const REGION: &str = "eu-central-1";
/// The account that callers are in who name none.
pub const ACCOUNT: &str = "000000000000";

/// Starts the emulator with what it keeps to itself otherwise, to put events whose source is a service of AWS; and has it
/// ask for permissions as AWS does: a batch of messages needs that of a single one, there is no other; and who sends mail
/// needs it for the identity that the sender's address belongs to, not for all. Of a session of a role, `aws:PrincipalArn` is
/// the role. Also as AWS does, it hands events on to buses of other accounts and regions, works out in conditions of templates
/// what is split and which account and region this is, and counts among changes what conditions add or remove. An alarm
/// on several metrics it keeps, but never sounds. It has no organisation that a `StackSet` could reach: of one it only tells in its
/// log what was asked for, a line each, after [`STACK_SET_MADE`] or [`STACK_SET_REMOVED`].
const SPEAK_FOR_SERVICES: &str = "
import json
from ministack.app import main
from ministack.core import iam_actions, iam_evaluator, responses
from ministack.services import eventbridge, iam
from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks
put = eventbridge._put_events
eventbridge._put_events = lambda data, allow_aws_source=True: put(data, True)
extract = iam_actions.extract_iam_action
def action(*of):
    found = extract(*of)
    is_batch = found and found.startswith('sqs:') and found.endswith('Batch')
    return found.removesuffix('Batch') if is_batch else found
iam_actions.extract_iam_action = action
named = iam_actions._ses_v2_resource_arn
def resource(method, path, body, region, account):
    if not path.endswith('/outbound-emails'):
        return named(method, path, body, region, account)
    domain = json.loads(body)['FromEmailAddress'].rsplit('@', 1)[1].rstrip('>')
    return f'arn:aws:ses:{region}:{account}:identity/{domain}'
iam_actions._ses_v2_resource_arn = resource
resolve = iam_evaluator._resolve_condition_key
def condition(key, context):
    value = resolve(key, context)
    if key.lower() != 'aws:principalarn' or ':assumed-role/' not in value:
        return value
    account, name = value.split(':')[4], value.split('/')[1]
    role = iam._roles.get_scoped(account, None, name)
    return role['Arn'] if role else value
iam_evaluator._resolve_condition_key = condition
hand_on = eventbridge._dispatch_to_event_bus
def to_bus(bus, *of):
    account = responses._request_account_id.set(bus.account_id)
    region = responses._request_region.set(bus.region)
    try:
        hand_on(bus, *of)
    finally:
        responses._request_account_id.reset(account)
        responses._request_region.reset(region)
eventbridge._dispatch_to_event_bus = to_bus
evaluate = engine._evaluate_conditions
def conditions(template, parameters):
    def worked_out(value):
        if isinstance(value, list):
            return [worked_out(one) for one in value]
        if not isinstance(value, dict):
            return value
        is_split = 'Fn::Select' in value and 'Fn::Split' in value['Fn::Select'][1]
        if is_split or value.get('Ref', '').startswith('AWS::'):
            return engine._resolve_refs(value, {}, parameters, {}, {}, '', '')
        return {name: worked_out(one) for name, one in value.items()}
    return evaluate({**template, 'Conditions': worked_out(template.get('Conditions', {}))}, parameters)
for module in (changesets, engine, handlers, stacks):
    module._evaluate_conditions = conditions
compared = changesets._resolve_props_for_diff
def of_conditions(template, parameters, *of):
    resolved = compared(template, parameters, *of)
    if resolved:
        holds = conditions(template, parameters)
        resources = resolved['Resources'].items()
        resolved['Resources'] = {name: one for name, one in resources if holds.get(one.get('Condition'), True)}
    return resolved
changesets._resolve_props_for_diff = of_conditions
described = provisioners._cw_metric_alarm_record
def alarm(name, properties):
    metrics = properties.get('Metrics')
    if not metrics:
        return described(name, properties)
    one = described(name, {**properties, 'Metrics': None, 'Namespace': 'of', 'MetricName': 'several'})
    return {**one, 'Namespace': '', 'MetricName': '', 'Metrics': metrics}
provisioners._cw_metric_alarm_record = alarm
def stack_set(logical, properties, stack):
    print('StackSet made: ' + json.dumps(properties), flush=True)
    name = properties['StackSetName'] + ':00000000-0000-4000-8000-000000000000'
    return name, {'StackSetId': name}
def stack_set_changed(name, before, properties, stack):
    return stack_set(name, properties, stack)
def stack_set_gone(name, properties):
    print('StackSet removed: ' + name, flush=True)
provisioners._RESOURCE_HANDLERS['AWS::CloudFormation::StackSet'] = {
    'create': stack_set, 'update': stack_set_changed, 'delete': stack_set_gone}
main()
";

/// A running emulator; it is stopped, and its files are removed, when this is dropped.
#[derive(Debug)]
pub struct Emulator {
    process: Child,
    watch: Child,
    port: u16,
    folder: TempDir,
}

/// What an emulator is started with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Whether callers may only do what their policies allow.
    pub authorize: bool,
    /// Whether events may be put in the name of a service of AWS (source `aws.…`), which only that service can.
    pub speak_for_services: bool,
    /// More variables of its environment.
    pub variables: Vec<(String, String)>,
}

impl Emulator {
    /// Starts one with nothing in it.
    ///
    /// # Panics
    /// It is not installed, or does not answer in time; the message says what to do.
    pub fn start() -> Emulator {
        Emulator::start_with(&Settings::default())
    }

    /// Starts one with these settings.
    ///
    /// # Panics
    /// As [`Emulator::start`].
    pub fn start_with(settings: &Settings) -> Emulator {
        let program = program();
        assert!(
            program.is_file(),
            "the emulator of AWS is missing; install it with: tests/tools/install emulator"
        );
        // Another process may take the port before the emulator does; then it ends at once and a next port is tried.
        for _ in 0..5 {
            let mut emulator = launch(&program, settings);
            if emulator.answers() {
                return emulator;
            }
        }
        panic!(
            "the emulator of AWS does not start; try it by hand: {}",
            program.display()
        );
    }

    /// Where its services are, such as `http://127.0.0.1:41234`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The variables by which programs find it, with credentials of its root user.
    pub fn variables(&self) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", self.endpoint().as_str()),
            ("AWS_REGION", REGION),
            ("AWS_DEFAULT_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
    }

    /// What it has written to its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn answers(&mut self) -> bool {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            if healthy(self.port, "/_ministack/health") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        stop(&mut self.process, &mut self.watch);
    }
}

/// Ends a process, those that it started, such as functions, which are of its group, and the watch over it.
fn stop(process: &mut Child, watch: &mut Child) {
    let _ = watch.kill();
    let _ = watch.wait();
    let group = format!("-{}", process.id());
    let _ = Command::new("kill").args(["-TERM", "--", &group]).status();
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        if process.try_wait().is_ok_and(|ended| ended.is_some()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _ = Command::new("kill")
        .args(["-KILL", "--", &group])
        .stderr(Stdio::null())
        .status();
    let _ = process.wait();
}

fn launch(program: &Path, settings: &Settings) -> Emulator {
    use std::os::unix::process::CommandExt;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let log = File::create(folder.path().join("log")).expect("a log can be written");
    let errors = log.try_clone().expect("a log can be written by two");
    let port = free_port();
    let mut command = Command::new(program);
    if settings.speak_for_services {
        command = Command::new(program.with_file_name("python3"));
        command.args(["-c", SPEAK_FOR_SERVICES]);
    }
    // Functions inherit its environment: nothing of whoever runs the tests is to reach them.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("QUENCH_") || name.starts_with("AWS_") {
            command.env_remove(name.as_ref());
        }
    }
    command
        .env("BIND_HOST", "127.0.0.1")
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("GATEWAY_PORT", port.to_string())
        .env("IOT_MTLS_ENABLED", "0")
        .env("SFTP_ENABLED", "0")
        .env("TMPDIR", folder.path())
        .env("MINISTACK_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0);
    if settings.authorize {
        command.env("AUTH", "true");
    }
    command.envs(settings.variables.iter().map(|(name, value)| (name, value)));
    let process = command.spawn().expect("the emulator can be started");
    Emulator {
        watch: watch(process.id(), folder.path()),
        process,
        port,
        folder,
    }
}

/// Starts a process that ends the emulator as soon as this one is gone, however it went: statics are never dropped.
fn watch(emulator: u32, folder: &Path) -> Child {
    use std::os::unix::process::CommandExt;
    let script =
        "read -r _; kill -s TERM -- \"-$0\"; sleep 3; kill -s KILL -- \"-$0\"; rm -rf -- \"$1\"";
    Command::new("sh")
        .args(["-c", script, &emulator.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .expect("a shell can be started")
}

/// Below the workspace's target folder, where `tests/tools/install` puts it.
fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/emulator/bin/ministack")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("this machine has a free port");
    listener
        .local_addr()
        .expect("a listener has an address")
        .port()
}

fn healthy(port: u16, path: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else {
        return false;
    };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let _ = stream.write_all(request.as_bytes());
    let _ = stream.read_to_string(&mut answer);
    answer.starts_with("HTTP/1.1 200")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_while_it_lives_and_not_after() {
        let emulator = Emulator::start();
        let port = emulator.port();
        assert!(healthy(port, "/_ministack/health"), "{}", emulator.log());
        drop(emulator);
        assert!(!healthy(port, "/_ministack/health"));
    }

    /// Statics are never dropped, so nobody but the watch ends what they started.
    #[test]
    fn it_ends_with_whoever_started_it() {
        let mut emulator = Emulator::start();
        let port = emulator.port();
        drop(emulator.watch.stdin.take());
        let until = Instant::now() + PATIENCE;
        while healthy(port, "/_ministack/health") {
            assert!(Instant::now() < until, "it goes on: {}", emulator.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
