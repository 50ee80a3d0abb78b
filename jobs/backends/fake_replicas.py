"""What would a host of replicas do?  Starts and ends of replicas by script, in memory; for tests.

It ships with the package so that whoever keeps fleets can be tested without processes.  The
contract suite that holds the real host holds it too.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from jobs.backends.replicas import ReplicaStatus, ReplicaWork
from jobs.backends.slots import Lease, Machine, Slots
from jobs.spec.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class FailedStart:
    """How a replica that cannot start says so."""

    last_lines: tuple[str, ...] = ()
    exit_code: int = 1


class FakeReplicas:
    """A replica runs until it is asked to leave or `end` is called; `observe` tells its end."""

    def __init__(
        self,
        slots: Slots | None = None,
        *,
        fails: Mapping[str, Sequence[FailedStart]] | None = None,
        lingering: Collection[str] = (),
        url_of: Callable[[ReplicaWork], str] = lambda work: f"http://{work.name}.invalid",
    ) -> None:
        """`fails` maps a fleet to the fate of its first starts.  Fleets that are `lingering` hold
        on to their requests: only a hard stop or `end` ends their replicas.  A test whose
        replicas have to answer says with `url_of` where its servers are."""
        self._slots = slots or Slots(Machine(cpus=1_000_000))
        self._fails = {fleet: list(starts) for fleet, starts in (fails or {}).items()}
        self._lingering = lingering
        self._url_of = url_of
        self._leases: dict[str, Lease] = {}
        self._ends: dict[str, FailedStart] = {}
        """Of those that end at the next look."""
        self._statuses: dict[str, ReplicaStatus] = {}
        self.works: list[ReplicaWork] = []
        """All that were started, oldest first."""

    def start(self, work: ReplicaWork, *, squeeze: bool = False) -> bool:
        if work.gpus > self._slots.machine.gpus:
            raise ConfigError(f"no machine has {work.gpus} GPUs.", fix="ask for fewer GPUs.")
        if work.name in self._statuses:
            return True
        lease = self._slots.take(cpus=work.cpus, gpus=work.gpus, squeeze=squeeze)
        if lease is None:
            return False
        self.works.append(work)
        self._leases[work.name] = lease
        self._statuses[work.name] = ReplicaStatus(
            name=work.name,
            fleet=work.fleet,
            url=self._url_of(work),
            started_at=time.time(),
        )
        if self._fails.get(work.fleet):
            self._ends[work.name] = self._fails[work.fleet].pop(0)
        return True

    def stop(self, name: str, *, hard: bool = False) -> None:
        if name not in self._leases:
            return
        status = replace(self._statuses[name], stopping=True)
        self._statuses[name] = status
        if hard or status.fleet not in self._lingering:
            self.end(name, -(signal.SIGKILL if hard else signal.SIGTERM))

    def end(self, name: str, exit_code: int = 1, last_lines: tuple[str, ...] = ()) -> None:
        """The next look finds it gone."""
        if name in self._leases:
            self._ends[name] = FailedStart(exit_code=exit_code, last_lines=last_lines)

    def observe(self) -> Mapping[str, ReplicaStatus]:
        for name, end in self._ends.items():
            status = self._statuses[name]
            self._slots.give_back(self._leases.pop(name))
            lines = () if status.stopping else end.last_lines
            self._statuses[name] = replace(
                status, ended=True, exit_code=end.exit_code, last_lines=lines
            )
        self._ends.clear()
        return dict(self._statuses)

    def close(self) -> None:
        for name in list(self._leases):
            self.stop(name, hard=True)
        self.observe()
