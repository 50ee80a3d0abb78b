"""Which options do the verbs of `rprm` share, and what does each mean?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rprm.data.chains import Split
from rprm.reading import Format
from rprm.scoring import Aggregate

JUDGING, SAMPLING, SHOWING = "Judging", "Sampling", "Showing"

SolutionFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="JSON, JSON lines or text; `-` or nothing is stdin."),
]
ProblemText = Annotated[
    str | None,
    typer.Option("--problem", metavar="TEXT", help="The problem; FILE then holds the steps only."),
]
InputFormat = Annotated[
    Format, typer.Option("--format", help="What FILE holds, where its look misleads.")
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        envvar="RPRM_MODEL",
        metavar="MODEL",
        help="A folder, `builtin:chain_base`, `sft` (newest of that stage in the store), an "
        "artifact's or checkpoint's path or uri, `models:/r-prm@champion`, or a Hub id.",
    ),
]


def store_option(looked_up: str) -> Any:
    """`looked_up` is what is looked up there, and its verb."""
    return typer.Option(
        "--store",
        envvar="RPRM_STORE",
        metavar="URL",
        help=f"Where {looked_up} looked up: a folder, s3://…, gs://…, az://…  "
        "[default: .rprm/store]",
    )


StoreUrl = Annotated[str | None, store_option("MODEL is")]
TemplateName = Annotated[
    str | None,
    typer.Option(
        "--template",
        "-t",
        metavar="NAME",
        help="Prompt template: a name of `rprm templates` or a .txt file. By default what the "
        "model was trained with; else `chain` in the small world and `rprm` elsewhere.",
    ),
]
NumCritiques = Annotated[
    int,
    typer.Option("--critiques", "-K", help="Most critiques of a step.", rich_help_panel=JUDGING),
]
Threshold = Annotated[
    float,
    typer.Option(help="A step scored below it is wrong.", rich_help_panel=JUDGING),
]
AggregateOf = Annotated[
    Aggregate,
    typer.Option(
        "--aggregate",
        help="soft: mean P(Yes) of the critiques; hard: share of yes verdicts.",
        rich_help_panel=JUDGING,
    ),
]
EarlyStop = Annotated[
    bool,
    typer.Option(
        "--early-stop/--all",
        help="Draw no critique that cannot change whether a step counts as right; or draw all K.",
        rich_help_panel=JUDGING,
    ),
]
StopAtFirstError = Annotated[
    bool,
    typer.Option(
        "--stop-at-first-error",
        help="Leave the steps after the first wrong one unjudged.",
        rich_help_panel=JUDGING,
    ),
]
Seed = Annotated[
    int,
    typer.Option(help="The same seed gives the same critiques.", rich_help_panel=SAMPLING),
]
Temperature = Annotated[
    float, typer.Option(help="0 is greedy: all critiques equal.", rich_help_panel=SAMPLING)
]
TopP = Annotated[float, typer.Option("--top-p", help="Nucleus sampling.", rich_help_panel=SAMPLING)]
MaxTokens = Annotated[
    int | None,
    typer.Option(
        "--max-tokens",
        help="Longest critique.  [default: 4096, at most half of what the model can read]",
        show_default=False,
        rich_help_panel=SAMPLING,
    ),
]
ServedAt = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="URL",
        help="vLLM servers of this model: http://a:8000 (several with commas), "
        "file:///endpoints.json or dns://name:8000; by default it runs in this process.",
        show_default=False,
        rich_help_panel=SAMPLING,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="CPU threads; by default all this process may use.", rich_help_panel=SAMPLING
    ),
]
CritiquesShown = Annotated[
    int,
    typer.Option(
        "--critiques-shown",
        "-n",
        min=0,
        help="Critiques of each step to print.",
        rich_help_panel=SHOWING,
    ),
]
AsJson = Annotated[
    bool,
    typer.Option("--json", help="One JSON object per line on stdout.", rich_help_panel=SHOWING),
]
SplitOf = Annotated[Split, typer.Option("--split", help="Splits share no problem.")]
