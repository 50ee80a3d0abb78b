"""Is every problem of a campaign file told at once, with its line and what to write instead?"""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.spec.campaign import Campaign, campaign_schema
from jobs.spec.errors import CampaignError, ConfigError, EntryPointError, JobsError, Problem
from jobs.spec.loading import keys_at, load_campaign, parse_campaign

VALID = """\
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: quickstart}
spec:
  defaults: {resources: {cpus: 2}, timeout: 1h}
  stages:
    - {name: world, run: "pkg.stages:World", params: {rate: 1e-5}}
    - name: seed
      run: pkg.stages:Seed
      kind: map
      inputs: {cases: world}
      shards: 8
    - {name: sft, run: "pkg.stages:Sft", inputs: {x: seed}, sweep: {rows: [500, 1000], seed: [1]}}
    - name: bench
      run: pkg.stages:Bench
      kind: map
      inputs: {cases: world, model: {stage: sft, where: {rows: 1000}}}
      params: {nested: [{seed: "${seed}"}]}
    - name: report
      run: pkg.stages:Report
      kind: single
      inputs: {runs: {gather: [bench, dpo]}, last: dpo}
  rounds:
    - name: rounds
      count: 2
      carry: {model: {start: {stage: sft, where: {rows: 500, seed: 1}}, next: dpo}}
      stages:
        - {name: sample, run: "pkg:Sample", inputs: {cases: world, model: {carry: model}}}
        - {name: dpo, run: "pkg:Dpo", inputs: {pairs: sample}, params: {round: "${round}"}}
"""


