"""Is everything that is wrong with a campaign's fleets told, and never a secret with it?"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.spec.campaign import Fleet, FleetModel, campaign_schema
from jobs.spec.errors import CampaignError
from jobs.spec.loading import keys_at, parse_campaign

VALID = """\
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: fleets}
spec:
  fleets:
    - name: judge
      role: judge
      model: {stage: sft, where: {rows: 500}}
      engine: {max_num_seqs: 64, dtype: float32, override: {a: [1, true]}}
      maxReplicas: 2
      idleTimeout: 1m
    - name: teacher
      role: teacher
      model: org/large@main
      url: http://large:8000
      keyEnv: LARGE_KEY
  stages:
    - {name: world, run: "pkg:World"}
    - name: seed
      run: pkg:Seed
      inputs: {cases: world}
      fleets: {teacher: teacher}
    - {name: sft, run: "pkg:Sft", inputs: {data: seed}, sweep: {rows: [500, 1000]}}
    - name: judged
      run: pkg:Sample
      inputs: {cases: world}
      params: {}
      fleets: {model: judge}
"""
SECRET = "sk-very-secret"


def problems_of(*changes: tuple[str, str]) -> list[str]:
    text = VALID
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    with pytest.raises(CampaignError) as caught:
        parse_campaign(text, source="c.yaml")
    return [str(problem) for problem in caught.value.problems]


def fleet_with(**fields: Any) -> Fleet:
    return Fleet.model_validate({"name": "f", "role": "judge", "model": "m", **fields})


def test_a_campaign_with_fleets_is_read() -> None:
    judge, teacher = parse_campaign(VALID, source="c.yaml").spec.fleets
    assert judge.model == FleetModel(stage="sft", where={"rows": 500})
    assert (judge.min_replicas, judge.max_replicas) == (0, 2)
    assert (judge.idle_timeout_s, judge.start_deadline_s, judge.drain_deadline_s) == (60, 900, 300)
    assert judge.url is None
    assert (teacher.model, teacher.url) == (FleetModel(name="org/large@main"), "http://large:8000")


ENGINE = "max_num_seqs: 64"
PROBLEMS = [
    # calls
    (("model: judge}", "model: jugde}"), "c.yaml:28: spec.stages[3].fleets.model: unknown fleet"),
    (("model: judge}", "model: jugde}"), "did you mean 'judge'?"),
    (("model: judge}", "model: Judge}"), "'Judge' does not fit; write lower-case letters"),
    (("    - name: judge\n", "    - name: spare\n"), "no stage calls fleet 'spare'; write fleets"),
    (("{model: judge}", "[judge]"), "c.yaml:28: spec.stages[3].fleets: input should be a valid"),
    (("{model: judge}", "{model: judge, model: teacher}"), "fleets.model: duplicate key"),
    (("- name: teacher", "- name: judge"), "duplicate name 'judge'"),
    # the model
    (("stage: sft,", "stage: stf,"), "c.yaml:8: spec.fleets[0].model: unknown stage 'stf'; did"),
    (("{rows: 500}", "{row: 500}"), "c.yaml:8: spec.fleets[0].model.where.row: 'sft' has no axis"),
    (("{rows: 500}", "{rows: 7}"), "'sft' has no rows=7; it has 500, 1000"),
    (("stage: sft, ", ""), "a fleet's model is text, or {stage: NAME}"),
    (("{stage: sft, where: {rows: 500}}", "5"), "a model is a folder, a Hub id, models:/NAME@cha"),
    (("{stage: sft, where: {rows: 500}}", "''"), "at least 1 character"),
    (("{stage: sft, where: {rows: 500}}", "'${m}'"), "serves one model and takes no ${axis}"),
    (("{stage: sft, where: {rows: 500}}", "models:/r-prm"), "is written models:/NAME@champion"),
    (("{stage: sft, where: {rows: 500}}", "models:/r-prm/3"), "is written models:/NAME@champion"),
    # a fleet of a model that is made from what it serves
    (("stage: sft, where: {rows: 500}", "stage: judged"), "wait for each other: judged → judged"),
    # the stage names its model too, and means another one
    (("params: {}", "params: {model: org/other}"), "c.yaml:27: spec.stages[3].params.model: model"),
    (("{cases: world}\n      params", "{cases: world, model: sft}\n      params"), "inputs.model"),
    (("{cases: world}\n      params",
      "{cases: world, model: {gather: [{stage: sft, where: {rows: 500}}]}}\n      params"),
     "take it out: what the stage reads as 'model' is the fleet's model"),
    (("params: {}", "sweep: {model: [a, b]}"), "stages[3].sweep.model: model is not the model"),
    (("fleets: {teacher: teacher}", "fleets: {teacher: teacher}\n      params: {teacher: '${x}'}"),
     "teacher is not the model that fleet 'teacher' serves"),
    # nobody names a model
    (("      model: org/large@main\n", ""), "c.yaml:21: spec.stages[1].fleets.teacher: fleet"),
    (("      model: org/large@main\n", ""), "write inputs.teacher or params.teacher, or the"),
    # vLLM's arguments
    ((ENGINE, "max-num-seqs: 64"), "c.yaml:9: spec.fleets[0].engine.max-num-seqs: arguments of"),
    ((ENGINE, "max-num-seqs: 64"), "write 'max_num_seqs'"),
    ((ENGINE, "maxNumSeqs: 64"), "write 'max_num_seqs'"),
    ((ENGINE, "--max-num-seqs: 64"), "write 'max_num_seqs'"),
    ((ENGINE, "model: x"), "model is not a fleet's to say; write it as the fleet's model"),
    ((ENGINE, "revision: x"), "write the fleet's model as org/name@revision"),
    ((ENGINE, "port: 8000"), "port is not a fleet's to say; replicas are told where to listen"),
    ((ENGINE, "ssl_keyfile: x"), "clients and replicas talk plain http"),
    ((ENGINE, "load_format: pt"), "load_format is not a fleet's to say; leave it out"),
    ((ENGINE, "dtype2: null"), "an argument is text, a number, true, false, or a list or mapping"),
    ((ENGINE, "deep: {a: [null]}"), "spec.fleets[0].engine.deep: an argument is text, a number"),
    # sizes and times
    (("maxReplicas: 2", "maxReplicas: 2\n      minReplicas: 3"), "c.yaml:11: spec.fleets[0].min"),
    (("maxReplicas: 2", "maxReplicas: 0"), "greater than or equal to 1"),
    (("idleTimeout: 1m", "idleTimeout: 60"), "a duration needs a unit, such as '60s'"),
    (("idleTimeout: 1m", "startDeadlin: 1m"), "did you mean 'startDeadline'?"),
    (("role: judge", "role: juge"), "did you mean 'judge'?"),
    # what answers at a url is not started here
    (("url: http", "engine: {seed: 1}\n      url: http"), "engine belongs to fleets that are"),
    (("url: http", "resources: {gpus: 1}\n      url: http"), "remove it, or the url"),
    (("url: http", "drainDeadline: 1m\n      url: http"), "spec.fleets[1].drainDeadline: drain"),
    (("      url: http://large:8000\n", ""), "keyEnv belongs to fleets with a url"),
    (("http://large:8000", "large:8000"), "names no servers; write http://host:port"),
    (("http://large:8000", "ftp://large"), "names no servers"),
    (("http://large:8000", "dns://large"), "names no servers"),  # which port?
    (("http://large:8000", "file://large/x.json"), "names no servers"),  # another machine's
    (("http://large:8000", "'http://a:1,dns://b:2'"), "names no servers"),
    (("http://large:8000", "'http://a:1?x=1'"), "names no servers"),
    (("http://large:8000", "'http://a:123456'"), "names no servers"),
    (("http://large:8000", "8000"), "an address is text"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "part"), PROBLEMS, ids=[f"{c[1][:50]}" for c, _ in PROBLEMS])
def test_what_is_wrong_with_fleets_is_told(change: tuple[str, str], part: str) -> None:
    found = problems_of(change)
    assert any(part in problem for problem in found), found
    assert len(found) <= 2, "one slip must not be told many times"


@pytest.mark.parametrize(
    "change",
    [
        ("LARGE_KEY", SECRET),
        ("LARGE_KEY", f"[{SECRET}]"),
        ("http://large", f"http://me:{SECRET}@large"),
        ("http://large", f"me:{SECRET}@large"),
        (ENGINE, f"api_key: {SECRET}"),
        (ENGINE, f"hf_token: {SECRET}"),
        ("keyEnv: LARGE_KEY", f"key: {SECRET}"),
    ],
)
def test_a_secret_is_not_repeated(change: tuple[str, str]) -> None:
    found = problems_of(change)
    assert found
    assert not [problem for problem in found if SECRET in problem]


def test_problems_of_fleets_and_of_their_callers_are_told_together() -> None:
    found = problems_of(
        (ENGINE, "port: 1"),
        ("maxReplicas: 2", "maxReplicas: 2\n      minReplicas: 3"),
        ("keyEnv: LARGE_KEY", "keyEnv: large"),
        ("{teacher: teacher}", "{teacher: teecher}"),
    )
    lines = [problem.split(":")[1] for problem in found]
    assert lines == ["9", "11", "13", "17", "23"]  # 13: then nobody calls the teacher


@pytest.mark.parametrize(
    "change",
    [
        ("    - name: judge\n", "    - name: Judge\n"),  # calls of judge are not unknown
        ("    - name: judge\n", "    - nam: judge\n"),
        ("  fleets:\n    - name", "  fleets:\n    - 5\n    - name"),
        ("{stage: sft, where: {rows: 500}}", "{stag: sft}"),  # which model it is, is not known
        ("run: pkg:Sample\n      inputs: {cases: world}", "run: pkg:Sample\n      inputs: [world]"),
    ],
)
def test_one_slip_does_not_raise_false_alarms(change: tuple[str, str]) -> None:
    found = problems_of(change)
    assert len(found) <= 2, found
    assert not [one for one in found if "fleet '" in one], found


@pytest.mark.parametrize(
    "model",
    [
        "inputs: {cases: world, model: {stage: sft, where: {rows: 500}}}",
        "inputs: {cases: world, model: {stage: sft, where: {rows: 5e2}}}",  # the same number
        "inputs: {cases: world}\n      params: {model: null}",  # names none
    ],
)
def test_a_stage_may_name_the_model_of_its_fleet_itself(model: str) -> None:
    text = VALID.replace("inputs: {cases: world}\n      params: {}", model)
    assert parse_campaign(text, source="c.yaml")


@pytest.mark.parametrize(
    "model",
    [
        "inputs: {cases: world, model: sft}",
        "inputs: {cases: world}\n      params: {model: org/name}",
        "inputs: {cases: world}\n      sweep: {model: [org/one, org/two]}",
    ],
)
def test_a_fleet_without_a_model_leaves_it_to_its_callers(model: str) -> None:
    text = VALID.replace("      model: {stage: sft, where: {rows: 500}}\n", "")
    text = text.replace("inputs: {cases: world}\n      params: {}", model)
    assert parse_campaign(text, source="c.yaml").spec.fleets[0].model is None


URLS = [
    "http://a:8000",
    "https://api.example.com/v1",
    "http://a:1, http://b:2",
    "dns://judge:8000",
    "file:///run/endpoints.json",
]


@pytest.mark.parametrize("url", URLS)
def test_servers_can_be_named_in_many_ways(url: str) -> None:
    assert fleet_with(url=url).url == url


@given(st.text() | st.sampled_from(URLS).flatmap(lambda url: st.text().map(url.__add__)))
def test_no_address_with_a_user_gets_through(tail: str) -> None:
    try:
        fleet = fleet_with(url=tail)
    except ValueError:
        return
    assert "@" not in (fleet.url or "").partition("://")[2].partition("/")[0]


@given(st.text(min_size=1))
def test_an_argument_gets_through_only_as_a_plain_word(name: str) -> None:
    try:
        fleet_with(engine={name: 1})
    except ValueError:
        return
    assert name.isascii()
    assert name.replace("_", "a").isalnum()
    assert name == name.lower()


def test_the_schema_knows_fleets() -> None:
    properties = campaign_schema()["properties"]["spec"]["properties"]
    fleet = properties["fleets"]["items"]
    assert list(fleet["properties"]) == keys_at(("spec", "fleets"))
    assert fleet["required"] == ["name", "role"]
    assert "type" not in fleet["properties"]["model"]  # text, or a stage
    assert fleet["properties"]["idleTimeout"]["type"] == "string"
    assert fleet["properties"]["engine"]["x-kubernetes-preserve-unknown-fields"] is True
    calls = properties["stages"]["items"]["properties"]["fleets"]
    assert calls["type"] == "object"
