"""How do tracked records reach MLflow without making the controller wait?

A thread delivers what stages left in the store every few seconds.  A server that is away costs
nothing but the delivery; the records stay and go out with a later run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

from jobs.spec.errors import StoreError
from jobs.store.objects import ObjectStore
from jobs.tracking.tracker import StageRun, Status, SyncReport, Tracker

SYNC_EVERY_S = 5.0


class TrackingLoop:
    """Starts with the object, ends with `finish`."""

    def __init__(
        self, tracker: Tracker, store: ObjectStore, runs: Callable[[], Sequence[StageRun]]
    ) -> None:
        self._tracker = tracker
        self._store = store
        self._runs = runs
        self._stop = threading.Event()
        self._status: Status = "FAILED"
        self._last = SyncReport()
        self._thread = threading.Thread(target=self._loop, name="tracking", daemon=True)
        self._thread.start()

    def finish(self, status: Status) -> SyncReport:
        """Deliver what is left and close the attempt; the tracker lives in one thread only."""
        self._status = status
        self._stop.set()
        self._thread.join()
        return self._last

    def abandon(self) -> SyncReport:
        """Do not wait for a server: what was not delivered stays for the next run."""
        self._stop.set()
        return replace(self._last, problem="stopped at once; the next run delivers what waits")

    def _loop(self) -> None:
        while not self._stop.wait(SYNC_EVERY_S):
            self._guarded(self._sync)
        self._guarded(self._sync)
        self._guarded(self._close)

    def _guarded(self, step: Callable[[], None]) -> None:
        """A store that fails is the controller's to judge; here it only delays a delivery."""
        try:
            step()
        except StoreError as error:
            self._last = SyncReport(problem=str(error))

    def _sync(self) -> None:
        if runs := self._runs():
            self._last = self._tracker.sync(self._store, runs)

    def _close(self) -> None:
        if self._runs():
            closed = self._tracker.finish(self._status)
            if self._last.problem is None:
                self._last = closed
