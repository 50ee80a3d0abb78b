"""Does a fleet become the command and the environment that vLLM needs?"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.backends.replicas import PORT
from jobs.fleet.sources import model_source, python_with_vllm
from jobs.fleet.vllm_command import ModelSource, Serving, command, environment
from jobs.spec.errors import ConfigError


def serving(**engine: Any) -> Serving:
    return Serving(
        source=ModelSource(model="org/judge", revision="abc"),
        name="judge",
        engine=engine,
        cpus=3,
        gpus=0,
        memory_bytes=8 * 1024**3,
    )


def flags(made: tuple[str, ...]) -> dict[str, str]:
    """Each flag with what follows it."""
    after = [*made[1:], "--"]
    return {
        flag: "" if value.startswith("--") else value
        for flag, value in zip(made, after, strict=True)
        if flag.startswith("--")
    }


def test_the_command_serves_the_model_under_its_name_on_a_port_of_the_host() -> None:
    made = command("py", serving())
    assert made[:3] == ("py", "-m", "vllm.entrypoints.openai.api_server")
    found = flags(made)
    assert found["--model"] == "org/judge"
    assert found["--revision"] == "abc"
    assert found["--served-model-name"] == "judge"
    assert found["--port"] == PORT
    assert found["--host"] == "127.0.0.1"


def test_nothing_but_safetensors_and_the_clients_own_sampling_is_served() -> None:
    found = flags(command("py", serving()))
    assert found["--load-format"] == "safetensors"
    assert found["--generation-config"] == "vllm"
    assert "--trust-remote-code" not in found


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ({"max_num_seqs": 64}, ["--max-num-seqs", "64"]),  # a value
        ({"enforce_eager": True}, ["--enforce-eager"]),  # a switch that is on
        ({"enable_prefix_caching": False}, ["--no-enable-prefix-caching"]),  # and one that is off
        ({"hf_overrides": {"a": 1}}, ["--hf-overrides", '{"a": 1}']),  # JSON
        ({"lora_modules": ["a=b", "c=d"]}, ["--lora-modules", "a=b", "c=d"]),  # several values
        ({"load_format": "dummy"}, ["--load-format", "dummy"]),  # a default that is overruled
    ],
)
def test_arguments_are_those_of_vllm(engine: dict[str, Any], expected: list[str]) -> None:
    made = list(command("py", serving(**engine)))
    start = made.index(expected[0])
    assert made[start : start + len(expected)] == expected
    assert made.count(expected[0]) == 1


def test_a_cpu_reads_prompts_whole_and_keeps_half_of_its_memory_for_the_cache() -> None:
    made = command("py", serving())
    assert "--no-enable-chunked-prefill" in made
    assert flags(made)["--block-size"] == "32"
    found = environment(serving())
    assert found["VLLM_CPU_KVCACHE_SPACE"] == "4"
    assert found["OMP_NUM_THREADS"] == "3"


def test_a_gpu_reads_prompts_in_parts() -> None:
    on_gpu = Serving(
        source=ModelSource(model="m"), name="m", engine={}, cpus=1, gpus=1, memory_bytes=1
    )
    assert "--no-enable-chunked-prefill" not in command("py", on_gpu)
    assert not any("CPU" in name for name in environment(on_gpu))


def test_as_many_sequences_run_at_once_as_the_engine_is_told() -> None:
    assert serving(max_num_seqs=7).max_num_seqs == 7
    assert serving().max_num_seqs == 256


def test_a_hub_model_keeps_its_revision(tmp_path: Path) -> None:
    found = model_source("org/name@main", tmp_path)
    assert (found.model, found.revision, found.tokenizer) == ("org/name", "main", None)


@pytest.mark.parametrize(
    ("name", "apart"),
    [
        ("TokenizersBackend", True),  # the model type's own would be taken for it
        ("Qwen2Tokenizer", False),  # it is the model type's own
    ],
)
def test_a_generic_tokenizer_is_given_without_the_models_configuration(
    tmp_path: Path, name: str, apart: bool
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer.json").write_text("{}")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name}))
    found = model_source(str(folder), tmp_path / "apart")
    assert (found.tokenizer is not None) == apart
    if found.tokenizer is not None:
        assert {one.name for one in found.tokenizer.iterdir()} == {
            "tokenizer.json",
            "tokenizer_config.json",
        }


def test_a_python_that_is_named_and_not_there_is_an_error() -> None:
    with pytest.raises(ConfigError, match="RPRM_VLLM names /no/such"):
        python_with_vllm({"RPRM_VLLM": "/no/such/python"})
