use super::fault::Fault;
use super::target::Target;
use crate::aws::{Answer, Aws, AwsError, Element, Repeat, Request, Service};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Most pages of a list.
const PAGES: usize = 200;

/// Names and values of a form.
pub(super) type Form = Vec<(String, String)>;

/// AWS as one target is reached: in its region, by a caller of its account.
pub(super) struct Api<'a> {
    aws: Aws,
    pub(super) target: &'a Target,
    /// ARN of who calls, and of who of the target's account stands behind.
    pub(super) callers: Vec<String>,
}

/// Names and values for a form.
pub(super) fn form<const N: usize>(pairs: [(&str, &str); N]) -> Form {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What a page of a list says about the next one.
pub(super) enum Pages {
    /// `nextToken`, as EC2 has it.
    Token,
    /// `Marker`, as IAM and RDS have it, within the result.
    Marker,
}

impl<'a> Api<'a> {
    /// Makes sure that the caller is in the target's account: some settings are those of the caller's account, whatever
    /// the target.
    pub(super) async fn open(aws: &Aws, target: &'a Target) -> Result<Self, Fault> {
        let aws = aws
            .in_region(&target.region)
            .map_err(|error| Fault::Unsupported(error.to_string()))?;
        let answer = aws
            .query(Service::Sts, "GetCallerIdentity", &[])
            .await
            .map_err(|error| Fault::of(&error, "sts:GetCallerIdentity", target))?;
        let text = |name| {
            let text = answer.text_at(&format!("GetCallerIdentityResult/{name}"));
            text.ok_or_else(|| Fault::lacks(name))
        };
        let (account, caller) = (text("Account")?, text("Arn")?);
        if account != target.account {
            return Err(Fault::Guard(format!(
                "these credentials are of account {account}, and the target is in account {}; name a role there",
                target.account
            )));
        }
        let mut callers = vec![caller.to_owned()];
        let behind = aws.behind();
        let behind = behind.filter(|arn| arn.split(':').nth(4) == Some(&target.account));
        callers.extend(behind.map(str::to_owned));
        Ok(Self {
            aws,
            target,
            callers,
        })
    }

    /// The fault that an error is.
    pub(super) fn fault(&self, action: &str, error: &AwsError) -> Fault {
        Fault::of(error, action, self.target)
    }

    /// Calls an operation of EC2.
    pub(super) async fn ec2(&self, operation: &str, form: Form) -> Result<Element, Fault> {
        self.query(Service::Ec2, operation, form).await
    }

    /// Calls an operation that takes a form; its name is that of its IAM action.
    pub(super) async fn query(
        &self,
        service: Service,
        operation: &str,
        form: Form,
    ) -> Result<Element, Fault> {
        let found = self.query_or(service, operation, form, &[]).await?;
        found.ok_or_else(|| Fault::lacks(operation))
    }

    /// The same, with nothing where the service answers with one of these codes.
    pub(super) async fn query_or(
        &self,
        service: Service,
        operation: &str,
        form: Form,
        absent: &[&str],
    ) -> Result<Option<Element>, Fault> {
        let made = self.query_with(service, operation, &form, Repeat::Safe);
        self.known(made.await, &action(service, operation), absent)
    }

    /// The same for what would be done twice if it were sent again on doubt.
    pub(super) async fn query_once(
        &self,
        service: Service,
        operation: &str,
        form: Form,
    ) -> Result<Element, Fault> {
        self.query_with(service, operation, &form, Repeat::Never)
            .await
            .map_err(|error| self.fault(&action(service, operation), &error))
    }

    async fn query_with(
        &self,
        service: Service,
        operation: &str,
        form: &Form,
        repeat: Repeat,
    ) -> Result<Element, AwsError> {
        let pairs: Vec<(&str, &str)> = form
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        self.aws
            .query_once(service, operation, &pairs, repeat)
            .await
    }

    /// Reads all pages of a list.
    pub(super) async fn list(
        &self,
        service: Service,
        operation: &str,
        form: Form,
        (path, pages): (&str, Pages),
    ) -> Result<Vec<Element>, Fault> {
        let (said, asked) = match pages {
            Pages::Token => ("nextToken".to_owned(), "NextToken"),
            Pages::Marker => (format!("{operation}Result/Marker"), "Marker"),
        };
        let mut items = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..PAGES {
            let mut form = form.clone();
            form.extend(next.take().map(|token| (asked.to_owned(), token)));
            let page = self.query(service, operation, form).await?;
            items.extend(page.items(path).cloned());
            match page.text_at(&said) {
                None | Some("") => return Ok(items),
                Some(token) => next = Some(token.to_owned()),
            }
        }
        let name = service.name();
        Err(Fault::Refused(format!(
            "{name} lists too much for `{operation}`"
        )))
    }

    /// Calls an operation that takes JSON; its name is that of its IAM action.
    pub(super) async fn json(
        &self,
        service: Service,
        operation: &str,
        body: &Value,
    ) -> Result<Value, Fault> {
        self.aws
            .json(service, operation, body)
            .await
            .map_err(|error| self.fault(&action(service, operation), &error))
    }

    /// Asks for, or sets, a part of the target, which is a bucket; nothing where the service answers with one of these
    /// codes.
    pub(super) async fn bucket(
        &self,
        action: &str,
        method: Method,
        part: &str,
        body: Option<(&'static str, String)>,
        absent: &[&str],
    ) -> Result<Option<Answer>, Fault> {
        let request = Request::new(method, &[&self.target.id]).with_query(part, "");
        // A bucket that has gone over to somebody else is none of ours.
        let request = self.owned(request, "x-amz-expected-bucket-owner")?;
        let request = with_body(request, body)?;
        let operation = action.rsplit(':').next().unwrap_or(action);
        let made = self.aws.send(Service::S3, operation, request).await;
        self.known(made, action, absent)
    }

    /// Asks for, or sets, what holds for all buckets of the account.
    pub(super) async fn all_buckets(
        &self,
        action: &str,
        method: Method,
        path: &[&str],
        body: Option<(&'static str, String)>,
        absent: &[&str],
    ) -> Result<Option<Answer>, Fault> {
        let request = Request::new(method, path).with_label(&self.target.account);
        let request = self.owned(request, "x-amz-account-id")?;
        let request = with_body(request, body)?;
        let operation = action.rsplit(':').next().unwrap_or(action);
        let made = self.aws.send(Service::S3Control, operation, request).await;
        self.known(made, action, absent)
    }

    fn owned(&self, mut request: Request, header: &'static str) -> Result<Request, Fault> {
        let account = HeaderValue::from_str(&self.target.account)
            .map_err(|error| Fault::Unsupported(error.to_string()))?;
        let name = HeaderName::from_static(header);
        request.headers.insert(name, account);
        Ok(request)
    }

    fn known<T>(
        &self,
        made: Result<T, AwsError>,
        action: &str,
        absent: &[&str],
    ) -> Result<Option<T>, Fault> {
        match made {
            Ok(made) => Ok(Some(made)),
            Err(error) if error.code().is_some_and(|code| absent.contains(&code)) => Ok(None),
            Err(error) => Err(self.fault(action, &error)),
        }
    }
}

/// The body with its checksum, without which S3 takes no settings.
fn with_body(mut request: Request, body: Option<(&'static str, String)>) -> Result<Request, Fault> {
    if let Some((kind, body)) = body {
        let sum = STANDARD.encode(Sha256::digest(&body));
        let sum = HeaderValue::from_str(&sum).map_err(|error| Fault::Refused(error.to_string()))?;
        let name = HeaderName::from_static("x-amz-checksum-sha256");
        request.headers.insert(name, sum);
        let kind = HeaderValue::from_static(kind);
        request.headers.insert(CONTENT_TYPE, kind);
        request.body = Bytes::from(body);
    }
    Ok(request)
}

/// Reads an answer in XML.
pub(super) fn xml(answer: &Answer) -> Result<Element, Fault> {
    std::str::from_utf8(&answer.body)
        .map_err(|error| error.to_string())
        .and_then(Element::read)
        .map_err(|reason| Fault::Refused(format!("answer of S3 cannot be used: {reason}")))
}

fn action(service: Service, operation: &str) -> String {
    let prefix = match service {
        Service::Ec2 => "ec2",
        Service::Iam => "iam",
        Service::Rds => "rds",
        Service::Kms => "kms",
        Service::CloudTrail => "cloudtrail",
        Service::Sts => "sts",
        other => other.name(),
    };
    format!("{prefix}:{operation}")
}
