"""What does a page of 100,000 critiques cost, beside dumping the same rows as JSON?"""

from __future__ import annotations

import json
import time
import tracemalloc
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rprm.show.making import Wanted, make_page
from rprm.show.sources import open_source
from tests.contract.judged_rows import write_run

pytestmark = pytest.mark.bench

ROUNDS = 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("show") / "run"
    write_run(folder, solutions=1250, steps=8, critiques=10)
    return folder


def page(run: Path) -> Path:
    folder = run.parent / "page"
    assert make_page(open_source(run), Wanted(), folder).critiques == 100_000
    return folder


def dump(run: Path) -> Path:
    file = run.parent / "rows.json"
    rows = pq.read_table(run / "judged.parquet").to_pylist()
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    return file


def seconds(make: object, run: Path) -> float:
    assert callable(make)
    start_s = time.process_time()
    make(run)
    return time.process_time() - start_s


def test_a_page_is_made_about_as_fast_as_its_rows_are_dumped(run: Path) -> None:
    rounds = [(seconds(page, run), seconds(dump, run)) for _ in range(ROUNDS)]
    ratio = min(one for one, _ in rounds) / min(other for _, other in rounds)
    print(f"\npage / json.dumps of the same rows: {ratio:.2f}")
    assert ratio < 1.5


def test_a_page_is_no_larger_than_its_rows_as_json(run: Path) -> None:
    data = sum(file.stat().st_size for file in (page(run) / "data").iterdir())
    index = (run.parent / "page" / "data" / "index.js").stat().st_size
    rows = dump(run).stat().st_size
    print(f"\npage / JSON of the same rows: {data / rows:.2f}; index / page: {index / data:.4f}")
    assert data < 1.1 * rows
    assert index < 0.01 * data


def test_memory_does_not_grow_with_the_critiques(run: Path) -> None:
    tracemalloc.start()
    folder = page(run)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    size = sum(file.stat().st_size for file in (folder / "data").iterdir())
    print(f"\npeak of Python's memory / size of the page: {peak / size:.2f}")
    assert peak < 0.5 * size
