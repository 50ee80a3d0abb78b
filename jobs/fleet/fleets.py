"""Who keeps all fleets of a campaign?  One keeper each, one host and one prober for all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from jobs.backends.replicas import ReplicaHost
from jobs.fleet.keeper import Keeper, Kept, Tell
from jobs.fleet.probing import Prober
from jobs.fleet.told import Told, write_told
from jobs.plan.needs import FleetWord, Need


class Fleets:
    """Keepers come as their fleets are first needed."""

    def __init__(self, *, host: ReplicaHost, prober: Prober, told: Path, tell: Tell) -> None:
        self._host, self._prober, self._path, self._tell = host, prober, told, tell
        self._keepers: dict[str, Keeper] = {}
        self.told = Told(at=0.0, pid=os.getpid())

    def look(
        self, needs: Mapping[str, Need], make: Callable[[str], Kept], now: float
    ) -> Mapping[str, FleetWord]:
        """Look after every fleet; `make` says what a fleet is that is needed for the first time.

        A fleet that no running stage has needed yet has no keeper, and no word."""
        for name, need in needs.items():
            if name not in self._keepers and need.demands:
                self._keepers[name] = self._keeper(make(name))
        statuses = self._host.observe()
        for name, keeper in self._keepers.items():
            keeper.look(statuses, needs.get(name, Need()), now)
        self._watch(self._keepers.values())
        self.told = Told(
            at=now, pid=os.getpid(), fleets=tuple(one.told() for one in self._keepers.values())
        )
        write_told(self._path, self.told)
        return {
            name: FleetWord(ready=one.num_ready, state=one.state, problem=one.problem)
            for name, one in self._keepers.items()
        }

    def close(self) -> None:
        """End every replica; returns once their processes are gone."""
        self._prober.close()
        for keeper in self._keepers.values():
            keeper.forget()
        self._host.close()
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _keeper(self, kept: Kept) -> Keeper:
        alike = [one for one in self._keepers.values() if one.kept.fleet == kept.fleet]
        return Keeper(
            kept,
            host=self._host,
            seen=self._prober.seen,
            tell=self._tell,
            like=alike[0] if alike else None,
        )

    def _watch(self, keepers: Iterable[Keeper]) -> None:
        urls: dict[str, str] = {}
        for keeper in keepers:
            urls |= keeper.urls
        self._prober.watch(urls)
