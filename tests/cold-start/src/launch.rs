//! One life of a function: started, invoked for the first time, invoked again, ended.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::process::{Memory, cpu_at_rest, memory};
use crate::runtime_api::RuntimeApi;

/// A program that Lambda would run.
#[derive(Clone)]
pub(crate) struct Function {
    /// Its name in the table.
    pub(crate) name: String,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments; those of Lambda have none.
    pub(crate) arguments: Vec<PathBuf>,
    /// All of its environment besides what Lambda itself sets.
    pub(crate) environment: Vec<(String, String)>,
}

/// Wall-clock and CPU time of one thing a process did.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Span {
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

/// A function that has been started and asks for work.
pub(crate) struct Running {
    process: Child,
    api: RuntimeApi,
    cpu: Duration,
    /// From its start until it asked for the first invocation.
    pub(crate) init: Span,
}

impl Running {
    /// Starts it and waits until it asks for work.
    pub(crate) fn start(function: &Function) -> Result<Running, String> {
        let api = RuntimeApi::listen();
        let mut command = Command::new(&function.program);
        command
            .args(&function.arguments)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("LANG", "en_US.UTF-8")
            .env("TZ", ":UTC")
            .env("AWS_LAMBDA_RUNTIME_API", api.address())
            .env("AWS_LAMBDA_FUNCTION_NAME", &function.name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/measured")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "2026/11/22/[$LATEST]0")
            .env("AWS_LAMBDA_LOG_FORMAT", "JSON")
            .env("_HANDLER", "bootstrap")
            .envs(function.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let started = Instant::now();
        let process = command
            .spawn()
            .map_err(|error| format!("{}: {error}", function.program.display()))?;
        let mut running = Running {
            process,
            api,
            cpu: Duration::ZERO,
            init: Span::default(),
        };
        let asked = running.api.asked()?;
        running.init = Span {
            wall: asked.duration_since(started),
            cpu: running.spent(),
        };
        Ok(running)
    }

    /// Invokes it and waits until it asks again.
    pub(crate) fn invoke(&mut self, payload: &[u8]) -> Result<(Span, Vec<u8>), String> {
        let (wall, answer) = self.api.invoke(payload)?;
        self.api.asked()?;
        let span = Span {
            wall,
            cpu: self.spent(),
        };
        Ok((span, answer))
    }

    /// Its memory now.
    pub(crate) fn memory(&self) -> Memory {
        memory(self.process.id())
    }

    /// CPU time since this was asked the last time.
    fn spent(&mut self) -> Duration {
        let now = cpu_at_rest(self.process.id());
        now.saturating_sub(std::mem::replace(&mut self.cpu, now))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
