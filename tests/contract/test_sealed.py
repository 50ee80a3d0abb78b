"""Does `rprm` read what the job system sealed in its store, under its own key names?"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from jobs.store.artifacts import Artifact
from jobs.store.commit import Output, commit_output
from jobs.store.objects import open_store
from jobs.store.tables import ERRORS
from rprm.errors import BadInput, RprmError
from rprm.sealed import SealedStore
from tests.contract.in_process import Ran, run_in_process

CAMPAIGN = """
apiVersion: rprm.dev/v1alpha1
kind: Campaign
metadata: {name: small}
spec:
  stages:
    - {name: rows, run: "tests.contract.measuring_stage:Rows", params: {number: 4}}
    - name: bench
      run: tests.contract.measuring_stage:Measured
      inputs: {solutions: rows}
      params: {system: sft, skill: 0.5, seed: "${seed}"}
      sweep: {seed: [1]}
"""

EVENTS = Path(".rprm/runs/small")


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """As `jobs run` leaves a folder."""
    monkeypatch.chdir(tmp_path)
    EVENTS.mkdir(parents=True)
    return run_in_process(CAMPAIGN, EVENTS, store=open_store(str(tmp_path / ".rprm" / "store")))


def test_a_seal_and_its_rows_are_read_as_the_job_system_wrote_them(ran: Ran) -> None:
    view, stage = SealedStore(".rprm/store"), ran.stages["bench[seed=1]"]
    one = view.need(stage.address)
    seal = Artifact(ran.store, stage.address).read_seal()
    assert seal is not None
    for name in ("stage", "node", "run", "coordinates", "facts", "data_digest"):
        assert getattr(one, name) == getattr(seal, name)
    assert one.inputs == {"solutions": (ran.stages["rows"].address,)}
    rows = [row for data in view.rows_of(one) for row in data.table().to_pylist()]
    assert rows == ran.rows("bench[seed=1]")
    assert view.newest(view.addresses()) == [one, view.need(ran.stages["rows"].address)]


def test_the_events_that_name_artifacts_are_those_that_campaigns_write(ran: Ran) -> None:
    view, made = SealedStore(".rprm/store"), [one.address for one in ran.stages.values()]
    assert view.campaigns() == ["small"]
    assert view.made_by("small") == made
    run_in_process(CAMPAIGN, EVENTS, store=ran.store)
    assert view.made_by("small") == made
    Path("elsewhere").mkdir()
    assert SealedStore("elsewhere").made_by("small") == made  # it ran here, whatever its store


def test_refusals_tell_their_cause(tmp_path: Path) -> None:
    artifact = Artifact(open_store(str(tmp_path)), "judge-0")
    artifact.prepare({"stage": "judge"})
    refused = {"row_id": ["s3:1"], "cause": ["prompt_too_long"], "detail": ["9000 tokens"]}
    commit_output(artifact, 0, "a1", Output(errors=pa.table(refused, schema=ERRORS)))
    artifact.seal(1)
    view = SealedStore(str(tmp_path))
    assert view.refusals_of(view.need("judge-0")) == {"s3:1": "prompt_too_long: 9000 tokens"}


def test_what_is_missing_or_damaged_is_told_with_its_place(ran: Ran) -> None:
    view, address = SealedStore(".rprm/store"), ran.stages["rows"].address
    [data] = view.rows_of(view.need(address))
    [file] = Path(".rprm/store/artifacts", address, "shards").rglob("*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadInput, match=r"shards/00000/\S+ cannot be read as Parquet"):
        data.table()
    file.unlink()
    with pytest.raises(RprmError, match=r"shards/00000/\S+ is gone, though its artifact is sealed"):
        data.table()
    with pytest.raises(BadInput, match="has no finished artifact rows-0"):
        view.need("rows-0")
