use crate::{ActionError, AwsError};

/// What follows from a call that yields nothing; `action` is the IAM action that it needs.
///
/// `repeatable` says whether doing it twice is as good as once.
pub(crate) fn refusal(error: &AwsError, action: &str, repeatable: bool) -> ActionError {
    let reason = error.to_string();
    if is_denied(error) {
        return ActionError::permanent(format!(
            "`{action}` is not allowed: {reason}; allow it to whose credentials are used"
        ));
    }
    if (error.is_in_doubt() || error.is_done()) && !repeatable {
        return ActionError::unknown(reason);
    }
    if error.is_transient() || error.is_done() {
        return ActionError::Transient {
            reason,
            retry_after: error.retry_after(),
        };
    }
    ActionError::permanent(reason)
}

/// Says whether these credentials may not do it.
pub(crate) fn is_denied(error: &AwsError) -> bool {
    let codes = [
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
    ];
    error.service_error().is_some_and(|refused| {
        (refused.status == 403 || codes.contains(&refused.code.as_str())) && !error.is_transient()
    })
}
