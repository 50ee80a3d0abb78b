"""Does the project keep its own rules?  Layout, locks, campaigns, prompts, documents, imports."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

from jobs import cli
from jobs.plan.graph import expand
from jobs.runtime.resolving import resolve
from jobs.spec.loading import load_campaign
from rprm.templates import load_template, template_names

ROOT = Path(__file__).parents[2]
CODE = ("jobs", "rprm", "tests")
DATA_ROOMS = ("sky", "k8s", "dashboards")  # an __init__.py in sky/ would shadow SkyPilot
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LOCKS = ("run.txt", "dev.txt", "tools.txt", "serve.txt", "serve-cpu.txt")
CAMPAIGNS = sorted((ROOT / "rprm" / "campaigns").glob("*.yaml"))
MAX_LINES = 350
HEAVY = {
    *("torch", "transformers", "trl", "datasets", "accelerate", "mlflow", "matplotlib"),
    *("math_verify", "sympy", "latex2sympy2_extended"),
}

SECRETS = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{50,}",
    "Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}\b",
    "API key": r"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}\b",
    "Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "Google key": r"\bAIza[0-9A-Za-z_-]{35}\b",
}


def python_files() -> Iterator[Path]:
    for room in CODE:
        yield from (ROOT / room).rglob("*.py")


def text_files() -> Iterator[Path]:
    """Every file of the rooms, and those at the root, that is text."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for room in (*CODE, *DATA_ROOMS, "locks", ".ci"):
        found += [path for path in (ROOT / room).rglob("*") if path.is_file()]
    texts = {".py", ".md", ".txt", ".yaml", ".yml", ".toml", ".json", ".sh", ".in", ".cfg", ""}
    yield from (path for path in found if path.suffix in texts)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def lock(name: str) -> str:
    return read(ROOT / "locks" / name)


def pins(name: str) -> set[str]:
    """Such as "torch==2.15.0", or with a marker where versions differ by platform."""
    return {line.rstrip(" \\") for line in lock(name).splitlines() if re.match(r"[a-z0-9]", line)}


def test_every_python_file_says_which_question_it_answers() -> None:
    silent = [str(path) for path in python_files() if not ast.get_docstring(ast.parse(read(path)))]
    assert not silent


def test_no_file_is_too_long_to_read_at_once() -> None:
    long = {str(path): len(read(path).splitlines()) for path in python_files()}
    assert not {path: lines for path, lines in long.items() if lines > MAX_LINES}


@pytest.mark.parametrize("room", DATA_ROOMS)
def test_rooms_of_data_are_not_packages(room: str) -> None:
    assert not list((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_no_host_and_no_machine(name: str) -> None:
    text = lock(name)
    assert "://" not in text
    assert not re.search(r"^\s*(--(index|extra-index|find-links)|-f |-i |-e |/)", text, re.M)
    assert not re.search(r" @ |/(home|root|tmp|opt)/", text)


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_of_a_lock_has_a_hash(name: str) -> None:
    entries = re.split(r"^(?=[a-z0-9])", lock(name), flags=re.M)[1:]
    assert entries
    assert not [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry]


@pytest.mark.parametrize("pin", ["mlflow==3.17.2", "trl==1.16.0"])
@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_what_is_pinned_in_the_project_is_pinned_in_the_locks(name: str, pin: str) -> None:
    assert pin in pins(name)


def test_development_tests_the_versions_that_users_get() -> None:
    assert pins("run.txt") <= pins("dev.txt")


@pytest.mark.parametrize("extra", ["train", "dev"])
def test_every_dependency_of_the_project_is_in_the_development_lock(extra: str) -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"][extra]]
    locked = {pin.split("==")[0] for pin in pins("dev.txt")}
    names = {re.split(r"[^A-Za-z0-9_.-]", one)[0].lower().replace("_", "-") for one in wanted}
    assert names <= locked, "run `make locks`"


def test_there_are_campaigns() -> None:
    assert {"quickstart", "claims"} <= {path.stem for path in CAMPAIGNS}


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_a_campaign_that_ships_parses_and_expands(path: Path) -> None:
    campaign = load_campaign(path)
    graph = expand(campaign)
    assert campaign.metadata.name == path.stem.replace("_", "-")
    assert len(graph.nodes) >= len(campaign.spec.stages)


@pytest.mark.parametrize("path", CAMPAIGNS, ids=lambda path: path.stem)
def test_the_stages_of_a_campaign_exist_and_take_its_params(path: Path) -> None:
    if "RPRM_DATA" in read(path) and "RPRM_DATA" not in os.environ:
        pytest.skip(f"{path.stem} digests real data, which RPRM_DATA would name")
    graph = expand(load_campaign(path))
    assert [one.node.name for one in resolve(graph)] == [node.name for node in graph.nodes]


@pytest.mark.parametrize("name", template_names())
def test_a_prompt_template_that_ships_loads(name: str) -> None:
    template = load_template(name)
    assert template.verdict.yes != template.verdict.no


def test_nothing_that_looks_like_a_secret_is_kept() -> None:
    found = [
        f"{path}: {kind}"
        for path in text_files()
        for kind, pattern in SECRETS.items()
        if re.search(pattern, read(path))
    ]
    assert not found


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_make_targets_of_a_document_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", read(ROOT / "Makefile"), re.M))
    assert set(re.findall(r"\bmake ([a-z][a-z0-9-]+)\b", code_of(name))) <= targets


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_verbs_of_a_document_exist(name: str) -> None:
    verbs = set(typer.main.get_group(cli.app).commands)
    assert set(re.findall(r"\bjobs ([a-z]+)\b", code_of(name))) <= verbs


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_files_a_document_names_exist(name: str) -> None:
    text = code_of(name) + " ".join(re.findall(r"\]\(([^)#:]+)\)", read(ROOT / name)))
    rooms = "|".join((*CODE, *DATA_ROOMS, "locks"))
    named = set(re.findall(rf"(?<![\w/.])(?:{rooms})/[\w./-]*\w", text))
    assert not {path for path in named if not (ROOT / path).exists()}


def code_of(name: str) -> str:
    """What a document sets as code, inline or as a block."""
    text = read(ROOT / name)
    return "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, re.S))


def test_ci_makes_what_the_readme_calls_the_tests() -> None:
    assert "make test" in code_of("README.md")
    assert re.search(r"^step make test$", read(ROOT / ".ci" / "run"), re.M)


def test_the_locks_and_the_readme_agree_on_python() -> None:
    project = tomllib.loads(read(ROOT / "pyproject.toml"))["project"]
    assert project["requires-python"] == ">=3.11"
    assert "(3, 11)" in read(ROOT / "locks" / "install.sh")
    assert "Python 3.11" in read(ROOT / "README.md")


def test_planning_imports_nothing_heavy() -> None:
    stages = sorted(
        f"rprm.stages.{path.stem}" for path in (ROOT / "rprm" / "stages").glob("[!_]*.py")
    )
    modules = ["jobs.cli", *stages]
    program = (
        "import importlib, json, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(json.loads(done.stdout))


@pytest.mark.parametrize("package", ["jobs", "rprm"])
def test_the_two_packages_name_each_other_only_in_campaigns(package: str) -> None:
    """Import-linter sees imports; this sees module names handed to importlib."""
    other = {"jobs": "rprm", "rprm": "jobs"}[package]
    pattern = re.compile(rf"import_module\(\s*[f]?[\"']{other}\b")
    assert not [str(p) for p in (ROOT / package).rglob("*.py") if pattern.search(read(p))]
