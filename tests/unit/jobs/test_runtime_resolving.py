"""Does the address of an artifact hold what decides its content, and nothing else?"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from jobs.plan.graph import expand
from jobs.runtime.entrypoints import load
from jobs.runtime.resolving import Resolved, resolve
from jobs.spec.errors import EntryPointError
from jobs.spec.loading import parse_campaign


class Asking:
    """A stage whose `in_flight` changes nothing that it writes."""

    kind: ClassVar[str] = "single"
    version: ClassVar[str] = "1"
    pace: ClassVar[tuple[str, ...]] = ("in_flight",)

    class Params(BaseModel):
        question: str = "why"
        in_flight: int = 8

    def __init__(self, params: Params) -> None:
        self.params = params

    def run(self, io: Any) -> None:
        raise NotImplementedError


class Mistaken(Asking):
    pace = ("in_fligth",)


def resolved(params: str) -> Resolved:
    text = f"""
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {{name: asking}}
spec:
  stages: [{{name: ask, run: "{__name__}:Asking", params: {params}}}]
"""
    (stage,) = resolve(expand(parse_campaign(text, source="test")))
    return stage


def test_a_param_of_pace_does_not_change_the_address() -> None:
    assert resolved("{in_flight: 1}").address == resolved("{in_flight: 64}").address


def test_any_other_param_does() -> None:
    assert resolved("{question: why}").address != resolved("{question: how}").address


def test_the_stage_is_given_its_pace() -> None:
    assert resolved("{in_flight: 64}").params == {"question": "why", "in_flight": 64}


def test_a_mistyped_pace_is_told() -> None:
    with pytest.raises(EntryPointError, match="in_fligth as its pace"):
        load(f"{__name__}:Mistaken")
