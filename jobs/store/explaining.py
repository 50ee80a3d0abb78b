"""What went wrong with the store, where, and what helps?  Library errors in, ours out."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore import exceptions as obstore_errors

from jobs.spec.errors import StorageFull, StoreError
from jobs.store.base import NotFound

CAUGHT = (obstore_errors.BaseError, OSError, ValueError)

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
IN_THE_WAY = frozenset({errno.ENOTDIR, errno.EISDIR, errno.EEXIST})

FULL_CODES = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"})
ABSENT_CODES = frozenset({"", "NoSuchKey", "BlobNotFound"})
DENIED_ERRORS = (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError)

METADATA_HOST = "169.254.169.254"
"""Asked for credentials when the environment has none; only machines of a cloud answer."""

CREDENTIALS = "check the credentials (AWS_*, GOOGLE_* or AZURE_* variables)"

_DENIED = re.compile(r"status code: 40[13]|InvalidAccessKeyId|XAdminUserNotFound")
_CODE = re.compile(r"<Code>(\w+)</Code>")


@contextmanager
def explained(doing: str, where: str) -> Iterator[None]:
    """Translate every error of a store library raised inside; `doing` is like "read"."""
    try:
        yield
    except CAUGHT as error:
        raise explain(error, doing=doing, where=where) from error


def explain(error: Exception, *, doing: str, where: str) -> StoreError:
    what = f"Could not {doing} {where}"
    if isinstance(error, OSError) and error.errno is not None:
        return _of_disk(error, what)
    return _of_service(error, what)


def _of_disk(error: OSError, what: str) -> StoreError:
    said = f"{what}: {error.strerror or error}."
    if error.errno in FULL:
        return StorageFull(
            said, fix="free space there (`jobs gc` removes what nothing needs), then run again"
        )
    if error.errno == errno.ENOENT:
        return NotFound(said, fix="check the path; nothing has been written there yet")
    if error.errno == errno.ENOTSUP:
        return StoreError(said, fix="put the store on a local disk or NFS, or in a bucket")
    if error.errno in DENIED:
        return StoreError(said, fix="give this user read and write access, or set spec.store.url")
    if error.errno in IN_THE_WAY:
        return StoreError(
            said, fix="a file is where a folder must be: move it, or set spec.store.url"
        )
    return StoreError(said, fix="check that the disk is mounted and healthy, then run again")


def _of_service(error: Exception, what: str) -> StoreError:
    text = str(error)
    code = _code(text)
    if code in FULL_CODES:
        return StorageFull(f"{what}: no space left ({code}).", fix="free space or raise the quota")
    if code == "NoSuchBucket":
        return StoreError(f"{what}: the bucket does not exist.", fix="create it or correct the url")
    if isinstance(error, FileNotFoundError) and code in ABSENT_CODES:
        return NotFound(f"{what}: there is no such object.", fix="check the address and the url")
    if isinstance(error, DENIED_ERRORS) or _DENIED.search(text):
        why = f" ({code})" if code else ""
        return StoreError(f"{what}: access denied{why}.", fix=f"{CREDENTIALS} and their rights")
    return StoreError(f"{what}: {_brief(text)}", fix=_advice(error, text))


def _advice(error: Exception, text: str) -> str:
    if isinstance(error, obstore_errors.UnknownConfigurationKeyError):
        return "correct spec.store.options"
    if isinstance(error, ValueError) or "recognise URL" in text:
        return "correct spec.store.url"
    if "Generic Config error" in text:
        return "correct spec.store.options"
    if METADATA_HOST in text:
        return f"no credentials were found: {CREDENTIALS}"
    return "check that the endpoint, the region and the network are right and the service is up"


def _code(text: str) -> str:
    found = _CODE.search(text)
    return found[1] if found else ""


def _brief(text: str) -> str:
    """The first line; a service's XML body may quote keys and signatures, so it is cut off."""
    line = re.split(r"<\?xml|<Error", text.splitlines()[0] if text else "unknown error")[0]
    code = _code(text)
    return f"{line[:300].rstrip(' :.')}{f' ({code})' if code else ''}."
