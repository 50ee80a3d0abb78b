"""Does the search stage say what is wrong with its params before it loads a model?"""

from __future__ import annotations

import pydantic
import pytest

from rprm.stages.search import Search


def test_beams_that_no_candidates_could_fill_are_refused_when_planning() -> None:
    with pytest.raises(pydantic.ValidationError, match="cannot fill 9 beams"):
        Search.Params(strategy="beam", beams=9)
    assert Search.Params(strategy="greedy", beams=9).candidates == 8


def test_the_template_and_the_models_of_the_params_are_part_of_what_a_result_depends_on() -> None:
    stage = Search(Search.Params(template="chain", judge="builtin:chain_base", model="org/policy"))
    assert set(stage.digests()) == {"template", "model", "judge"}
