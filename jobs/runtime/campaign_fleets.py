"""How do a campaign's stages and its fleets come together?

Stages say how much work is left, keepers say whether anybody serves; stages wait for their fleets,
and fail with one that cannot start.  A campaign without fleets has nothing of all this.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from jobs.backends.base import ArrayStatus, Served
from jobs.backends.local import safe_name
from jobs.fleet.fleets import Fleets
from jobs.fleet.keeper import Kept
from jobs.fleet.sources import model_source
from jobs.fleet.told import Told
from jobs.fleet.vllm_command import Serving
from jobs.plan.decide import StageState
from jobs.plan.fleet import Spec
from jobs.plan.needs import Caller, FleetWord, Turn, needs, verdict
from jobs.plan.pulse import Rules
from jobs.plan.shards import ShardPlan
from jobs.runtime.resolving import ArtifactModel, ModelRef, Resolved, ServedBy, fleet_instances
from jobs.store import layout
from jobs.store.objects import ObjectStore

LOOK_S = 1.0
"""Between two looks at the fleets: what they say of themselves is asked every two seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """What a controller knows of its stages in one tick."""

    states: Sequence[StageState]
    work: Mapping[str, ArrayStatus]
    plans: Mapping[str, ShardPlan]
    over: AbstractSet[str]
    """Stages that are finished, one way or another."""
    draining: bool


class FleetKeeping(Protocol):
    """What the controller asks of whoever keeps the fleets."""

    @property
    def told(self) -> Told | None:
        """For people; None where there are no fleets."""
        ...

    def look(self, picture: Picture) -> list[StageState]:
        """Look after the fleets; the states, with what the fleets mean for them."""
        ...

    def served(self, stage: Resolved) -> Mapping[str, Served]:
        """Role to where its model is served, of a stage that is handed out now."""
        ...

    def close(self) -> None: ...


class NoFleets:
    """Of a campaign without any."""

    told: Told | None = None

    def look(self, picture: Picture) -> list[StageState]:
        return list(picture.states)

    def served(self, stage: Resolved) -> Mapping[str, Served]:
        return {}

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """With what, and where, this machine keeps fleets."""

    python: str
    """It has vLLM."""
    folder: Path
    """Endpoints and memory, a folder for each fleet."""
    cache: Path
    """Of models from a remote store."""
    hang_s: float = Rules().hang_s
    settled_s: float = Rules().settled_s


class CampaignFleets:
    def __init__(
        self,
        stages: Sequence[Resolved],
        *,
        store: ObjectStore,
        fleets: Fleets,
        place: Place,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._callers = {stage.node.name: stage for stage in stages if stage.fleets}
        self._instances = fleet_instances(stages)
        self._store, self._fleets, self._place, self._clock = store, fleets, place, clock
        self._words: Mapping[str, FleetWord] = {}
        self._looked_at = 0.0
        self._looked_for: object = None
        """Whose turn it was then: a stage that starts or ends is seen at once."""

    @property
    def told(self) -> Told | None:
        return self._fleets.told

    def look(self, picture: Picture) -> list[StageState]:
        callers = tuple(self._calls(picture))
        now = self._clock()
        turns = tuple(caller.turn for caller in callers), picture.draining
        if turns != self._looked_for or now - self._looked_at >= LOOK_S:
            found = needs(callers, draining=picture.draining)
            managed = {
                name: need
                for name, need in found.items()
                if self._instances[name].fleet.url is None
            }
            self._words = self._fleets.look(managed, self._kept, now)
            self._looked_at, self._looked_for = now, turns
        return [self._with_verdict(state) for state in picture.states]

    def served(self, stage: Resolved) -> Mapping[str, Served]:
        return {role: self._served(by) for role, by in stage.fleets.items()}

    def close(self) -> None:
        self._fleets.close()

    def _calls(self, picture: Picture) -> Iterator[Caller]:
        sealed = {state.name for state in picture.states if state.sealed}
        for state in picture.states:
            stage = self._callers.get(state.name)
            if stage is None:
                continue
            plan, status = picture.plans.get(state.name), picture.work.get(state.address)
            turn = Turn.LATER
            if state.sealed or state.name in picture.over:
                turn = Turn.OVER
            elif plan is not None and sealed.issuperset(state.needs):
                turn = Turn.NOW
            yield Caller(
                stage=state.name,
                fleets=frozenset(by.instance for by in stage.fleets.values()),
                turn=turn,
                rows=plan.num_rows if plan else 0,
                num_shards=plan.num_shards if plan else 0,
                done=len(state.done),
                at_work=len(status.running) if status else 0,
            )

    def _with_verdict(self, state: StageState) -> StageState:
        stage = self._callers.get(state.name)
        if stage is None or state.sealed:
            return state
        found = verdict(sorted({by.instance for by in stage.fleets.values()}), self._words)
        return replace(state, held=found.held, blocked=found.blocked)

    def _kept(self, instance: str) -> Kept:
        by = self._instances[instance]
        fleet, folder = by.fleet, self._place.folder / _folder_name(instance)
        serving = Serving(
            source=model_source(self._model(by.model), folder / "tokenizer"),
            name=fleet.name,
            engine=fleet.engine,
            cpus=fleet.resources.cpus,
            gpus=fleet.resources.gpus,
            memory_bytes=fleet.resources.memory_bytes,
        )
        return Kept(
            name=instance,
            fleet=fleet.name,
            role=fleet.role,
            model=_told_as(by.model),
            serving=serving,
            python=self._place.python,
            spec=Spec(
                min_replicas=fleet.min_replicas,
                max_replicas=fleet.max_replicas,
                max_num_seqs=serving.max_num_seqs,
                idle_timeout_s=fleet.idle_timeout_s,
                drain_deadline_s=fleet.drain_deadline_s,
            ),
            rules=Rules(
                start_deadline_s=fleet.start_deadline_s,
                hang_s=self._place.hang_s,
                settled_s=self._place.settled_s,
            ),
            folder=folder,
        )

    def _served(self, by: ServedBy) -> Served:
        if by.fleet.url is not None:
            url = by.fleet.url
        else:
            path = self._place.folder / _folder_name(by.instance) / "endpoints.json"
            url = path.resolve().as_uri()
        return Served(url=url, model=self._model(by.model), key_env=by.fleet.key_env)

    def _model(self, model: ModelRef) -> str:
        """A folder on this machine, or a Hub id."""
        key = _key_of(model)
        if key is None:
            return _told_as(model)
        return str(self._store.fetch(key, self._place.cache).resolve())


def _folder_name(instance: str) -> str:
    """Another one for every instance, also where what a folder cannot hold is all that differs."""
    name = safe_name(instance)
    if name == instance:
        return name
    return f"{name[:40]}-{hashlib.sha256(instance.encode()).hexdigest()[:6]}"


def _key_of(model: ModelRef) -> str | None:
    """Where in the store it is; None for one that is elsewhere."""
    if isinstance(model, ArtifactModel):
        return layout.file_key(model.address, "model")
    return f"{model.name}/weights" if layout.is_checkpoint(model.name) else None


def _told_as(model: ModelRef) -> str:
    return model.address if isinstance(model, ArtifactModel) else model.name
