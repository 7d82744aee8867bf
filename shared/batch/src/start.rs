use crate::log;
use lambda_runtime::Diagnostic;
use quench_app::{App, Config, InvalidConfig, OpenError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long telling Lambda of a failed start may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a function cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its variables are wrong.
    #[error(transparent)]
    Config(#[from] InvalidConfig),
    /// What it works with cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

impl From<&StartError> for Diagnostic {
    fn from(error: &StartError) -> Diagnostic {
        let error_type = match error {
            StartError::Config(_) => "InvalidConfig",
            StartError::Open(_) => "CannotOpen",
        };
        Diagnostic {
            error_type: error_type.into(),
            error_message: error.to_string(),
        }
    }
}

/// Starts the log and opens the application as the environment says.
///
/// What is wrong is told in one line of the log, and to Lambda, which shows it as the reason of the failed start.
///
/// # Errors
/// The environment is wrong, or what it names cannot be opened.
pub async fn start() -> Result<App, StartError> {
    log::start();
    let opened = open().await;
    if let Err(error) = &opened {
        let diagnostic = Diagnostic::from(error);
        tracing::error!(error = %error, error_type = diagnostic.error_type, "the function cannot start");
        if let Ok(address) = std::env::var("AWS_LAMBDA_RUNTIME_API") {
            // Whoever cannot be told learns of it from the log.
            let _ = tokio::time::timeout(PATIENCE, tell(&address, &diagnostic)).await;
        }
    }
    opened
}

async fn open() -> Result<App, StartError> {
    Ok(App::open(Config::from_env()?).await?)
}

/// Reports a failed start by `/runtime/init/error` (AWS Lambda Developer Guide, "Using the Lambda runtime API").
async fn tell(address: &str, diagnostic: &Diagnostic) -> std::io::Result<()> {
    let body = serde_json::json!({
        "errorType": diagnostic.error_type,
        "errorMessage": diagnostic.error_message,
        "stackTrace": [],
    })
    .to_string();
    let head = format!(
        "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nLambda-Runtime-Function-Error-Type: {}\r\nContent-Length: {}\r\n\r\n",
        diagnostic.error_type,
        body.len()
    );
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    // The process must not end before it was heard.
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn a_failed_start_is_told_to_lambda() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let error = StartError::Config(InvalidConfig {
            faults: vec!["QUENCH_TABLE: is not set".to_owned()],
        });
        let hear = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"[]}") {
                let mut part = [0; 1024];
                let count = stream.read(&mut part).await.unwrap();
                assert_ne!(count, 0, "the request ends with its body");
                heard.extend_from_slice(&part[..count]);
            }
            let answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            String::from_utf8(heard).unwrap()
        };
        let diagnostic = Diagnostic::from(&error);
        let (heard, told) = tokio::join!(hear, tell(&address, &diagnostic));
        told.unwrap();
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("POST /2018-06-01/runtime/init/error HTTP/1.1\r\n"));
        assert!(head.contains("\r\nLambda-Runtime-Function-Error-Type: InvalidConfig\r\n"));
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["errorMessage"], "QUENCH_TABLE: is not set");
    }
}
