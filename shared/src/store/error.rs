//! What can go wrong with storage, told so that the caller knows what to do.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use crate::model::{Code, FieldError, Problem};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A failed access to DynamoDB, S3, Secrets Manager or SQS. Its words never hold what was stored: a
/// ValidationException of DynamoDB prints every value of the item, so of a service's answer only code, status and
/// request id are kept.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Throttled, timed out or out of order: try again later. The SDK has done so already.
    #[error("{operation}: {code} ({status}, request {request})")]
    Unavailable {
        /// The API operation, such as `PutItem`.
        operation: &'static str,
        /// The service's error code, or how the connection failed.
        code: String,
        /// HTTP status; 0 where no answer came.
        status: u16,
        /// The service's request id, to ask AWS with.
        request: String,
        /// Why no answer came.
        #[source]
        source: Option<Source>,
    },
    /// The service refuses the request as such: a defect, a missing right, a missing resource of ours.
    #[error("{operation}: {code} ({status}, request {request})")]
    Refused {
        /// The API operation.
        operation: &'static str,
        /// The service's error code.
        code: String,
        /// HTTP status.
        status: u16,
        /// The service's request id.
        request: String,
    },
    /// Somebody else changed it first; nothing was written.
    #[error("{what} was changed meanwhile")]
    Conflict {
        /// What was to be written.
        what: &'static str,
    },
    /// Something that must be there is not.
    #[error("{what} is missing")]
    Missing {
        /// What was to be read or changed.
        what: &'static str,
    },
    /// What is stored under this key (ids only) cannot be read. Which value is wrong is not told: the words would show it.
    #[error("{key} cannot be read as stored")]
    Corrupt {
        /// The key.
        key: String,
    },
    /// A paging cursor that this list did not give out.
    #[error("the cursor is not one of this list")]
    Cursor,
}

impl StoreError {
    /// Worth trying again later with nothing changed.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// What is stored is damaged: nothing changes by asking again.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Corrupt { .. })
    }

    /// A service that answers well and does not do its work (yet).
    pub(super) fn busy(operation: &'static str) -> Self {
        Self::Unavailable { operation, code: "unprocessed".into(), status: 200, request: String::new(), source: None }
    }

    /// An answer that broke off.
    pub(super) fn interrupted(operation: &'static str, source: impl Into<Source>) -> Self {
        Self::Unavailable {
            operation,
            code: "broke off".into(),
            status: 200,
            request: String::new(),
            source: Some(source.into()),
        }
    }

    /// Our own disk, on which large messages wait for their way to S3.
    pub(crate) fn disk(operation: &'static str, error: std::io::Error) -> Self {
        let code = format!("the disk says {:?}", error.kind());
        Self::Unavailable { operation, code, status: 0, request: String::new(), source: Some(error.into()) }
    }

    /// A request that the SDK refuses to build.
    pub(super) fn invalid(operation: &'static str, _: aws_smithy_types::error::operation::BuildError) -> Self {
        Self::Refused { operation, code: "no request".into(), status: 0, request: String::new() }
    }

    /// Somebody else was first.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}

/// Codes by which the four services say "later", beside every 5xx.
const TEMPORARY_CODES: [&str; 11] = [
    "InternalServerError",
    "InternalServiceError",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestTimeout",
    "SlowDown",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// Turns any SDK's error into ours: `map_err(aws("PutItem"))`.
pub(super) fn aws<E>(operation: &'static str) -> impl FnOnce(SdkError<E>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    move |error| {
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let SdkError::ServiceError(service) = error else {
            let code = match &error {
                SdkError::TimeoutError(_) => "timed out",
                SdkError::DispatchFailure(_) => "no connection",
                SdkError::ConstructionFailure(_) => "no request",
                _ => "no answer",
            };
            return StoreError::Unavailable {
                operation,
                code: code.into(),
                status,
                request: String::new(),
                source: error.into_source().ok(),
            };
        };
        let meta = service.err().meta();
        let code = meta.code().unwrap_or("unknown").to_owned();
        let request = meta.extra("aws_request_id").unwrap_or_default().to_owned();
        if status >= 500 || TEMPORARY_CODES.contains(&code.as_str()) {
            StoreError::Unavailable { operation, code, status, request, source: None }
        } else {
            StoreError::Refused { operation, code, status, request }
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Cursor => Self::invalid(vec![FieldError::new(
                "cursor",
                "invalid_value",
                "give a nextCursor of this very list, unchanged",
            )]),
            StoreError::Conflict { what } => {
                Self::new(Code::Conflict, format!("{what} was changed meanwhile; read it again")).because(error)
            }
            error if error.is_transient() => Self::new(Code::TryAgain, "our storage is busy; try again")
                .retry_after(RETRY_AFTER_SECONDS)
                .because(error),
            error => Self::internal(error),
        }
    }
}

/// DynamoDB and S3 scale within seconds.
const RETRY_AFTER_SECONDS: u64 = 5;
