"""Which verbs does `rprm` have?  Each reads its input and calls the method."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from dataclasses import asdict, replace
from itertools import count, islice
from typing import Annotated, Any

import typer

from rprm import options as opt
from rprm import showing
from rprm.compare_cli import compare
from rprm.data import chains
from rprm.data.labelled import KINDS, load_labelled
from rprm.engines.base import SamplingParams
from rprm.errors import BadInput
from rprm.finding import FoundModel, choices, find_model, template_for
from rprm.judge import JudgeParams
from rprm.prompting import Renderer, load_template
from rprm.reading import Format
from rprm.rendered import as_dict as rendered_dict
from rprm.rendered import rendered
from rprm.schema import Solution
from rprm.score_cli import app as score_app
from rprm.scoring import THRESHOLD, Aggregate
from rprm.show_cli import show
from rprm.solutions import (
    JudgedSolution,
    as_dict,
    cases_to_judge,
    default_max_tokens,
    judge_solutions,
    load_judge,
    load_renderer,
)
from rprm.templates import template_names
from rprm.terminal import STDIN, given_solutions, make_console, num_cpus, progress

USAGE = 2
"""What the command-line library exits with for options it cannot use; ours is 64."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""Judge worked solutions step by step with a reasoning-driven process reward model.

    A first session, in the small world that comes with the package:

    * `jobs run rprm/campaigns/quickstart.yaml` trains judges: the stages sft and dpo.
    * `rprm data chains --solutions 3 --seed 7 | rprm judge --model dpo` lets one judge.
    * `rprm data chains --solutions 3 --seed 7 | rprm prompt --model dpo` shows what it reads.

    What other models said can be scored as the official scripts do: `rprm score --help`.

    Exit codes: 0 done · 64 bad input · 1 anything else.
    """,
)
data_app = typer.Typer(no_args_is_help=True, help="Print solutions as JSON lines.")
app.add_typer(data_app, name="data")
app.add_typer(score_app, name="score")
app.command()(compare)
app.command()(show)


@app.command()
def judge(  # noqa: PLR0913  every knob of judging, for a person to turn
    file: opt.SolutionFile = STDIN,
    problem: opt.ProblemText = None,
    fmt: opt.InputFormat = Format.AUTO,
    model: opt.ModelName = None,
    store: opt.StoreUrl = None,
    template: opt.TemplateName = None,
    critiques: opt.NumCritiques = 10,
    threshold: opt.Threshold = THRESHOLD,
    aggregate: opt.AggregateOf = Aggregate.SOFT,
    early_stop: opt.EarlyStop = True,
    stop_at_first_error: opt.StopAtFirstError = False,
    seed: opt.Seed = 0,
    temperature: opt.Temperature = 0.95,
    top_p: opt.TopP = 0.95,
    max_tokens: opt.MaxTokens = None,
    engine: opt.ServedAt = None,
    threads: opt.Threads = None,
    critiques_shown: opt.CritiquesShown = 1,
    as_json: opt.AsJson = False,
) -> None:
    """Score every step of one or several solutions, and show where the first error is.

    The critiques of a step are sampled analyses that end in a verdict; its score is the mean of
    their P(Yes).  Early stopping never changes whether a step counts as right, only the score.

    **Input** is JSON `{"problem": "…", "steps": ["…", "…"]}` with optional `id` and `label` (the
    0-based index of the first wrong step, -1 for none), a list of such objects, one per line, or
    text: the problem, a blank line, then one step per line (or per paragraph).

    **Examples**

    * `rprm judge solution.json --model models/r-prm`
    * `printf '345 + 210 = 555\\n' | rprm judge --problem '345 #1 + 210' --model sft`
    * `rprm data show processbench --limit 3 | rprm judge -m models/r-prm --critiques-shown 3`
    * `rprm judge solutions.jsonl -m models:/r-prm@champion --json | jq .first_error`
    """
    solutions = given_solutions(file, fmt, problem)
    params = JudgeParams(
        num_critiques=critiques,
        seed=seed,
        aggregate=aggregate,
        threshold=threshold,
        early_stop=early_stop,
        stop_at_first_error=stop_at_first_error,
    )
    found = _model(model, store)
    most = default_max_tokens(found) if max_tokens is None else max_tokens
    sampling = SamplingParams(temperature=temperature, top_p=top_p, max_tokens=most)
    by = load_judge(
        found,
        load_template(template or template_for(found)),
        threads=threads or num_cpus(),
        url=engine,
    )
    params = replace(params, sampling=sampling)
    console = make_console()
    done: list[JudgedSolution] = []
    most_drawn = critiques * sum(len(one.solution.steps) for one in solutions)
    if not as_json:
        showing.print_setting(console, by, params)
    with progress(console, most_drawn, quiet=as_json) as on_drawn:
        for one in judge_solutions(solutions, by=by, params=params, on_drawn=on_drawn):
            if as_json:
                print(_json(as_dict(one, by)), flush=True)
            else:
                showing.print_solution(console, one, critiques=critiques_shown)
            done.append(one)
    if not as_json:
        showing.print_totals(console, done)
    if advice := showing.advice(done, by):
        _say(advice)


@app.command()
def prompt(
    file: opt.SolutionFile = STDIN,
    model: opt.ModelName = None,
    store: opt.StoreUrl = None,
    template: opt.TemplateName = None,
    ids: Annotated[bool, typer.Option("--ids", help="Print the token ids too.")] = False,
    as_json: opt.AsJson = False,
) -> None:
    """Print exactly what a judge reads for each step, and how many tokens that is.

    Without a model only the template is filled in: a chat shows its turns, and nothing is counted.

    * `rprm data chains | rprm prompt --template chain --model builtin:chain_base --ids`
    """
    cases = [
        case for one in given_solutions(file, Format.AUTO, None) for case in cases_to_judge(one)
    ]
    renderer: Renderer | None = None
    if model is None:
        chosen = load_template(template or "rprm")
    else:
        found = _model(model, store)
        chosen = load_template(template or template_for(found))
        renderer = load_renderer(found, chosen)
    for one in rendered(cases, chosen, renderer):
        if as_json:
            print(_json(rendered_dict(one)))
            continue
        size = "" if one.token_ids is None else f", {len(one.token_ids)} tokens"
        print(f"--- {one.case.id}: step {one.case.step + 1}, template {chosen.name}{size}")
        print(one.text)
        if ids and one.token_ids is not None:
            print(f"--- ids {' '.join(map(str, one.token_ids))}")


@app.command()
def templates(as_json: opt.AsJson = False) -> None:
    """List the prompt templates of this package: name, hash, and how the verdict is written."""
    loaded = [load_template(name) for name in template_names()]
    if as_json:
        for one in loaded:
            print(
                _json(
                    {
                        "name": one.name,
                        "sha256": one.sha256,
                        "chat": one.chat,
                        "verdict": asdict(one.verdict),
                        "text": one.text,
                    }
                )
            )
        return
    showing.print_templates(make_console(), loaded)


@data_app.command("chains")
def data_chains(
    solutions: Annotated[int, typer.Option(min=1, help="How many.")] = 1,
    seed: Annotated[int, typer.Option(help="Of the world.")] = 0,
    split: opt.SplitOf = "test",
    erroneous: Annotated[
        bool | None,
        typer.Option("--erroneous/--correct", help="Only those with a wrong step, or without."),
    ] = None,
) -> None:
    """Print labelled solutions of the small world: chains of additions and subtractions.

    * `rprm data chains --solutions 3 --seed 1 --erroneous | rprm judge -m sft`
    """
    made = (chains.solution(seed, index, split) for index in count())
    wanted = (one for one in made if erroneous is None or erroneous == (one.label >= 0))
    for one in islice(wanted, solutions):
        print(_json(_row(one)))


@data_app.command("show")
def data_show(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help=f"{', '.join(KINDS)}; or a file, folder or glob, data:… below RPRM_DATA, or "
            "hf://org/name@revision.",
            show_default=False,
        ),
    ],
    limit: Annotated[int, typer.Option(min=1, help="How many, from the first on.")] = 5,
    subset: Annotated[str | None, typer.Option(help="Only this part, such as gsm8k.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Which data set SOURCE is, where its name does not say.")
    ] = None,
) -> None:
    """Print the first solutions of a real data set; which bytes they are goes to stderr.

    * `rprm data show processbench --subset gsm8k --limit 3`
    * `rprm data show hf://Qwen/ProcessBench --limit 1 | rprm prompt`
    """
    loaded = load_labelled(source, kind=kind)
    chosen = [one for one in loaded.solutions if subset in (None, one.subset)]
    if not chosen:
        known = ", ".join(dict.fromkeys(one.subset for one in loaded.solutions))
        raise BadInput(f"{source} has no subset {subset!r}.", fix=f"use one of {known}")
    for one in chosen[:limit]:
        print(_json(_row(one)))
    at = f", revision {loaded.source.revision}" if loaded.source.revision else ""
    _say(
        f"{loaded.source.name}{at}: {min(limit, len(chosen))} of {len(chosen)} solutions, "
        f"sha256 {loaded.source.digest}"
    )
    for warning in loaded.warnings:
        _say(f"warning: {warning}")


def _model(name: str | None, store: str | None) -> FoundModel:
    if name is None:
        raise BadInput("which model judges?", fix=f"give --model: {choices(store)}")
    return find_model(name, store=store)


def _row(solution: Solution) -> dict[str, Any]:
    return asdict(solution)


def _json(value: object) -> str:
    """Readable where the output can hold every character, escaped where it cannot."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    return json.dumps(value, ensure_ascii=not unicode)


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def main() -> None:
    """The console script: problems become one clear message and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
        sys.stdout.flush()
    except BrokenPipeError:  # `rprm data show … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _say(f"error: {error.strerror} while writing. Fix: free space, or write elsewhere")
        sys.exit(1)
    except SystemExit as leave:
        sys.exit(BadInput.exit_code if leave.code == USAGE else leave.code)
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if not isinstance(code, int):
            raise
        _say(f"error: {error}")
        sys.exit(code)
