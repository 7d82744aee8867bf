//! Steps that call other systems.

pub mod http;
pub mod oauth;
pub mod webhook;
