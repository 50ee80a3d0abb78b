"""Which steps of a solution are critiqued, and can they be read back without a gold label?"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pytest

from rprm.data.tables import solutions_to_table
from rprm.errors import BadInput
from rprm.prompting import Renderer, load_template
from rprm.schema import Solution
from rprm.stages.critiquing import Writer, critique_rows
from rprm.stages.io import StageIO
from rprm.stages.judged import table_to_judged
from rprm.stages.params import Critiquing
from tests.unit.rprm.scripted_engines import ScriptedEngine, verdict_sample
from tests.unit.rprm.small_tokenizers import byte_level

RENDERER = Renderer(load_template("bytes"), byte_level(eos_token="</s>"))
WRONG_AT_ONE = Solution(
    id="s", problem_id="p", subset="", generator="", problem="?", steps=("a", "b", "c"), label=1
)


def judged(*, up_to_first_error: bool) -> pa.Table:
    io = SimpleNamespace(
        stage="judge", progress=lambda *_: None, note=lambda **_: None, error=lambda *_: None
    )
    engine = ScriptedEngine(lambda request, k: verdict_sample(RENDERER, 0.75))
    writer = Writer(engine=engine, name="scripted", renderer=RENDERER)
    (table,) = critique_rows(
        cast("StageIO", cast("Any", io)),
        solutions_to_table([WRONG_AT_ONE]),
        writer,
        Critiquing(template="bytes", num_critiques=2),
        up_to_first_error=up_to_first_error,
    )
    return table


def test_steps_after_the_first_wrong_one_are_left_out() -> None:
    assert judged(up_to_first_error=True).column("gold").to_pylist() == [True, False]


def test_every_step_is_judged_on_demand_and_later_ones_have_no_gold_label() -> None:
    table = judged(up_to_first_error=False)
    assert table.column("gold").to_pylist() == [True, False, None]
    rows = list(table_to_judged(table, source="judged", need_gold=False))
    assert [len(row.critiques_K) for row in rows] == [2, 2, 2]


def test_filters_still_refuse_rows_without_a_gold_label() -> None:
    with pytest.raises(BadInput, match="gold"):
        list(table_to_judged(judged(up_to_first_error=False), source="judged"))
