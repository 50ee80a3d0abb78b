"""How do data files come from the Hugging Face Hub?  As plain files of one commit, never code."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rprm.errors import BadInput, RprmError

_NAME = re.compile(
    r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[^/@]+))?(?:/(?P<path>[^@]+))?", re.ASCII
)


@dataclass(frozen=True, kw_only=True, slots=True)
class HubName:
    repo: str
    revision: str | None
    path: str | None
    """A file or folder inside the repository; None for all of it."""

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"hf://{self.repo}{at}{'/' + self.path if self.path else ''}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    path: Path
    revision: str
    """The commit the files are of, also where a branch was asked for."""


class Hub(Protocol):
    def fetch(self, name: HubName, suffixes: tuple[str, ...]) -> Fetched:
        """Bring the files with these suffixes here."""
        ...


def is_hub_id(text: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[^/@]+)?", text) is not None


def parse_hub_name(text: str, *, revision: str | None = None) -> HubName:
    found = _NAME.fullmatch(text.removeprefix("hf://").rstrip("/"))
    if found is None:
        raise BadInput(f"{text!r} names no data set.", fix="write hf://org/name@revision/path")
    written = found["revision"]
    if written and revision and written != revision:
        raise BadInput(
            f"{text!r} asks for revision {written!r} and also for {revision!r}.",
            fix="give the revision once",
        )
    return HubName(repo=found["repo"], revision=written or revision, path=found["path"])


class HuggingFaceHub:
    """The real one; its cache and its token are those of huggingface_hub."""

    def fetch(self, name: HubName, suffixes: tuple[str, ...]) -> Fetched:
        try:
            from huggingface_hub import snapshot_download
            from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError
            from huggingface_hub.errors import RevisionNotFoundError as NoRevision
        except ImportError as problem:
            raise BadInput(
                "The Hub needs the package huggingface_hub.", fix="pip install 'rprm[train]'"
            ) from problem
        try:
            folder = snapshot_download(
                name.repo,
                repo_type="dataset",
                revision=name.revision,
                allow_patterns=patterns_of(name, suffixes),
            )
        except (RepositoryNotFoundError, NoRevision) as problem:
            raise BadInput(
                f"{name} is not on the Hub, or may not be read with this token.",
                fix="check its name and revision; private sets need `hf auth login`",
            ) from problem
        except (HfHubHTTPError, OSError) as problem:
            raise RprmError(
                f"{name} could not be fetched: {problem}",
                fix="try again with a connection, or fetch it once and name the local folder",
            ) from problem
        commit = Path(folder).name  # …/snapshots/<commit>
        return Fetched(path=Path(folder, name.path or ""), revision=commit)


def patterns_of(name: HubName, suffixes: tuple[str, ...]) -> list[str]:
    if name.path is None:
        return [f"*{suffix}" for suffix in suffixes]
    if name.path.endswith(suffixes):
        return [name.path]
    return [f"{name.path}/*{suffix}" for suffix in suffixes]
