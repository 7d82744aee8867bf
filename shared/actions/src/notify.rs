//! Steps that tell people.

pub mod approval;
pub mod email;
mod layout;
pub mod slack;
pub mod teams;
