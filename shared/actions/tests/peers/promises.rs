//! What every kind of mailer and of secrets promises, written once and tried with each of them. What a kind cannot
//! keep by its nature is told in the promise itself.

mod mail;
mod secrets;
