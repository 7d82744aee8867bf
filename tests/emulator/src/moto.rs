use crate::{PATIENCE, REGION, free_port, healthy, stop, watch};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The account that all callers of [`Moto`] are in.
pub const MOTO_ACCOUNT: &str = "111122223333";

/// A running server of moto, for the calls that [`crate::Emulator`] lacks; it is stopped, and its files are removed, when
/// this is dropped. It runs no functions.
#[derive(Debug)]
pub struct Moto {
    process: Child,
    watch: Child,
    port: u16,
    folder: TempDir,
}

impl Moto {
    /// Starts one with nothing in it.
    ///
    /// # Panics
    /// It is not installed, or does not answer in time; the message says what to do.
    pub fn start() -> Moto {
        let program =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/moto/bin/moto_server");
        assert!(
            program.is_file(),
            "the server of moto is missing; install it with: tests/tools/install moto"
        );
        // Another process may take the port before the server does; then it ends at once and a next port is tried.
        for _ in 0..5 {
            let mut moto = launch(&program);
            if moto.answers() {
                return moto;
            }
        }
        panic!(
            "the server of moto does not start; try it by hand: {}",
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
            if healthy(self.port, "/moto-api/data.json") {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        stop(&mut self.process, &mut self.watch);
    }
}

fn launch(program: &Path) -> Moto {
    use std::os::unix::process::CommandExt;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let log = File::create(folder.path().join("log")).expect("a log can be written");
    let errors = log.try_clone().expect("a log can be written by two");
    let port = free_port();
    let mut command = Command::new(program);
    command
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .env("MOTO_ACCOUNT_ID", MOTO_ACCOUNT)
        .env("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
        .env("AWS_DEFAULT_REGION", REGION)
        .env("TMPDIR", folder.path())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .process_group(0);
    let process = command.spawn().expect("the server can be started");
    Moto {
        watch: watch(process.id(), folder.path()),
        process,
        port,
        folder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_while_it_lives_and_not_after() {
        let moto = Moto::start();
        let port = moto.port();
        assert!(healthy(port, "/moto-api/data.json"), "{}", moto.log());
        drop(moto);
        assert!(!healthy(port, "/moto-api/data.json"));
    }
}
