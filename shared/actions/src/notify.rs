//! Steps that tell people.

pub mod email;
mod layout;
pub mod slack;
pub mod teams;
