"""Let a language model behind an OpenAI-compatible API judge solutions: GPT-4o, o1-mini, Llama…

Reads    solutions (rows)
Writes   one row of step scores per solution: an index (ProcessBench's protocol), or the validity
         and the redundancy of every step (PRMBench's); all that the critic wrote stands beside it
Facts    solutions, unparsed, replies, unparsed_replies, truncated_replies, prompt_tokens,
         completion_tokens
Key      in the environment variable that `key_env` names, wherever the stage runs
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from rprm.data.problem_tables import STEP_SCORES, scores_to_table
from rprm.data.tables import SOLUTIONS, table_to_solutions
from rprm.engines.base import Refused
from rprm.engines.chat import Traits
from rprm.engines.endpoint import Endpoint, check_base_url, check_variable, read_key
from rprm.engines.http_retry import RetryPolicy
from rprm.errors import BadInput
from rprm.peers.critic_protocols import CriticProtocol, Critiqued, ProtocolName, make_protocol
from rprm.peers.critics import CRITICS, CriticModel, critic_model
from rprm.stages.io import StageIO
from rprm.stages.params import StageParams

REDUNDANCY = pa.field("redundancy", pa.list_(pa.float64()))
"""Beside the scores of PRMBench's protocol: above 0.5 where a step is redundant."""


class TraitsParams(StageParams):
    """What the served model takes; see `rprm.engines.chat.Traits`."""

    temperature: bool = True
    length: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    system: Literal["system", "developer", "user"] = "system"
    many: bool = True
    seed: bool = True


class Critic:
    kind: ClassVar[str] = "map"
    version: ClassVar[str] = "1"
    preload: ClassVar[tuple[str, ...]] = ("rprm.peers.critic",)

    pace: ClassVar[tuple[str, ...]] = (
        *("max_in_flight", "deadline_s", "first_wait_s", "longest_wait_s", "patience_s"),
        *("retry_budget", "batch_solutions"),
    )
    """Paid answers are kept when the next run asks faster or slower."""

    class Params(StageParams):
        critic: str
        """A known critic such as gpt-4o-2024-08-06, or the Hub id of a model that you serve."""
        protocol: ProtocolName = "processbench"
        votes: int = Field(default=1, gt=0)
        """1: one greedy critique; more (ProcessBench's tables have 8): the majority's index."""
        base_url: str | None = None
        """Of the API, up to its version; needed unless the critic is a hosted model."""
        model: str | None = None
        """What the server calls the model, where that is not its Hub id."""
        key_env: str | None = None
        """The name of the variable that holds the key; None: the critic's own, or no key."""
        traits: TraitsParams | None = None
        """None: the critic's own, or those of an ordinary chat model."""
        max_tokens: int | None = Field(default=None, gt=0)
        """Of one ProcessBench critique; None: 8192, or 32768 for models that reason at length."""
        max_in_flight: int = Field(default=64, gt=0)
        """Requests at once, at most; fewer where the server shows that it is too many."""
        deadline_s: float = Field(default=1800, gt=0)
        """Of one try of a request; a model that writes 32,768 tokens takes its time."""
        max_tries: int = Field(default=8, gt=0)
        """Of a request, before its solution becomes an error row."""
        first_wait_s: float = Field(default=1, ge=0)
        """Before a request's second try; doubled before each further one."""
        longest_wait_s: float = Field(default=60, ge=0)
        patience_s: float = Field(default=900, gt=0)
        """An API that asks to wait longer ends the attempt."""
        retry_budget: int = Field(default=200, gt=0)
        """Tries of the shard that may fail without an answer in between, before it ends."""
        batch_solutions: int = Field(default=32, gt=0)
        """Solutions per table; after each the worker may stop."""

    def __init__(self, params: Params) -> None:
        self.params = params
        self.critic = _with(params, critic_model(params.critic))
        if self.critic.base_url is None:
            raise BadInput(
                f"critic {params.critic!r} has no address of its own.",
                fix="give base_url, such as http://localhost:8000/v1 of a vLLM server that serves "
                f"it; critics known by name are {', '.join(CRITICS)}",
            )
        check_base_url(self.critic.base_url)
        if self.critic.key_env is not None:
            check_variable(self.critic.key_env)
        if params.protocol == "prmbench" and (params.votes > 1 or params.max_tokens):
            raise BadInput(
                "PRMBench's protocol knows neither votes nor max_tokens.",
                fix="leave them out: each solution is rated once, at the server's own length",
            )

    def digests(self) -> Mapping[str, str]:
        return {"prompt": self._protocol().prompt.sha256}

    def run(self, io: StageIO, rows: pa.Table) -> Iterator[pa.Table]:
        from rprm.engines.openai_http import Pace
        from rprm.peers.critic import Critic as Judge

        judge = Judge(
            self.critic.name,
            self._protocol(),
            self._endpoint(),
            pace=Pace(
                max_in_flight=self.params.max_in_flight,
                deadline_s=self.params.deadline_s,
                retry=self._retries(),
            ),
            leave=lambda: io.draining,
        )
        solutions = table_to_solutions(rows.select(SOLUTIONS.names), source=io.stage)
        totals: Counter[str] = Counter()
        batch: list[Critiqued] = []
        io.progress(0, len(solutions), "solutions")
        for done, answer in enumerate(judge.critique(solutions), start=1):
            if isinstance(answer, Refused):
                io.error(answer.id, answer.cause, answer.detail)
            else:
                batch.append(answer)
            io.progress(done, len(solutions), "solutions")
            if done % self.params.batch_solutions == 0:
                yield self._tell(io, totals, batch, judge.name)
                batch = []
        yield self._tell(io, totals, batch, judge.name)

    def _tell(
        self, io: StageIO, totals: Counter[str], batch: Sequence[Critiqued], name: str
    ) -> pa.Table:
        totals.update(_counts(batch))
        io.note(**totals)
        return _table(batch, name, rated=self.params.protocol == "prmbench")

    def _protocol(self) -> CriticProtocol:
        return make_protocol(self.params.protocol, self.critic, votes=self.params.votes)

    def _endpoint(self) -> Endpoint:
        assert self.critic.base_url is not None
        variable = self.critic.key_env
        return Endpoint(
            base_url=self.critic.base_url,
            model=self.critic.model,
            key=None if variable is None else read_key(variable),
            traits=self.critic.traits,
        )

    def _retries(self) -> RetryPolicy:
        return RetryPolicy(
            max_tries=self.params.max_tries,
            first_wait_s=self.params.first_wait_s,
            longest_wait_s=self.params.longest_wait_s,
            patience_s=self.params.patience_s,
            budget=self.params.retry_budget,
        )


