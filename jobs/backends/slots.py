"""Which CPUs and GPUs of this machine are free?"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    cpus: int
    gpus: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Lease:
    """What one attempt holds until it ends."""

    cpus: int
    gpus: tuple[int, ...] = ()


def this_machine() -> Machine:
    """CPUs this process may use, and NVIDIA GPUs if the driver answers."""
    return Machine(
        cpus=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else (os.cpu_count() or 1),
        gpus=_num_gpus(),
    )


def _num_gpus() -> int:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([device for device in visible.split(",") if device.strip() not in {"", "-1"}])
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
        self._free_gpus = list(range(machine.gpus))

    def take(self, *, cpus: int, gpus: int, processes: int = 1) -> Lease | None:
        """A lease, or None if it does not fit now.

        More CPUs than the machine has means all of them: a campaign written for a large node
        still runs on a laptop.  GPUs cannot be stretched like that.
        """
        want_cpus = min(cpus * processes, self.machine.cpus)
        want_gpus = gpus * processes
        if want_cpus > self._free_cpus or want_gpus > len(self._free_gpus):
            return None
        self._free_cpus -= want_cpus
        devices = tuple(self._free_gpus[:want_gpus])
        del self._free_gpus[:want_gpus]
        return Lease(cpus=want_cpus, gpus=devices)

    def give_back(self, lease: Lease) -> None:
        self._free_cpus += lease.cpus
        self._free_gpus = sorted([*self._free_gpus, *lease.gpus])
