//! Actions against real peers on loopback: HTTP servers and mail servers that misbehave in every way there is, and an
//! emulator of AWS.
#![expect(
    clippy::unwrap_used,
    reason = "a test whose peer cannot be set up has failed"
)]

mod access;
mod authority;
mod automation;
mod aws_credentials;
mod aws_emulator;
mod aws_faults;
mod aws_secrets;
mod calls;
mod functions;
mod http_faults;
mod http_server;
mod mail;
mod promises;
mod security_hub;
mod ses;
mod setting;
mod smtp_faults;
mod smtp_server;
mod tls;
