"""Does a campaign expand to the nodes a person expects, in an order that can run?"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.plan.graph import Graph, Node, expand
from jobs.spec.errors import CampaignError
from jobs.spec.loading import parse_campaign


def graph_of(
    *stages: dict[str, Any], rounds: list[dict[str, Any]] | None = None, **spec: Any
) -> Graph:
    body = {
        "apiVersion": "rprm.dev/v1alpha1",
        "kind": "Campaign",
        "metadata": {"name": "test"},
        "spec": {"stages": [_run(stage) for stage in stages], **spec},
    }
    if rounds:
        blocks = [{**b, "stages": [_run(stage) for stage in b["stages"]]} for b in rounds]
        body["spec"]["rounds"] = blocks
    return expand(parse_campaign(json.dumps(body), source="test"))


def _run(stage: dict[str, Any]) -> dict[str, Any]:
    return {"run": "pkg:Stage", **stage}


def names(graph: Graph) -> list[str]:
    return [node.name for node in graph.nodes]


SFT = {"name": "sft", "sweep": {"rows": [500, 1000], "seed": [1, 2]}}


def test_a_sweep_expands_to_every_combination_in_order() -> None:
    graph = graph_of(SFT)
    assert names(graph) == [
        "sft[rows=500,seed=1]",
        "sft[rows=500,seed=2]",
        "sft[rows=1000,seed=1]",
        "sft[rows=1000,seed=2]",
    ]
    assert graph.nodes[2].coordinates == {"rows": 1000, "seed": 1}
    assert graph.nodes[2].own_axes == ("rows", "seed")


def test_axes_travel_to_everything_downstream() -> None:
    graph = graph_of(
        SFT,
        {"name": "bench", "inputs": {"model": "sft"}, "params": {"again": ["${seed}"]}},
        {"name": "table", "inputs": {"bench": "bench"}},
    )
    bench = graph.node("bench[rows=500,seed=2]")
    assert bench.inputs == {"model": ("sft[rows=500,seed=2]",)}
    assert bench.own_axes == ()
    assert bench.params == {"again": [2]}
    assert graph.node("table[rows=1000,seed=1]").inputs["bench"] == ("bench[rows=1000,seed=1]",)


def test_where_pins_an_axis_and_takes_it_away() -> None:
    graph = graph_of(
        SFT, {"name": "dpo", "inputs": {"m": {"stage": "sft", "where": {"rows": 500}}}}
    )
    assert names(graph)[4:] == ["dpo[seed=1]", "dpo[seed=2]"]
    assert graph.nodes[5].inputs == {"m": ("sft[rows=500,seed=2]",)}


def test_own_sweep_chooses_among_the_values_of_an_input() -> None:
    graph = graph_of(SFT, {"name": "dpo", "inputs": {"m": "sft"}, "sweep": {"rows": [1000]}})
    assert names(graph)[4:] == ["dpo[rows=1000,seed=1]", "dpo[rows=1000,seed=2]"]


def test_inputs_meet_on_shared_axes_and_multiply_on_others() -> None:
    graph = graph_of(
        {"name": "a", "sweep": {"seed": [1, 2]}},
        {"name": "b", "sweep": {"lr": [0.1, 0.2]}, "inputs": {"a": "a"}},
        {"name": "c", "inputs": {"a": "a", "b": "b"}},
    )
    assert names(graph)[-4:] == [
        "c[seed=1,lr=0.1]",
        "c[seed=1,lr=0.2]",
        "c[seed=2,lr=0.1]",
        "c[seed=2,lr=0.2]",
    ]
    assert graph.nodes[-1].inputs == {"a": ("a[seed=2]",), "b": ("b[seed=2,lr=0.2]",)}


def test_a_gathered_input_lists_everything_and_adds_no_axes() -> None:
    graph = graph_of(
        SFT,
        {"name": "one"},
        {"name": "report", "inputs": {"runs": {"gather": ["one", "sft"]}}},
        {"name": "part", "inputs": {"runs": {"gather": [{"stage": "sft", "where": {"seed": 2}}]}}},
    )
    assert graph.node("report").inputs["runs"] == ("one", *names(graph)[:4])
    assert graph.node("report").gathered == {"runs"}
    assert graph.node("report").over is None
    assert graph.node("part").inputs["runs"] == ("sft[rows=500,seed=2]", "sft[rows=1000,seed=2]")


ROUNDS = [
    {
        "name": "rounds",
        "count": 2,
        "carry": {"model": {"start": {"stage": "sft", "where": {"rows": 500}}, "next": "dpo"}},
        "stages": [
            {"name": "sample", "inputs": {"model": {"carry": "model"}}},
            {"name": "dpo", "inputs": {"x": "sample"}, "params": {"number": "${round}"}},
        ],
    }
]


def test_rounds_hand_their_result_to_the_next_round() -> None:
    graph = graph_of(SFT, {"name": "bench", "inputs": {"model": "dpo"}}, rounds=ROUNDS)
    assert names(graph)[4:] == [
        "sample@1[seed=1]",
        "sample@1[seed=2]",
        "dpo@1[seed=1]",
        "dpo@1[seed=2]",
        "sample@2[seed=1]",
        "sample@2[seed=2]",
        "dpo@2[seed=1]",
        "dpo@2[seed=2]",
        "bench[seed=1]",
        "bench[seed=2]",
    ]
    assert graph.node("sample@1[seed=2]").inputs["model"] == ("sft[rows=500,seed=2]",)
    assert graph.node("sample@2[seed=2]").inputs["model"] == ("dpo@1[seed=2]",)
    assert graph.node("bench[seed=1]").inputs["model"] == ("dpo@2[seed=1]",)  # the last round


def test_a_round_is_a_coordinate_but_no_axis() -> None:
    graph = graph_of(
        SFT,
        {"name": "both", "inputs": {"old": "dpo@1", "new": "dpo"}},
        {"name": "first", "inputs": {"x": {"stage": "dpo", "where": {"round": 1, "seed": 1}}}},
        {"name": "all", "inputs": {"runs": {"gather": ["dpo"]}}},
        rounds=ROUNDS,
    )
    dpo = graph.node("dpo@2[seed=1]")
    assert (dpo.stage, dpo.params, dpo.coordinates) == (
        "dpo",
        {"number": 2},
        {"seed": 1, "round": 2},
    )
    assert graph.node("both[seed=1]").inputs == {"old": ("dpo@1[seed=1]",), "new": (dpo.name,)}
    assert graph.node("first").inputs == {"x": ("dpo@1[seed=1]",)}
    assert len(graph.node("all").inputs["runs"]) == 4


def test_a_sweep_inside_of_rounds_follows_its_own_branch() -> None:
    block = {**ROUNDS[0], "carry": {"model": {"start": "base", "next": "dpo"}}}
    block["stages"] = [
        {"name": "sample", "inputs": {"model": {"carry": "model"}}},
        {"name": "dpo", "inputs": {"x": "sample"}, "sweep": {"beta": [0.1, 0.2]}},
    ]
    graph = graph_of({"name": "base"}, rounds=[block])
    assert graph.node("dpo@2[beta=0.2]").inputs == {"x": ("sample@2[beta=0.2]",)}
    assert graph.node("sample@2[beta=0.2]").inputs == {"model": ("dpo@1[beta=0.2]",)}


def test_stages_run_in_order_however_they_are_declared() -> None:
    graph = graph_of(
        {"name": "last", "inputs": {"x": "middle"}},
        {"name": "other"},
        {"name": "middle", "inputs": {"x": "first"}},
        {"name": "first"},
    )
    assert names(graph) == ["other", "first", "middle", "last"]


def test_the_first_plain_input_is_sharded() -> None:
    graph = graph_of(
        {"name": "a"},
        {"name": "b", "inputs": {"all": {"gather": ["a"]}, "rows": "a", "more": "a"}},
        {"name": "c", "inputs": {"rows": "a", "more": "a"}, "over": "more", "rowsPerShard": 7},
        {"name": "d", "inputs": {"rows": "a"}, "kind": "single"},
    )
    assert [node.over for node in graph.nodes] == [None, "rows", "more", None]
    assert graph.node("b").of_kind("single").over is None
    assert graph.node("b").of_kind("map").over == "rows"
    assert graph.node("c").rows_per_shard == 7


def test_defaults_hold_where_a_stage_says_nothing() -> None:
    graph = graph_of(
        {"name": "a"},
        {"name": "b", "resources": {"gpus": 1}, "retries": {"failed": 0}, "errorBudget": 0.0},
        defaults={
            "resources": {"cpus": 4, "memory": "8Gi"},
            "retries": {"failed": 9, "backoff": "2s"},
            "errorBudget": 0.25,
            "timeout": "10m",
        },
    )
    a, b = graph.nodes
    assert (a.resources.cpus, a.retries.failed, a.error_budget, a.timeout_s) == (4, 9, 0.25, 600.0)
    assert (b.resources.cpus, b.resources.gpus, b.resources.memory_bytes) == (4, 1, 8 * 1024**3)
    assert (b.retries.failed, b.retries.backoff_s, b.error_budget) == (0, 2.0, 0.0)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("models/a-1.5", "models/a-1.5"),
        ("1", '"1"'),  # not to be taken for the number
        ("true", '"true"'),
        ("a,b=c]", '"a,b=c]"'),
        (True, "true"),
        (1.0, "1.0"),
        (1e-05, "1e-05"),
    ],
)
def test_coordinates_are_written_so_that_they_can_be_told_apart(value: object, text: str) -> None:
    assert names(graph_of({"name": "s", "sweep": {"x": [value]}})) == [f"s[x={text}]"]


def test_a_campaign_that_expands_too_far_is_refused_before_it_is_expanded() -> None:
    wide = {f"axis_{i}": list(range(100)) for i in range(30)}
    with pytest.raises(CampaignError, match=f"expands to {100**30 + 1} stages.*'big' alone"):
        graph_of({"name": "a"}, {"name": "big", "sweep": wide})


def test_reading_far_too_many_artifacts_is_refused() -> None:
    many = {"x": list(range(70)), "y": list(range(70))}
    with pytest.raises(CampaignError, match="reads 24010000 artifacts"):
        graph_of(
            {"name": "a", "sweep": many},
            {"name": "b", "sweep": many, "inputs": {"all": {"gather": ["a"]}}},
        )


def test_an_unknown_node_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(KeyError, match="did you mean 'sft"):
        graph_of(SFT).node("sft[rows=500,seed=3]")


@st.composite
def layered_stages(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Stages that read any earlier ones; axes all have the same values, so that they agree."""
    count = draw(st.integers(1, 7))
    stages: list[dict[str, Any]] = []
    for i in range(count):
        read = draw(st.lists(st.integers(0, i - 1), max_size=3, unique=True)) if i else []
        gathered = draw(st.lists(st.integers(0, i - 1), max_size=2, unique=True)) if i else []
        axes = draw(st.lists(st.sampled_from("xyz"), max_size=2, unique=True))
        inputs: dict[str, Any] = {f"in{j}": f"s{j}" for j in read}
        if gathered:
            inputs["all"] = {"gather": [f"s{j}" for j in gathered]}
        stages.append({"name": f"s{i}", "inputs": inputs, "sweep": {a: [1, 2] for a in axes}})
    return draw(st.permutations(stages))


