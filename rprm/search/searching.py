"""How is one problem searched?  Round by round, until its beams are finished or it must stop."""

from __future__ import annotations

from dataclasses import dataclass, field

from rprm.schema import MathProblem
from rprm.search.beams import Beam, Pool
from rprm.search.expanding import Expander
from rprm.search.gathering import Gatherer
from rprm.search.params import SearchParams
from rprm.search.results import SearchResult, StopCause
from rprm.search.tracing import round_lines


@dataclass(kw_only=True, slots=True)
class Search:
    """One problem."""

    problem: MathProblem
    params: SearchParams
    gatherer: Gatherer
    pool: Pool = field(default_factory=Pool)
    trace: list[str] = field(default_factory=list)

    async def run(self) -> SearchResult:
        expander = Expander(self.problem, self.params, self.gatherer)
        stop, num_rounds = None, 0
        while stop is None:
            await self._round(expander)
            num_rounds += 1
            stop = self._stop(expander, num_rounds)
        return self._result(expander, stop)

    async def _round(self, expander: Expander) -> None:
        width = self.params.width(len(self.pool.live))
        expansions = await self.gatherer.together(
            [expander.expand(beam, width) for beam in self.pool.live]
        )
        self.pool = self.pool.after(
            expansions, beams=self.params.beams, aggregator=self.params.aggregator
        )
        self.trace += round_lines(expansions, {*self.pool.live, *self.pool.finished})

    def _stop(self, expander: Expander, num_rounds: int) -> StopCause | None:
        """Why no further round starts."""
        live = self.pool.live
        if not live:
            return StopCause.FINISHED if self.pool.finished else StopCause.REFUSED
        waiting = all(beam.tries for beam in live)
        if waiting and self.gatherer.policy.params.temperature == 0:
            return StopCause.STUCK  # it would write the same again
        if num_rounds >= self.params.max_steps:
            return StopCause.STUCK if waiting else StopCause.STEPS
        budget = self.params.token_budget
        if budget is not None and expander.spent.tokens >= budget:
            return StopCause.TOKENS
        return None

    def _result(self, expander: Expander, stop: StopCause) -> SearchResult:
        beam: Beam = self.pool.answer(self.params.aggregator)
        fmt = self.gatherer.policy.format
        return SearchResult(
            problem_id=self.problem.id,
            steps=beam.steps,
            scores_S=beam.scores_S,
            finished=beam.finished,
            answer=fmt.answer(beam.steps) if beam.finished else None,
            stop=stop,
            refused=self.pool.refused[-1][1] if self.pool.refused else None,
            num_tokens=beam.num_tokens,
            spent=expander.spent,
            trace="\n".join(self.trace),
        )
