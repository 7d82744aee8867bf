//! Actions against real peers on loopback: HTTP servers and mail servers that misbehave in every way there is.

mod authority;
mod calls;
mod http_faults;
mod http_server;
mod mail;
mod setting;
mod smtp_faults;
mod smtp_server;
mod tls;
