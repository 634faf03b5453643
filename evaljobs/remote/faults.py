"""What went wrong with a request to S3: which of the many errors of three libraries means what, and how it is said."""

from __future__ import annotations

import enum
import os
import re
from typing import NamedTuple

import aiohttp
from botocore import exceptions as boto
from botocore.parsers import ResponseParserError

from evaljobs.errors import RemoteError, RemoteErrorKind
from evaljobs.remote.uri import split


class Cause(enum.Enum):
    """Why a request failed."""

    NO_OBJECT = enum.auto()
    NO_BUCKET = enum.auto()
    CONDITION = enum.auto()  # If-None-Match or If-Match does not hold
    CONFLICT = enum.auto()  # somebody else writes the same object at this moment
    BEYOND_END = enum.auto()
    NO_CREDENTIALS = enum.auto()
    DENIED = enum.auto()
    TRANSIENT = enum.auto()  # worth another try
    FAILED = enum.auto()


# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; the answer to a HEAD has a number alone.
_CODES = {
    "NoSuchKey": Cause.NO_OBJECT,
    "404": Cause.NO_OBJECT,
    "NoSuchBucket": Cause.NO_BUCKET,
    "InvalidBucketName": Cause.NO_BUCKET,
    "PreconditionFailed": Cause.CONDITION,
    "412": Cause.CONDITION,
    "ConditionalRequestConflict": Cause.CONFLICT,
    "OperationAborted": Cause.CONFLICT,
    "409": Cause.CONFLICT,
    "InvalidRange": Cause.BEYOND_END,
    "416": Cause.BEYOND_END,
    "ExpiredToken": Cause.DENIED,
    "InvalidToken": Cause.DENIED,
    "TokenRefreshRequired": Cause.DENIED,
    "RequestTimeout": Cause.TRANSIENT,
    "SlowDown": Cause.TRANSIENT,
    "Throttling": Cause.TRANSIENT,
    "ThrottlingException": Cause.TRANSIENT,
    "RequestLimitExceeded": Cause.TRANSIENT,
    "BadDigest": Cause.TRANSIENT,
    "IncompleteBody": Cause.TRANSIENT,
    "XAmzContentSHA256Mismatch": Cause.TRANSIENT,
}
_STATUSES = {401: Cause.DENIED, 403: Cause.DENIED, 404: Cause.NO_OBJECT, 429: Cause.TRANSIENT, 501: Cause.FAILED}

_NO_CREDENTIALS = (
    boto.NoCredentialsError,
    boto.PartialCredentialsError,
    boto.CredentialRetrievalError,
    boto.ProfileNotFound,
    boto.TokenRetrievalError,
    boto.SSOError,
)
# A certificate that is not trusted stays so.
_LASTING = (boto.SSLError, aiohttp.ClientSSLError)
_NO_ANSWER = (
    boto.ConnectionError,
    boto.HTTPClientError,
    boto.IncompleteReadError,
    boto.ResponseStreamingError,
    ResponseParserError,
    aiohttp.ClientError,
    ConnectionError,
    TimeoutError,
)
_KNOWN = (boto.BotoCoreError, boto.ClientError, aiohttp.ClientError, OSError)

_SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_ACCESS_KEY_ID")
_SHORTEST_SECRET = 8
_USER_IN_URL = re.compile(r"//[^/@\s]+@")
_LONGEST_TEXT = 200
_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN where there is one) or AWS_PROFILE, or "
    "use a role, on every machine that works for the run"
)


def cause_of(error: Exception) -> Cause | None:
    """Return why a request failed; None for an error that comes from elsewhere."""
    client_error = _client_error(error)
    if client_error is not None:
        return _answered(client_error)
    if isinstance(error, _NO_CREDENTIALS):
        return Cause.NO_CREDENTIALS
    if isinstance(error, boto.ParamValidationError):
        return Cause.NO_BUCKET if "bucket name" in str(error) else Cause.FAILED
    if isinstance(error, _NO_ANSWER) and not isinstance(error, _LASTING):
        return Cause.TRANSIENT
    # An endpoint that is no URL is a plain ValueError of botocore's.
    return Cause.FAILED if isinstance(error, _KNOWN) or "Invalid endpoint" in str(error) else None


class Tried(NamedTuple):
    """What was tried with which object, at which server, and for how many seconds."""

    verb: str
    uri: str
    endpoint: str
    waited_s: float


def explained(error: Exception, cause: Cause, tried: Tried) -> RemoteError:
    """Return the error for people: what was found, what was expected, what to do.

    Parameters
    ----------
    error, cause
        What was raised, and what `cause_of` says of it.
    tried
        The request.
    """
    verb, uri, endpoint, waited_s = tried
    found, what, bucket = f"cannot {verb} {uri}", _said_by(error), split(uri).bucket
    match cause:
        case Cause.NO_CREDENTIALS:
            return RemoteError(
                RemoteErrorKind.DENIED, f"{found}: there are no usable credentials for S3 ({what}); {_CREDENTIALS}"
            )
        case Cause.DENIED:
            return RemoteError(
                RemoteErrorKind.DENIED,
                f"{found}: {endpoint} denies it ({what}). Expected credentials that may {verb} in the bucket "
                f"{bucket!r}: {_CREDENTIALS}",
            )
        case Cause.NO_BUCKET:
            return RemoteError(
                RemoteErrorKind.NO_BUCKET,
                f"{found}: there is no bucket {bucket!r} at {endpoint} ({what}). Create it, or mend its name; "
                "AWS_ENDPOINT_URL names the server where it is not Amazon's",
            )
        case Cause.TRANSIENT | Cause.CONFLICT | Cause.CONDITION:
            return RemoteError(
                RemoteErrorKind.UNREACHABLE,
                f"{found}: {endpoint} gave no good answer for {waited_s:.0f} s; the last: {what}. Check that the "
                "server runs and that AWS_ENDPOINT_URL names it, and run the same command again: what was committed is "
                "kept. EVALJOBS_S3_PATIENCE_S says how long to try",
            )
        case _:
            return RemoteError(
                RemoteErrorKind.FAILED,
                f"{found}: {endpoint} refuses it ({what}). Check the uri, and AWS_ENDPOINT_URL and AWS_DEFAULT_REGION",
            )


def _client_error(error: Exception) -> boto.ClientError | None:
    """Return the server's own answer, which s3fs wraps into an OSError."""
    for candidate in (error, error.__cause__):
        if isinstance(candidate, boto.ClientError):
            return candidate
    return None


def _answered(error: boto.ClientError) -> Cause:
    code = str(error.response.get("Error", {}).get("Code"))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _CODES:
        return _CODES[code]
    if status in _STATUSES:
        return _STATUSES[status]
    return Cause.TRANSIENT if status >= 500 else Cause.FAILED


def _said_by(error: Exception) -> str:
    """Return what a library says in one line, without a value of a credential."""
    client_error = _client_error(error)
    if client_error is None:
        text = f"{type(error).__name__}: {error}"
    else:
        said = client_error.response.get("Error", {})
        text = f"{said.get('Code')}: {said.get('Message')}"
    for name in _SECRETS:
        # A shorter value is no secret, and would be found in the middle of words.
        if len(value := os.environ.get(name, "")) >= _SHORTEST_SECRET:
            text = text.replace(value, f"<{name}>")
    line = _USER_IN_URL.sub("//", " ".join(text.split()))
    return line if len(line) <= _LONGEST_TEXT else f"{line[:_LONGEST_TEXT]}..."