def _with(params: Critic.Params, critic: CriticModel) -> CriticModel:
    """The critic, with what the params say otherwise.

    The key of a hosted API is not sent to another address: who gives a base_url names the key."""
    elsewhere = params.base_url is not None
    return CriticModel(
        name=critic.name,
        model=params.model or critic.model,
        base_url=params.base_url or critic.base_url,
        key_env=params.key_env or (None if elsewhere else critic.key_env),
        traits=Traits(**params.traits.model_dump()) if params.traits else critic.traits,
        max_tokens=params.max_tokens or critic.max_tokens,
        voting=critic.voting,
    )


def _table(batch: Sequence[Critiqued], name: str, *, rated: bool) -> pa.Table:
    table = scores_to_table(one.step_scores(name) for one in batch)
    assert table.schema == STEP_SCORES
    if not rated:
        return table
    redundancy = [one.reading.redundancy_S for one in batch]
    return table.append_column(REDUNDANCY, pa.array(redundancy, type=REDUNDANCY.type))


def _counts(batch: Sequence[Critiqued]) -> dict[str, int]:
    return {
        "solutions": len(batch),
        "unparsed": sum(not one.reading.parsed for one in batch),
        "replies": sum(len(one.texts_K) for one in batch),
        "unparsed_replies": sum(one.reading.unparsed_replies for one in batch),
        "truncated_replies": sum(one.truncated for one in batch),
        "prompt_tokens": sum(one.usage.prompt_tokens for one in batch),
        "completion_tokens": sum(one.usage.completion_tokens for one in batch),
    }
