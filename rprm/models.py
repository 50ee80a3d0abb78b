"""Which folder or Hub repository does a model's name in a campaign stand for?

builtin:chain_base                  shipped with the package
models/r-prm or /any/folder         local, in Hugging Face format
org/name                            Hugging Face Hub (training fetches it; see its `revision`)
artifacts/ADDRESS/checkpoints/STEP  of the campaign's store; only behind a fleet

`rprm.finding` understands more, for people who judge.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from importlib import resources
from pathlib import Path

from rprm.data.chain_tokenizer import VOCABULARY
from rprm.errors import BadInput

BUILTIN = "builtin:"
_CHECKPOINT = re.compile(r"artifacts/[^/]+/checkpoints/\d+")


def locate_model(name: str) -> str:
    """A folder, or the Hub id as it is.  Raises BadInput for an unknown builtin."""
    if not name.startswith(BUILTIN):
        return name
    short = name.removeprefix(BUILTIN)
    folder = Path(str(resources.files("rprm.data"))) / short
    if not (folder / "config.json").is_file():
        known = builtin_names()
        near = difflib.get_close_matches(short, known, n=1)
        listed = f"builtin: {', '.join(known) or 'none in this installation'}"
        raise BadInput(
            f"no model {name!r} comes with this package.",
            fix=f"did you mean {BUILTIN}{near[0]}?" if near else listed,
        )
    return str(folder)


def builtin_names() -> list[str]:
    root = Path(str(resources.files("rprm.data")))
    return sorted(entry.name for entry in root.iterdir() if (entry / "config.json").is_file())


def model_digest(name: str) -> str:
    """What pins the weights: the sha256 of a local folder's files; a Hub id pins itself by its
    revision, and a store's checkpoint by its address and step."""
    if _CHECKPOINT.fullmatch(name):
        return name
    folder = Path(locate_model(name))
    if not folder.is_dir():
        return name
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in {".safetensors", ".json", ".jinja"}:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def is_small_world(folder: Path) -> bool:
    """Does this model read the small world's tokens?"""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return False
    try:
        vocabulary = json.loads(file.read_bytes())["model"]["vocab"]
    except (ValueError, KeyError, TypeError):  # whatever it is, loading it will say more
        return False
    return isinstance(vocabulary, dict) and set(vocabulary) == set(VOCABULARY)


def max_positions(folder: Path) -> int | None:
    """The longest sequence that the model's configuration allows, if it says so."""
    try:
        value = json.loads((folder / "config.json").read_bytes())["max_position_embeddings"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return value if isinstance(value, int) else None
