"""Which CPUs and GPUs of this machine are free?"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    cpus: int
    gpus: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """What one attempt or replica holds until it ends."""

    cpus: int
    gpus: tuple[int, ...] = ()
    callers: int = 0
    """Its processes, if they only wait for a fleet: these are counted, and its CPUs are not."""


def this_machine() -> Machine:
    """CPUs this process may use, and NVIDIA GPUs if the driver answers."""
    return Machine(
        cpus=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count() or 1),
        gpus=_num_gpus(),
    )


def visible_devices(gpus: tuple[int, ...], environ: Mapping[str, str]) -> str:
    """CUDA_VISIBLE_DEVICES for leased GPUs.  Where the controller was given some of the machine's
    alone, a lease counts within these."""
    given = _given_devices(environ)
    return ",".join(str(gpu) if given is None else given[gpu] for gpu in gpus)


def _given_devices(environ: Mapping[str, str]) -> list[str] | None:
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return None
    names = [device.strip() for device in visible.split(",")]
    return [name for name in names if name not in {"", "-1"}]


def _num_gpus() -> int:
    given = _given_devices(os.environ)
    if given is not None:
        return len(given)
    try:
        listing = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return 0
    return len(listing.stdout.splitlines())


class Slots:
    """Counts what is out; never waits."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self._free_cpus = machine.cpus
        """Below zero while something was squeezed in."""
        self._free_gpus = list(range(machine.gpus))
        self._free_callers = machine.cpus

    def take(
        self,
        *,
        cpus: int,
        gpus: int,
        processes: int = 1,
        calls_fleet: bool = False,
        squeeze: bool = False,
    ) -> Lease | None:
        """A lease, or None if it does not fit now.

        More CPUs than the machine has means all of them: a campaign written for a large node
        still runs on a laptop.  GPUs cannot be stretched like that.  Workers that call a fleet
        wait for it and compute next to nothing, so they leave the CPUs to its replicas: at most
        one for each CPU runs, whatever else does.  `squeeze` gives CPUs that are out already.
        """
        want_cpus = min(cpus * processes, self.machine.cpus)
        want_gpus = gpus * processes
        callers = min(processes, self.machine.cpus) if calls_fleet else 0
        fits = callers <= self._free_callers if callers else want_cpus <= self._free_cpus
        if want_gpus > len(self._free_gpus) or not (fits or squeeze):
            return None
        devices = tuple(self._free_gpus[:want_gpus])
        lease = Lease(cpus=want_cpus, gpus=devices, callers=callers)
        del self._free_gpus[:want_gpus]
        self._count(lease, -1)
        return lease

    def give_back(self, lease: Lease) -> None:
        self._free_gpus = sorted([*self._free_gpus, *lease.gpus])
        self._count(lease, 1)

    def _count(self, lease: Lease, sign: int) -> None:
        self._free_callers += sign * lease.callers
        self._free_cpus += 0 if lease.callers else sign * lease.cpus
