"""What does vLLM's own serving benchmark say of a replica?

`vllm bench serve` does not start in a build for CPUs, whose package has another name than the
command looks up; its module does.  It needs pandas to read prompts.  It sends text, asks for one
sample a request, and streams the answers.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

PROGRAM = """
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args())
"""
SAMPLING = ("--temperature", "0.95", "--top-p", "0.95")


def tokens_per_s(
    python: Path, url: str, prompts: Sequence[str], folder: Path, *, tokenizer: Path, most: int
) -> tuple[float | None, str]:
    """None where it does not run, and its last line; `folder` is for its files."""
    data = folder / "prompts.jsonl"
    data.write_text("".join(f"{json.dumps({'prompt': prompt})}\n" for prompt in prompts))
    arguments = [
        *("--backend", "openai", "--base-url", url, "--endpoint", "/v1/completions"),
        *("--model", "judge", "--tokenizer", str(tokenizer), *SAMPLING),
        *("--dataset-name", "custom", "--dataset-path", str(data), "--skip-chat-template"),
        *("--custom-output-len", str(most), "--num-prompts", str(len(prompts))),
        *("--disable-shuffle", "--disable-tqdm", "--save-result"),
        *("--result-dir", str(folder), "--result-filename", "found.json"),
    ]
    ran = subprocess.run(
        [str(python), "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        check=False,
    )
    found = folder / "found.json"
    if ran.returncode != 0 or not found.is_file():
        return None, (ran.stderr.strip().splitlines() or ["nothing"])[-1]
    return float(json.loads(found.read_text())["output_throughput"]), ""
