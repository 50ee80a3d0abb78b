"""Which artifacts does a person mean by a run's name?

bench-sft                  a stage: its newest artifact at each point of the sweeps
bench-sft-3f9a…            one artifact by its address, or the beginning of it
…/artifacts/bench-sft-3f…  the same by its place in a store
quickstart                 a campaign that ran here: every measuring stage of its last run
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from pathlib import Path

from rprm.comparing.measured import Artifact, is_measuring
from rprm.errors import BadInput
from rprm.sealed import DEFAULT_STORE, Sealed, SealedStore, location_of

LABELLED = ("solutions", "items")
"""Inputs that hold what was measured on."""


def find_artifacts(name: str, *, store: str | None) -> list[Artifact]:
    """Raises BadInput that says what there is."""
    location = location_of(name)
    if location is None:
        view = _open(store)
        return [artifact_of(view, one) for one in _named(view, name)]
    view = SealedStore(store if store and location.root == "." else location.root)
    return [artifact_of(view, _measuring(view, location.address, name))]


def artifact_of(view: SealedStore, one: Sealed) -> Artifact:
    return Artifact(
        address=one.address,
        stage=one.stage,
        coordinates=one.coordinates,
        facts=one.facts,
        rows=[row for data in view.rows_of(one) for row in data.table().to_pylist()],
        digest=_digest(view, one),
    )


def _digest(view: SealedStore, one: Sealed) -> str:
    """Of the rows it was measured on: the same rows under another address are the same."""
    for name in LABELLED:
        for address in one.inputs.get(name, ()):
            upstream = view.sealed(address)
            return (upstream.data_digest if upstream else "") or address
    return ""


def _named(view: SealedStore, name: str) -> list[Sealed]:
    if name in view.campaigns():
        return _of_campaign(view, name)
    if "-" in name and (found := view.sealed(name)) is not None and is_measuring(found.facts):
        return [found]
    measuring = _only_measuring(view.newest(view.addresses()))
    chosen = [one for one in measuring if name == one.stage]
    partial = [one for one in measuring if "-" in name and one.address.startswith(name)]
    if not chosen and not partial:
        raise _unknown(name, view, measuring)
    return _newest_of_points(chosen or partial)


def _open(store: str | None) -> SealedStore:
    if store is None and not Path(DEFAULT_STORE).is_dir():
        raise BadInput(
            f"there is no store at {DEFAULT_STORE}, so no run can be found.",
            fix="give --store, or a FILE.json that `rprm score … --json` wrote",
        )
    return SealedStore(store or DEFAULT_STORE)


def _measuring(view: SealedStore, address: str, name: str) -> Sealed:
    found = view.sealed(address)
    if found is None:
        raise BadInput(
            f"{name} is no finished artifact.", fix="run its campaign to the end, then compare"
        )
    if not is_measuring(found.facts):
        raise BadInput(
            f"{name} measures nothing: it is an artifact of stage {found.stage!r}.",
            fix="name a benchmark stage's artifact",
        )
    return found


def _only_measuring(sealed: Sequence[Sealed]) -> list[Sealed]:
    return [one for one in sealed if is_measuring(one.facts)]


def _newest_of_points(sealed: Sequence[Sealed]) -> list[Sealed]:
    """A stage that was run again with other params leaves several; in the order of the points."""
    newest: dict[tuple[str, str], Sealed] = {}
    for one in sealed:
        newest.setdefault((one.stage, json.dumps(one.coordinates, sort_keys=True)), one)
    return [newest[key] for key in sorted(newest)]


def _of_campaign(view: SealedStore, name: str) -> list[Sealed]:
    """What its last run here sealed or reused."""
    made = [one for one in map(view.sealed, view.made_by(name)) if one is not None]
    found = _only_measuring(made)
    if not found:
        raise BadInput(
            f"campaign {name} has not measured anything yet.",
            fix="run it to the end, or name an artifact",
        )
    return found


def _unknown(name: str, view: SealedStore, measuring: Sequence[Sealed]) -> BadInput:
    campaigns = view.campaigns()
    stages = list(dict.fromkeys(one.stage for one in measuring))
    near = difflib.get_close_matches(name, [*campaigns, *stages], n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    here = []
    if campaigns:
        here.append(f"campaigns here: {', '.join(campaigns[:8])}")
    if stages:
        here.append(f"measuring stages: {', '.join(stages[:12])}")
    return BadInput(
        f"{view.url} has no run called {name!r}.",
        fix=f"{hint}{'; '.join(here) or 'nothing has been measured there yet'}",
    )
