use super::fault::Fault;
use quench_automations::remediation::{self, Parameter};
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use quench_automations::remediation::Parameters;
pub(super) use quench_automations::remediation::{Network, ports};

/// Checks what is said to a remediation, and fills in defaults.
///
/// # Errors
/// [`Fault::Parameters`] with everything that is wrong.
pub(super) fn check(given: &Parameters, known: &[Parameter]) -> Result<Parameters, Fault> {
    remediation::check(given, known).map_err(Fault::Parameters)
}

/// Parameters as a remediation reads them.
pub(super) fn read<T: DeserializeOwned>(parameters: &Parameters) -> Result<T, Fault> {
    serde_json::from_value(Value::Object(parameters.clone()))
        .map_err(|error| Fault::Parameters(vec![error.to_string()]))
}
