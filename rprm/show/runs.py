"""Which judgements does a person mean by RUN?

judge.jsonl                 what `rprm judge --json` wrote
rows.parquet, rows/         judged steps or step scores as Parquet; solutions may lie beside them
.rprm/store/artifacts/…     an artifact, by the path or url of its store
judge-sft-1c81…             an artifact of the store, also by the beginning of its address
judge-sft, bench-sft[rows=4000]     the newest of a stage, or of one point of its sweep
quickstart                  a campaign: the benchmark of what it would promote, or its last one

A benchmark is shown by the judgements it was given.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rprm.errors import BadInput
from rprm.sealed import DEFAULT_STORE, Sealed, SealedStore, location_of

JUDGED_INPUTS = ("judged", "scores")
"""Inputs of a benchmark that hold what a judge said."""

JUDGES = ("Seed", "Sample", "Peer", "Critic")
"""Stage classes that leave what a judge said."""

CANDIDATE = "candidate"
"""Input of a stage that promotes: the benchmark of the judge that the campaign is about."""

MAX_OTHERS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """An artifact in a store."""

    store: SealedStore
    artifact: Sealed
    note: str = ""
    """Why it was this one, where the name left a choice."""


def find_run(name: str, store: str | None) -> Path | Chosen:
    """A file or folder of one's own, or an artifact.  Raises BadInput with what could be meant."""
    if not name.strip():
        raise BadInput("The run's name is empty.", fix=choices(store))
    if Path(name).is_file():
        return Path(name)
    if location := location_of(name):
        root = store if store and location.root == "." else location.root
        view = SealedStore(root)
        return Chosen(store=view, artifact=view.need(location.address))
    if Path(name).exists():
        return Path(name)
    if "://" in name:
        raise BadInput(f"{name} is no artifact.", fix="write it as STORE/artifacts/ADDRESS")
    return _in_store(name, store)


def judgements_of(chosen: Chosen) -> Sealed:
    """The artifact with what the judge said: this one, or an input of the benchmark it is."""
    for given in JUDGED_INPUTS:
        for address in chosen.artifact.inputs.get(given, ()):
            return chosen.store.need(address)
    return chosen.artifact


def choices(store: str | None) -> str:
    """What RUN could be here."""
    if store is None and not Path(DEFAULT_STORE).is_dir():
        return "give a file of `rprm judge --json`, a folder of Parquet, or --store"
    return _known(_names(SealedStore(store or DEFAULT_STORE)))


def _in_store(name: str, store: str | None) -> Chosen:
    if store is None and not Path(DEFAULT_STORE).is_dir():
        raise BadInput(
            f"there is no file or folder {name}, and no store at {DEFAULT_STORE}.",
            fix="give a file of `rprm judge --json`, a folder of Parquet, or --store",
        )
    view = SealedStore(store or DEFAULT_STORE)
    if matching := _matching(name, view):
        viewable = [one for one in matching if _is_viewable(one)] or matching
        return Chosen(store=view, artifact=viewable[0], note=_note(viewable, "the newest of"))
    if chosen := _of_campaign(name, view):
        return chosen
    raise _unknown(name, view)


def _matching(name: str, view: SealedStore) -> list[Sealed]:
    """Those of the stage, node or address; else those whose address begins so.

    Addresses begin with their stage, so that few seals of a large store need reading.
    """
    stem = name.partition("[")[0]
    found = view.newest(address for address in view.addresses() if address.startswith(stem))
    exact = [one for one in found if name in (one.address, one.node, one.stage)]
    partial = "-" in name and [one for one in found if one.address.startswith(name)]
    return exact or partial or []


def _of_campaign(name: str, view: SealedStore) -> Chosen | None:
    """Its candidate's benchmark, else its last one; without any, whatever was judged last."""
    made = [one for one in map(view.sealed, reversed(view.made_by(name))) if one is not None]
    found = [one for one in made if _is_bench(one)] or [one for one in made if _is_viewable(one)]
    if not found:
        return None
    candidates = {address for one in made for address in one.inputs.get(CANDIDATE, ())}
    found.sort(key=lambda one: one.address not in candidates)  # stable: the last one first
    promoted = found[0].address in candidates
    why = "the candidate for promotion among" if promoted else "the last of"
    return Chosen(store=view, artifact=found[0], note=_note(found, why))


def _is_bench(one: Sealed) -> bool:
    return any(one.inputs.get(given) for given in JUDGED_INPUTS)


def _is_viewable(one: Sealed) -> bool:
    """A guess by their names, without opening their rows; what is named by address is opened."""
    return _is_bench(one) or one.run.rpartition(":")[2] in JUDGES


def _note(found: list[Sealed], why: str) -> str:
    """Which of several was taken, and what to write for another."""
    first, *others = found
    if not others:
        return ""
    shown = ", ".join(_named(others[:MAX_OTHERS]))
    rest = f" and {len(others) - MAX_OTHERS} more" if len(others) > MAX_OTHERS else ""
    return (
        f"took {first.node} ({first.address}), {why} {len(found)}; "
        f"also {shown}{rest}: name one to see it"
    )


def _named(found: Iterable[Sealed]) -> Iterator[str]:
    return (f"{one.node} ({one.address})" for one in found)


def _unknown(name: str, view: SealedStore) -> BadInput:
    names = _names(view)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return BadInput(f"{view.url} has no run {name!r}.", fix=f"{hint}{_known(names)}")


def _names(view: SealedStore) -> list[str]:
    """Of campaigns, and of stages whose rows a page can show."""
    stages = [one.stage for one in view.newest(view.addresses()) if _is_viewable(one)]
    return [*view.campaigns(), *dict.fromkeys(stages)]


def _known(names: list[str]) -> str:
    return f"name one of {', '.join(names)}" if names else "no judgements are there yet"
