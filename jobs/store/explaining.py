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

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status (\d{3}[\w ]*)")


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
    if error.errno in DENIED:
        return StoreError(said, fix="give this user read and write access, or set spec.store.url")
    if error.errno in IN_THE_WAY:
        return StoreError(
            said, fix="a file is where a folder must be: move it, or set spec.store.url"
        )
    return StoreError(said, fix="check that the disk is mounted and healthy, then run again")


def _of_service(error: Exception, what: str) -> StoreError:
    text = str(error)
    code, brief = _code(text), _brief(text)
    if code == "NoSuchBucket":
        return StoreError(
            f"{what}: the bucket does not exist.", fix="create it, or fix spec.store.url"
        )
    if isinstance(error, FileNotFoundError):
        return NotFound(
            f"{what}: there is no such object.", fix="check the address and the store url"
        )
    denied = (obstore_errors.PermissionDeniedError, obstore_errors.UnauthenticatedError)
    if isinstance(error, denied):
        return StoreError(
            f"{what}: access denied{f' ({code})' if code else ''}.",
            fix="check the credentials (AWS_*, GOOGLE_* or AZURE_* variables) and their rights",
        )
    if isinstance(error, obstore_errors.UnknownConfigurationKeyError):
        return StoreError(f"{what}: {brief}", fix="correct spec.store.options")
    if isinstance(error, ValueError):
        return StoreError(f"{what}: {brief}", fix="correct spec.store.url")
    return StoreError(
        f"{what}: {brief}", fix="check the endpoint, the region, the network and the credentials"
    )


def _code(text: str) -> str:
    found = _CODE.search(text)
    return found[1] if found else ""


def _brief(text: str) -> str:
    """The first line; a service's XML body may quote keys and signatures, so it is cut off."""
    line = text.splitlines()[0] if text else "unknown error"
    line = re.split(r"<\?xml|<Error", line)[0]
    status = _STATUS.search(line)
    return (f"status {status[1]}" if status and len(line) > 300 else line[:300]).rstrip(" :")