def agrees(reader: Node, source: Node) -> bool:
    return all(reader.coordinates[axis] == value for axis, value in source.coordinates.items())


@settings(max_examples=80, deadline=None)
@given(layered_stages())
def test_any_graph_is_ordered_complete_and_consistent(stages: list[dict[str, Any]]) -> None:
    graph = graph_of(*stages)
    seen: dict[str, Node] = {}
    for node in graph.nodes:
        assert node.name not in seen
        assert set(node.needs) <= seen.keys(), "inputs come before their readers"
        for name, sources in node.inputs.items():
            if name in node.gathered:
                continue
            (source,) = sources
            assert agrees(node, seen[source])
        seen[node.name] = node
    for stage in stages:
        mine = [node for node in graph.nodes if node.stage == stage["name"]]
        axes = mine[0].coordinates.keys()
        assert len(mine) == 2 ** len(axes), "the full product"
        assert stage["sweep"].keys() <= axes
    assert names(graph_of(*stages)) == names(graph)


JUDGE = {"name": "judge", "role": "judge", "model": {"stage": "sft", "where": {"rows": 500}}}
CALLING = {"name": "judged", "fleets": {"model": "judge"}}
CARRIED = {"inputs": {"model": {"carry": "model"}}}


AXES = st.dictionaries(
    st.sampled_from(["rows", "seed", "lr"]), st.sampled_from([(1, 2), (3,)]), max_size=3
)


