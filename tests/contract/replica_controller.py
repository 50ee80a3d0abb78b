"""Who can be killed in the place of a controller?  A process that starts replicas and waits.

    python -m tests.contract.replica_controller LOGS COMMANDS

COMMANDS is a JSON list of the replicas' commands.  It prints a line once all are started, and
answers every line that it reads with how many of its replicas have ended.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

from jobs.backends.local_replicas import LocalReplicas
from jobs.backends.replicas import ReplicaWork
from jobs.backends.slots import Machine, Slots


def main(logs: str, commands: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a controller that drains
    host = LocalReplicas(Slots(Machine(cpus=8)), Path(logs))
    for number, command in enumerate(json.loads(commands)):
        host.start(ReplicaWork(name=f"judge-{number}", fleet="judge", command=tuple(command)))
    print("started", flush=True)
    for _ in sys.stdin:
        print(sum(status.ended for status in host.observe().values()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
