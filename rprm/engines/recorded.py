"""What did the judge say last time?  Replays recorded critiques; no model is needed.

One JSON object per line: {"id": request id, "sample": k, "text": ..., "token_ids": [...],
"finish": "eos", "p_yes": 0.9}; only id and text are required, `sample` defaults to the number of
lines seen for this id.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rprm.engines.base import Completion, Refused, Request, Sample, SamplingParams
from rprm.errors import BadInput

FINISHES = ("stop", "eos", "length")


class RecordedEngine:
    """Answers from a file; a request it has no record of is refused, never made up."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._samples = read_samples(self.path)

    @property
    def name(self) -> str:
        return f"recorded:{self.path.name}"

    def sample(
        self, requests: Sequence[Request], params: SamplingParams
    ) -> Iterator[Completion | Refused]:
        """Sampling params were decided when the file was made and are not applied again."""
        for request in requests:
            yield self._answer(request)

    def _answer(self, request: Request) -> Completion | Refused:
        wanted = range(request.first_sample, request.first_sample + request.n)
        recorded = self._samples.get(request.id, {})
        missing = [sample for sample in wanted if sample not in recorded]
        if missing:
            return Refused(
                id=request.id,
                cause="not_recorded",
                detail=f"{self.path} lacks {len(missing)} of {request.n} samples,"
                f" the first being {missing[0]}",
            )
        return Completion(id=request.id, samples=tuple(recorded[sample] for sample in wanted))


def read_samples(path: Path) -> dict[str, dict[int, Sample]]:
    """Samples by request id and index.  Raises BadInput naming file and line."""
    if not path.is_file():
        raise BadInput(f"No recorded critiques at {path}.", fix="give a JSON Lines file.")
    samples: dict[str, dict[int, Sample]] = {}
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                _add(samples, line, where=f"{path}:{number}")
    return samples


def write_samples(path: Path, completions: Iterable[Completion], *, first_sample: int = 0) -> None:
    """Record completions in the form that `RecordedEngine` replays."""
    with path.open("w", encoding="utf-8") as out:
        for completion in completions:
            for index, sample in enumerate(completion.samples, start=first_sample):
                row = {"id": completion.id, "sample": index, **asdict(sample)}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def _add(samples: dict[str, dict[int, Sample]], line: str, *, where: str) -> None:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as problem:
        raise BadInput(f"{where} is not JSON: {problem}", fix="write one object a line.") from None
    if not isinstance(row, Mapping):
        raise BadInput(f"{where} is not a JSON object.", fix="write one object a line.")
    for key in ("id", "text"):
        if not isinstance(row.get(key), str):
            raise BadInput(f"{where} has no {key!r}.", fix=f"give {key!r} as a string.")
    of_request = samples.setdefault(row["id"], {})
    index = row.get("sample", len(of_request))
    if not isinstance(index, int):
        raise BadInput(f"{where} has sample {index!r}.", fix="use the sample's index.")
    if index in of_request:
        raise BadInput(f"{where} repeats sample {index} of {row['id']}.", fix="keep one of them.")
    of_request[index] = _sample(row, where)


def _sample(row: Mapping[str, Any], where: str) -> Sample:
    finish, p_yes = row.get("finish", "eos"), row.get("p_yes")
    if finish not in FINISHES:
        raise BadInput(f"{where} has finish {finish!r}.", fix=f"use one of {FINISHES}.")
    if p_yes is not None and not (isinstance(p_yes, int | float) and 0 <= p_yes <= 1):
        raise BadInput(f"{where} has p_yes {p_yes!r}.", fix="use a probability or null.")
    token_ids = row.get("token_ids", [])
    if not (isinstance(token_ids, list) and all(type(token) is int for token in token_ids)):
        raise BadInput(f"{where} has token_ids {token_ids!r}.", fix="use a list of integers.")
    return Sample(
        text=row["text"],
        token_ids=tuple(token_ids),
        finish=finish,
        p_yes=None if p_yes is None else float(p_yes),
    )
