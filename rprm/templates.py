"""What does a prompt template say, and what does it make of a case?  Text only, no token ids.

A template is a text file in `rprm/prompts` (or any path): YAML front matter, then the prompt with
the placeholders {question}, {previous_steps} and {now_step}, in this order, so that the steps of a
solution share a growing prefix.  The hash of the file's bytes is the identity of the experiment's
prompt.  The file's last newline ends its last line and is no part of the prompt; every other
character is, trailing blanks included.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import pydantic
import yaml

from rprm.engines.base import VerdictFormat
from rprm.errors import BadInput
from rprm.schema import Case

SLOTS = ("question", "previous_steps", "now_step")
SLOT = re.compile("{(" + "|".join(SLOTS) + ")}")
_STEP_SLOT = re.compile("{(index|text)}")
_FENCE = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shot:
    """One worked example, shown as an earlier turn of the conversation."""

    user: str
    assistant: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Template:
    name: str
    text: str
    sha256: str
    """Of the file's bytes; part of every artifact that depends on the prompt."""
    verdict: VerdictFormat
    step: str = "Step {index}: {text}"
    step_separator: str = "\n"
    first_step: str = ""
    """What stands for the previous steps of a first step."""
    chat: bool = True
    system: str | None = None
    shots: tuple[Shot, ...] = ()
    stop: tuple[str, ...] = ()


class _Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class _Verdict(_Strict):
    prefix: str = ""
    marker: str = pydantic.Field(min_length=1)
    yes: str = pydantic.Field(min_length=1)
    no: str = pydantic.Field(min_length=1)


class _Shot(_Strict):
    user: str
    assistant: str


class _Front(_Strict):
    """The front matter of a template file; `Template` says what the fields mean."""

    verdict: _Verdict
    step: str = "Step {index}: {text}"
    step_separator: str = "\n"
    first_step: str = ""
    chat: bool = True
    system: str | None = None
    shots: list[_Shot] = []
    stop: list[str] = []


def template_names() -> list[str]:
    folder = resources.files("rprm") / "prompts"
    return sorted(entry.name[:-4] for entry in folder.iterdir() if entry.name.endswith(".txt"))


def load_template(name_or_path: str | Path) -> Template:
    """A template of this package by its name, or any file by its path (with a / or .txt)."""
    given = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in given or given.endswith(".txt"):
        return _from_path(Path(given))
    names = template_names()
    if given not in names:
        close = difflib.get_close_matches(given, names, n=1)
        fix = f"did you mean {close[0]!r}? " if close else ""
        raise BadInput(
            f"no prompt template is called {given!r}.",
            fix=f"{fix}use one of {', '.join(names)}, or the path of a .txt file",
        )
    entry = resources.files("rprm") / "prompts" / f"{given}.txt"
    return parse_template(entry.read_bytes(), name=given)


def _from_path(path: Path) -> Template:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"cannot read the prompt template {path}: {error.strerror}.",
            fix=f"give the path of a file, or one of the names {', '.join(template_names())}",
        ) from error
    return parse_template(data, name=path.stem)


def parse_template(data: bytes, *, name: str) -> Template:
    """Raises BadInput with every problem of the file."""
    try:
        found = _FENCE.match(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadInput(f"template {name}: not UTF-8.", fix="save the file as UTF-8") from error
    if found is None:
        raise BadInput(
            f"template {name}: has no front matter.",
            fix="start the file with a line '---', YAML, and another line '---' (Unix newlines)",
        )
    front = _front(found[1], name=name)
    template = Template(
        name=name,
        text=found[2].removesuffix("\n"),
        sha256=hashlib.sha256(data).hexdigest(),
        verdict=VerdictFormat(**front.verdict.model_dump()),
        shots=tuple(Shot(user=shot.user, assistant=shot.assistant) for shot in front.shots),
        stop=tuple(front.stop),
        **front.model_dump(exclude={"verdict", "shots", "stop"}),
    )
    problems = _problems(template)
    if problems:
        raise BadInput("\n  ".join([f"template {name}:", *problems]))
    return template


def _front(text: str, *, name: str) -> _Front:
    try:
        return _Front.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise BadInput(f"template {name}: its front matter is not YAML: {error}") from error
    except pydantic.ValidationError as error:
        lines = [_explain(problem["loc"], problem["msg"]) for problem in error.errors()]
        raise BadInput("\n  ".join([f"template {name}:", *lines])) from error


def _explain(location: tuple[int | str, ...], message: str) -> str:
    path = ".".join(map(str, location))
    if message == "Keys should be strings":  # YAML reads an unquoted yes as true
        return f'{path}: {message}. Fix: write "yes" and "no" in quotes'
    close = difflib.get_close_matches(str(location[-1]) if location else "", _KEYS, n=1)
    hint = f", did you mean {close[0]!r}?" if close and close[0] != location[-1] else ""
    return f"{path}: {message}{hint}"


_KEYS = [*_Front.model_fields, *_Verdict.model_fields, *_Shot.model_fields]


def _problems(template: Template) -> list[str]:
    problems = []
    found = tuple(SLOT.findall(template.text))
    if found != SLOTS:
        wanted = ", ".join(f"{{{slot}}}" for slot in SLOTS)
        problems.append(f"must contain {wanted} once each and in this order, has {list(found)}")
    if _STEP_SLOT.findall(template.step).count("text") != 1:
        problems.append("step: must contain {text} once")
    verdict = template.verdict
    if verdict.yes.startswith(verdict.no) or verdict.no.startswith(verdict.yes):
        problems.append("verdict: one verdict word begins with the other, so they cannot be told")
    if not template.chat and (template.system is not None or template.shots):
        problems.append("system and shots are turns of a conversation. Fix: set chat: true")
    return problems


def step_text(template: Template, index: int, text: str) -> str:
    """`index` is 0-based; the judge reads it 1-based."""
    values = {"index": str(index + 1), "text": text}
    return _STEP_SLOT.sub(lambda match: values[match[1]], template.step)


def slot_values(template: Template, case: Case) -> dict[str, str]:
    steps = [step_text(template, s, text) for s, text in enumerate(case.previous_steps)]
    return {
        "question": case.question,
        "previous_steps": template.step_separator.join(steps) if steps else template.first_step,
        "now_step": step_text(template, case.step, case.now_step),
    }


def render_text(template: Template, case: Case) -> str:
    """The user's message of a chat template, the whole prompt of a raw one."""
    values = slot_values(template, case)
    return SLOT.sub(lambda match: values[match[1]], template.text)


def messages(template: Template, case: Case) -> list[dict[str, str]]:
    """The conversation, for services that take messages instead of token ids."""
    return conversation(template, render_text(template, case))


def conversation(template: Template, user: str) -> list[dict[str, str]]:
    turns = [("system", template.system)] if template.system is not None else []
    for shot in template.shots:
        turns += [("user", shot.user), ("assistant", shot.assistant)]
    turns.append(("user", user))
    return [{"role": role, "content": content or ""} for role, content in turns]