def problems_of(*changes: tuple[str, str]) -> list[str]:
    text = VALID
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    with pytest.raises(CampaignError) as caught:
        parse_campaign(text, source="c.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_a_valid_campaign_is_read() -> None:
    campaign = parse_campaign(VALID, source="c.yaml")
    assert campaign.name == campaign.experiment == "quickstart"
    assert campaign.spec.stages[0].params == {"rate": 1e-5}
    assert campaign.spec.defaults.timeout_s == 3600.0
    assert campaign.spec.store.url == ".rprm/store"
    assert campaign.source == "c.yaml"
    assert campaign.spec.tracking.is_on


SHAPE = [
    # a misspelt key names its neighbour
    (("shards: 8", "shrads: 8"), "c.yaml:12: spec.stages[1].shrads: unknown key; did you mean"),
    # a Python-style key is the YAML one
    (("shards: 8", "rows_per_shard: 8"), "did you mean 'rowsPerShard'?"),
    (("name: seed", "nam: seed"), "c.yaml:8: spec.stages[1].name: required"),
    (("shards: 8", "shards: '8'"), "c.yaml:12: spec.stages[1].shards: input should be a valid in"),
    (("shards: 8", "shards: true"), "spec.stages[1].shards: input should be a valid integer"),
    (("shards: 8", "shards: 0"), "greater than or equal to 1, not '0'"),
    (("timeout: 1h", "timeout: 30"), "c.yaml:5: spec.defaults.timeout: a duration needs a unit, s"),
    (("cpus: 2", "memory: 2"), "memory needs a unit, such as '2Mi' or '2Gi'"),
    (("kind: single", "kind: singel"), "did you mean 'single'?"),
    (("kind: Campaign", "kind: Campain"), "c.yaml:2: kind: input should be 'Campaign', not 'Campa"),
    (("v1alpha1", "v1"), "apiVersion: input should be 'rprm.dev/v1alpha1'"),
    (("name: quickstart", "name: Quick_Start"), "'Quick_Start' does not fit; write lower-case"),
    (("pkg.stages:Seed", "pkg.stages.Seed"), "write module:Class"),
    (("rows: [500, 1000]", "rows: 500"), "spec.stages[2].sweep.rows: input should be a valid tup"),
    (("rows: [500, 1000]", "rows: []"), "at least 1 item"),
    (("rows: [500, 1000]", "rows: [[1]]"), "a coordinate is text, a number, true or false"),
    (("rows: [500, 1000]", "'a b': [1]"), "write a param's name"),
    (("{gather: [bench, dpo]}", "{gather: [bench], stage: dpo}"), "exactly one of stage, gather"),
    (("{gather: [bench, dpo]}", "{}"), "exactly one of stage, gather"),
    (("{gather: [bench, dpo]}", "{gather: [bench], where: {seed: 1}}"), "put it beside that stage"),
    (("{cases: world}", "[world]"), "spec.stages[1].inputs: input should be a valid dictionary"),
    (
        ("defaults:", "store: {options: {secret_key: x}}\n  defaults:"),
        "from the environment",
    ),
    (("count: 2", "count: 101"), "less than or equal to 100"),
]


@pytest.mark.parametrize(("change", "part"), SHAPE, ids=[change[1] for change, _ in SHAPE])
def test_a_wrong_shape_is_told(change: tuple[str, str], part: str) -> None:
    assert any(part in problem for problem in problems_of(change)), problems_of(change)


GRAPH = [
    (("last: dpo", "last: dpp"), "c.yaml:22: spec.stages[4].inputs.last: unknown stage 'dpp'; "),
    (("last: dpo", "last: dpo@3"), "'dpo' has no round '3'; it has 1 to 2"),
    (("last: dpo", "last: bench@1"), "stage 'bench' is not in rounds; write 'bench'"),
    (("[bench, dpo]", "[bench, dpp]"), "spec.stages[4].inputs.runs.gather[1]: unknown stage 'dpp'"),
    # the cycle is spelled out in the order in which data would flow
    (("{cases: world}", "{cases: bench}"), "wait for each other: seed → sft → bench → seed"),
    (("{cases: world}", "{cases: seed}"), "wait for each other: seed → seed"),
    (("name: bench", "name: seed"), "c.yaml:14: spec.stages[3].name: duplicate stage name 'seed'"),
    (("name: sample", "name: seed"), "duplicate stage name 'seed', first used on line 8"),
    (("where: {rows: 1000}", "where: {row: 1000}"), "'sft' has no axis 'row'; its axes: rows, see"),
    (("where: {rows: 1000}", "where: {rows: 7}"), "'sft' has no rows=7; it has 500, 1000"),
    (("where: {rows: 1000}", "where: {rows: '1000'}"), "'sft' has no rows=\"1000\"; it has 500, 1"),
    (("rows: [500, 1000]", "rows: [500, 1000, 5e2]"), "axis 'rows' lists a value twice"),
    (("seed: [1]", "round: [1]"), "the axis 'round' counts rounds"),
    (("${seed}", "${sed}"), "spec.stages[3].params.nested[0].seed: unknown axis 'sed'; axes"),
    (("${seed}", "run-${seed}"), "must be the whole value"),
    (("${seed}", "${seed"), "must be the whole value"),
    (("${seed}", "${round}"), "unknown axis 'round'"),  # outside of the rounds
    (("{carry: model}", "{carry: modle}"), "unknown carry 'modle'; did you mean 'model'?"),
    (("{cases: world}", "{cases: {carry: model}}"), "carry is known inside of spec.rounds only"),
    (("next: dpo", "next: seed"), "c.yaml:26: spec.rounds[0].carry.model.next: next is 'seed'"),
    (("start: {stage: sft,", "start: {stage: dpo,"), "start is 'dpo', which these rounds make"),
    (("shards: 8", "shards: 8\n      rowsPerShard: 2"), "exclude each other; keep one"),
    (("kind: single", "kind: single\n      shards: 2"), "shards belongs to map stages"),
    (("kind: single", "kind: single\n      resources: {nodes: 2}"), "nodes belongs to gang stages"),
    (("shards: 8", "over: casse"), "over names 'casse', which is no input of this stage; did you"),
    (("kind: single", "over: runs"), "over names 'runs', which is a gathered list"),
    (("model: {stage: sft, where: {rows: 1000}}", "model: sft, other: {stage: sft, where: {seed: 1}"
      "}, third: {gather: [sftt]}"), "unknown stage 'sftt'; did you mean 'sft'?"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "part"), GRAPH, ids=[change[1][:40] for change, _ in GRAPH])
def test_stages_that_do_not_fit_together_are_told(change: tuple[str, str], part: str) -> None:
    found = problems_of(change)
    assert any(part in problem for problem in found), found
    assert len(found) <= 3, "one slip must not be told many times"


def test_inputs_that_disagree_on_an_axis_are_told() -> None:
    found = problems_of(
        ("{cases: world}", "{cases: world}\n      sweep: {seed: [1, 2]}"),
        ("model: {stage: sft, where: {rows: 1000}}", "model: seed, other: sft"),
        ("{x: seed}", "{x: world}"),
    )
    assert any("inputs disagree on axis 'seed': 'sft' has 1, not 1, 2" in one for one in found)


def test_shape_and_graph_problems_are_told_together_in_order_of_lines() -> None:
    found = problems_of(
        ("timeout: 1h", "timeout: 30"),
        ("shards: 8", "shrads: 8"),
        ("last: dpo", "last: dpp"),
        ("${seed}", "${sed}"),
        ("name: rounds", "name: rounds\n      extra: 1"),
    )
    assert [one.split(":")[1] for one in found] == ["5", "12", "18", "22", "25"]


@pytest.mark.parametrize(
    "change",
    [
        ("name: seed", "name: Seed"),  # references to seed are not unknown stages
        ("name: seed", "nme: seed"),
        ("rows: [500, 1000]", "rows: 500"),  # ${…} and where cannot be judged
        ("inputs: {cases: world}", "inputs: {cases: [world]}"),
        ("count: 2", "count: two"),
    ],
)
def test_one_slip_does_not_raise_false_alarms(change: tuple[str, str]) -> None:
    assert len(problems_of(change)) <= 2
    assert not [one for one in problems_of(change) if "unknown stage" in one or "axis" in one]


def test_a_campaign_without_stages_is_refused() -> None:
    text = "apiVersion: rprm.dev/v1alpha1\nkind: Campaign\nmetadata: {name: x}\nspec: {}\n"
    with pytest.raises(CampaignError, match="no stages"):
        parse_campaign(text, source="c.yaml")


@pytest.mark.parametrize("text", ["- 1", "5", "'text'", "null"])
def test_what_is_no_mapping_is_refused(text: str) -> None:
    with pytest.raises(CampaignError, match="a campaign is a mapping"):
        parse_campaign(text, source="c.yaml")


def test_thousands_of_problems_are_cut_short() -> None:
    text = VALID + "\n".join(f"key{i}: 1" for i in range(5000))
    with pytest.raises(CampaignError) as caught:
        parse_campaign(text, source="c.yaml")
    assert len(caught.value.problems) == 101
    assert "and 4900 more problems" in str(caught.value)


def test_huge_rounds_are_refused_without_being_expanded() -> None:
    stages = "\n".join(f"        - {{name: s{i}, run: 'a:B'}}" for i in range(900))
    text = VALID.split("  rounds:")[0].replace(", dpo]", "]").replace(", last: dpo", "")
    text += f"  rounds:\n    - name: r\n      count: 100\n      stages:\n{stages}\n"
    with pytest.raises(CampaignError, match="expand to 90000 stages"):
        parse_campaign(text, source="c.yaml")


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="cannot be read: No such file"):
        load_campaign(tmp_path / "missing.yaml")
    with pytest.raises(CampaignError, match="cannot be read: Is a directory"):
        load_campaign(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes(b"a: 1\nb: \xe9\n")
    with pytest.raises(CampaignError, match=r"latin\.yaml:2: not UTF-8 text"):
        load_campaign(latin)


def test_a_file_is_read_like_its_text(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(VALID)
    assert load_campaign(file).spec == parse_campaign(VALID, source="other").spec


def test_configuration_errors_exit_with_64() -> None:
    assert issubclass(CampaignError, ConfigError)
    assert {kind.exit_code for kind in (ConfigError, CampaignError, EntryPointError)} == {64}
    assert JobsError.exit_code == 1


def test_a_problem_reads_like_a_compiler_message() -> None:
    problem = Problem("c.yaml", 3, "spec.stages[0].run", "required", "write it")
    assert str(problem) == "c.yaml:3: spec.stages[0].run: required; write it"
    assert str(Problem("c.yaml", 0, "", "gone")) == "c.yaml: gone"


def test_keys_are_known_everywhere_in_the_document() -> None:
    assert "rowsPerShard" in keys_at(("spec", "stages", 0))
    assert keys_at(("spec", "rounds", 0, "stages", 1, "inputs", "x", "gather", 0)) == [
        "stage",
        "where",
    ]
    assert keys_at(("spec", "rounds", 0, "carry", "model")) == ["start", "next"]
    assert keys_at(("nonsense", 1, "deeper")) == []


def walk(schema: object) -> list[dict[str, object]]:
    if isinstance(schema, list):
        return [node for inner in schema for node in walk(inner)]
    if not isinstance(schema, dict):
        return []
    return [schema, *(node for inner in schema.values() for node in walk(inner))]


def test_the_schema_is_structural() -> None:
    schema = campaign_schema()
    forbidden = {"$ref", "$defs", "anyOf", "oneOf", "const", "default", "title", "propertyNames"}
    for node in walk(schema):
        assert not forbidden & node.keys()
        assert not {"properties", "additionalProperties"} <= node.keys()
    assert schema["required"] == ["apiVersion", "kind", "metadata", "spec"]
    stage = schema["properties"]["spec"]["properties"]["stages"]["items"]
    assert stage["required"] == ["name", "run"]
    assert stage["properties"]["params"]["x-kubernetes-preserve-unknown-fields"] is True
    assert stage["properties"]["timeout"]["type"] == "string"


def test_the_schema_names_every_key_of_the_document() -> None:
    spec = campaign_schema()["properties"]["spec"]
    assert list(spec["properties"]) == keys_at(("spec",))
    assert list(spec["properties"]["stages"]["items"]["properties"]) == keys_at(("spec", "stages"))


def test_a_campaign_cannot_be_changed() -> None:
    campaign: Campaign = parse_campaign(VALID, source="c.yaml")
    with pytest.raises(ValueError, match="frozen"):
        campaign.spec.stages[0].name = "other"  # type: ignore[misc]
