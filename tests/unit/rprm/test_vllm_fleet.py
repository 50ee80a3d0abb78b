"""Does a fleet that cannot be looked at any more say so to those who wait for it?"""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from rprm.engines.endpoints import Replica
from rprm.engines.vllm_calls import Calls
from rprm.engines.vllm_check import Expected
from rprm.engines.vllm_fleet import Fleet, Watching


class ScriptedSource:
    """An endpoint source that breaks as none should."""

    problem = ""

    async def read(self) -> tuple[Replica, ...]:
        raise RuntimeError("the source broke")


def test_an_unexpected_end_of_looking_reaches_those_who_wait() -> None:
    async def wait() -> None:
        fleet = Fleet(
            ScriptedSource(), cast(Calls, None), cast(Expected, cast(Any, None)), Watching()
        )
        await fleet.open()
        try:
            await asyncio.wait_for(fleet.served(), timeout=10)
        finally:
            await fleet.close()

    with pytest.raises(RuntimeError, match="the source broke"):
        asyncio.run(wait())