@given(model=AXES, pinned=st.sets(st.sampled_from(["rows", "seed", "lr"])), cases=AXES)
@settings(max_examples=50, deadline=None)
def test_a_stage_reads_the_model_of_its_fleet_as_if_it_said_so(
    model: dict[str, Any], pinned: set[str], cases: dict[str, Any]
) -> None:
    where = {axis: model[axis][0] for axis in sorted(pinned & model.keys())}
    free = {axis: values for axis, values in cases.items() if axis not in model}
    read = {"stage": "sft", "where": where}
    made = [{"name": "sft", "sweep": model}, {"name": "world", "sweep": free}]
    said = {"name": "bench", "inputs": {"cases": "world", "model": read}}
    calls = {"name": "bench", "inputs": {"cases": "world"}, "fleets": {"model": "judge"}}
    graph = graph_of(*made, calls, fleets=[{**JUDGE, "model": read}])
    assert [replace(node, fleets={}) for node in graph.nodes] == list(graph_of(*made, said).nodes)
    assert graph.nodes[-1].fleets == {"model": "judge"}


def test_a_fleet_of_a_swept_stage_spreads_its_axes_to_those_who_call_it() -> None:
    graph = graph_of(
        SFT,
        {"name": "bench", "fleets": {"model": "judge"}},
        fleets=[{**JUDGE, "model": {"stage": "sft"}}],
    )
    assert names(graph)[4:] == [name.replace("sft", "bench") for name in names(graph)[:4]]
    assert graph.nodes[7].inputs == {"model": (names(graph)[3],)}


