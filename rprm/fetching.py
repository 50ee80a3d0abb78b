"""How does a model come from the Hugging Face Hub?  As files of one commit, without any code."""

from __future__ import annotations

from pathlib import Path

from rprm.data.hub import is_hub_id, parse_hub_name
from rprm.errors import BadInput

WEIGHTS = ["*.safetensors"]
TEXTS = ["*.json", "*.txt", "*.jinja", "*.model"]
"""Configuration and tokenizer; no pickles and no code."""


def is_remote(model: str) -> bool:
    """Where the first folder exists here, it is local: a typo never becomes a download."""
    return is_hub_id(model) and not Path(Path(model).parts[0]).exists()


def fetch_model(name: str, *, revision: str | None = None, weights: bool = True) -> Path:
    """The folder of a Hub model; `name` may hold its revision after an @.

    Without `weights` only what a client of a server needs: configuration and tokenizer.
    Raises BadInput where the Hub does not give it.
    """
    if not is_hub_id(name):
        raise BadInput(
            f"There is no model folder {name}.",
            fix="give a local model folder, or a Hub id such as org/name",
        )
    wanted = parse_hub_name(name, revision=revision)
    repo, at = wanted.repo, wanted.revision
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise BadInput(
            "The Hub needs the package huggingface_hub.", fix="pip install 'rprm[train]'"
        ) from error
    patterns = [*WEIGHTS, *TEXTS] if weights else TEXTS
    try:
        folder = snapshot_download(repo, revision=at, allow_patterns=patterns)
    except (HFValidationError, HfHubHTTPError, OSError, ValueError) as error:
        line = (str(error).splitlines() or ["no answer"])[0]
        of = f" at {at}" if at else ""
        raise BadInput(
            f"There is no model folder {repo}, and the Hub does not give it{of} either: "
            f"{line[:300]}",
            fix="check the name, or fetch it where there is a network and give the folder",
        ) from error
    return Path(folder)
