"""Does the address of an artifact hold what decides its content, and nothing else?"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from jobs.plan.graph import expand
from jobs.runtime.entrypoints import load
from jobs.runtime.resolving import (
    ArtifactModel,
    NamedModel,
    Resolved,
    fleet_instances,
    no_champion,
    resolve,
)
from jobs.spec.errors import ConfigError, EntryPointError
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


class Judging:
    """A stage whose model a fleet may run."""

    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"
    served_roles: ClassVar[tuple[str, ...]] = ("model",)

    class Params(BaseModel):
        model: str | None = None
        rows: int = 0

    def __init__(self, params: Params) -> None:
        self.params = params

    def digests(self) -> dict[str, str]:
        return {} if self.params.model is None else {"model": self.params.model}

    def run(self, io: Any, rows: Any) -> None:
        raise NotImplementedError


CHAMPIONS = {
    "r-prm": "file:///a/store/artifacts/dpo-0123456789abcdef/checkpoints/0000000200",
    "odd": "file:///a/models/mine",
}
CHAMPION = "artifacts/dpo-0123456789abcdef/checkpoints/0000000200"

ROUNDS = """
  rounds:
    - name: rounds
      count: 2
      stages:
        - {name: dpo, run: "MODULE:Judging", params: {rows: "${round}"}}
        - {name: judged-dpo, run: "MODULE:Judging", params: {rows: "${round}"},
           fleets: {model: judge}}
"""


def judged(
    model: str,
    *,
    fleet: str = "",
    run: str = "Judging",
    calls: str = "fleets: {model: judge}",
    rounds: bool = False,
) -> dict[str, Resolved]:
    text = f"""
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {{name: judging}}
spec:
  fleets: [{{name: judge, role: judge, model: {model}, {fleet}}}]
  stages:
    - {{name: sft, run: "MODULE:Judging", sweep: {{rows: [1, 2]}}}}
    - {{name: judged, run: "MODULE:{run}", {calls}}}
{ROUNDS if rounds else ""}
"""
    graph = expand(parse_campaign(text.replace("MODULE", __name__), source="test"))
    return {one.node.name: one for one in resolve(graph, champion=CHAMPIONS.get)}


PINNED = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: pinned}
spec:
  stages:
    - {name: world, run: "rprm.stages.world:World", params: {solutions: 6, split: train, seed: 1}}
    - name: seed
      run: rprm.stages.seed:Seed
      inputs: {solutions: world}
      params: {teacher: org/teacher, template: chain}
    - {name: judged, run: "rprm.stages.sample:Sample", inputs: {solutions: world, model: world}}
    - name: searched
      run: rprm.stages.search:Search
      inputs: {problems: world}
      params: {model: org/policy, judge: org/judge@v1, engine: {url: "http://policy:8000"}}
"""


def test_addresses_without_fleets_are_what_they_were_before_there_were_any() -> None:
    """Should one change, artifacts of every store are orphaned: say so in the changelog."""
    stages = resolve(expand(parse_campaign(PINNED, source="test")))
    assert [stage.address for stage in stages] == [
        "world-6b3bf4262920b1e5",
        "seed-4025d7c24b47f40d",
        "judged-055446405f0237ed",
        "searched-bc482d09520ff272",
    ]
    assert not any(stage.fleets for stage in stages)


def test_a_served_model_is_a_param_and_its_servers_a_digest() -> None:
    stage = judged("org/name")["judged"]
    assert stage.params["model"] == "org/name"
    assert stage.digests["model"] == "org/name"
    assert stage.digests.keys() == {"model", "fleet.model"}
    assert stage.fleets["model"].model == NamedModel(name="org/name")
    assert stage.fleets["model"].instance == stage.fleets["model"].fleet.name == "judge"


@pytest.mark.parametrize(
    ("fleet", "is_same"),
    [
        ("maxReplicas: 8", True),
        ("engine: {max_num_seqs: 8}", True),
        ("engine: {dtype: float32}", False),
        ("url: 'http://judge:8000'", False),
        ("url: 'http://judge:8000', keyEnv: A_KEY", False),
    ],
)
def test_an_address_depends_on_how_servers_answer_alone(fleet: str, is_same: bool) -> None:
    one, other = (judged("org/name", fleet=text)["judged"] for text in ("maxReplicas: 1", fleet))
    assert (one.address == other.address) is is_same


def test_a_key_is_no_part_of_an_address() -> None:
    at = "url: 'http://judge:8000'"
    one, other = (judged("m", fleet=text)["judged"] for text in (at, f"{at}, keyEnv: A_KEY"))
    assert one.address == other.address


def test_every_instance_of_a_swept_model_has_a_fleet_of_its_own() -> None:
    stages = judged("{stage: sft}")
    instances = fleet_instances(list(stages.values()))
    assert list(instances) == ["judge[rows=1]", "judge[rows=2]"]
    for rows, served in zip((1, 2), instances.values(), strict=True):
        sft = stages[f"sft[rows={rows}]"]
        assert served.model == ArtifactModel(address=sft.address, node=sft.node.name)
        assert stages[f"judged[rows={rows}]"].fleets["model"] == served


def test_a_fleet_without_a_model_serves_each_of_its_callers_models() -> None:
    calls = "fleets: {model: judge}, inputs: {model: sft}"
    instances = fleet_instances(list(judged("null", calls=calls).values()))
    assert list(instances) == ["judge:sft[rows=1]", "judge:sft[rows=2]"]
    calls = "fleets: {model: judge}, params: {model: 'models:/r-prm@champion'}"
    instances = fleet_instances(list(judged("null", calls=calls).values()))
    assert {name: one.model for name, one in instances.items()} == {
        f"judge:{CHAMPION}": NamedModel(name=CHAMPION)
    }


def test_in_rounds_every_round_has_a_fleet_of_its_own() -> None:
    stages = judged("dpo", rounds=True)
    assert list(fleet_instances(list(stages.values()))) == ["judge"]  # a text names one model
    stages = judged("{stage: dpo}", rounds=True)
    assert list(fleet_instances(list(stages.values()))) == ["judge@1", "judge@2"]
    assert stages["judged"].fleets["model"].instance == "judge@2"


def test_a_fleet_has_one_instance_however_many_call_it() -> None:
    stages = judged("{stage: dpo, where: {round: 1}}", rounds=True)
    assert list(fleet_instances(list(stages.values()))) == ["judge@1"]


def test_a_champion_is_pinned_to_its_checkpoint() -> None:
    stage = judged("models:/r-prm@champion")["judged"]
    assert stage.params["model"] == stage.digests["model"] == CHAMPION
    assert stage.fleets["model"].model == NamedModel(name=CHAMPION)
    assert stage.address == judged(CHAMPION)["judged"].address


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nobody", "no champion of 'nobody'.*Fix: run a campaign with a promote stage"),
        ("odd", "file:///a/models/mine, which is no checkpoint"),
    ],
)
def test_a_champion_that_is_not_there_is_told(name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        judged(f"models:/{name}@champion")
    assert no_champion("r-prm") is None


@pytest.mark.parametrize(
    ("run", "role", "told"),
    [
        ("Judging", "modle", "no model of that role .*it has model. Fix: did you mean 'model'?"),
        ("Asking", "model", "no model of that role .*it has none. Fix: remove fleets.model"),
    ],
)
def test_a_stage_that_could_not_call_its_fleet_is_told(run: str, role: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        judged("{stage: sft}", run=run, calls=f"fleets: {{{role}: judge}}")