def test_in_rounds_a_fleet_serves_the_model_of_the_round() -> None:
    rounds = [{**ROUNDS[0], "stages": [*ROUNDS[0]["stages"], CALLING]}]
    fleets = [{**JUDGE, "model": {"stage": "dpo"}}]
    last = {"name": "last", "fleets": {"model": "judge"}}
    graph = graph_of(SFT, last, rounds=rounds, fleets=fleets)
    assert graph.node("judged@1[seed=2]").inputs == {"model": ("dpo@1[seed=2]",)}
    assert graph.node("judged@2[seed=2]").inputs == {"model": ("dpo@2[seed=2]",)}
    assert graph.node("last[seed=2]").inputs == {"model": ("dpo@2[seed=2]",)}


def test_in_rounds_a_model_that_changes_is_not_that_of_a_fleet_that_does_not() -> None:
    rounds = [{**ROUNDS[0], "stages": [*ROUNDS[0]["stages"], {**CALLING, **CARRIED}]}]
    with pytest.raises(CampaignError, match="model is not the model that fleet 'judge' serves"):
        graph_of(SFT, rounds=rounds, fleets=[JUDGE])


def test_a_text_becomes_the_param_of_that_role() -> None:
    graph = graph_of(
        {"name": "sft"},  # of the same name, and yet not meant
        {"name": "bench", "params": {"k": 1}, "fleets": {"model": "judge"}},
        fleets=[{**JUDGE, "model": "sft"}],
    )
    assert graph.node("bench").params == {"k": 1, "model": "sft"}
    assert graph.node("bench").inputs == {}
