"""What does a judged step cost a 7B judge on one GPU, beside the two-pass way?

Run with:  python3 tests/bench/gpu_two_pass.py            one GPU of 80 GB, about three minutes
           python3 tests/bench/gpu_two_pass.py --tiny     anywhere: does it run?

Needs torch, transformers, tokenizers, numpy and pyyaml; no network, no vLLM, no weights.

Model     Qwen2 of the 7B shape with random weights in bfloat16: it costs what a trained one costs.
          Texts of a fixed length, as none of its own would end
One pass  the engine in process draws K critiques of every step and reads P(Yes) along with them
Two       the same engine draws them without P(Yes), then a second model of the same shape, loaded
passes    beside the first, reads every critique again, one after the other, by its plain forward
Sanity    on this device, with the small world's base model in float32: greedy tokens are those of
          `generate`, and P(Yes) is that of a plain forward over the same tokens
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from rprm.engines.base import Completion, Request, SamplingParams, VerdictFormat  # noqa: E402
from rprm.engines.batching import Limits  # noqa: E402
from rprm.engines.loading import (  # noqa: E402
    EngineOptions,
    batch_tokens,
    choose_attention,
    prefill_tokens,
)
from rprm.engines.sampling_loop import Judge, SamplingLoop  # noqa: E402
from rprm.engines.stopping import token_texts  # noqa: E402
from rprm.engines.transformers import TransformersEngine  # noqa: E402
from rprm.engines.verdict_tokens import verdict_token_ids  # noqa: E402

CHAIN_BASE = ROOT / "rprm" / "data" / "chain_base"
VERDICT = VerdictFormat(marker="correct ?", yes=" yes", no=" no")
BELIEF_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Size:
    model: dict[str, int]
    steps: int
    critiques: int
    prompt: int
    critique: int


QWEN2_7B = Size(
    model={
        "num_hidden_layers": 28,
        "hidden_size": 3584,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "intermediate_size": 18944,
        "vocab_size": 152_064,
    },
    steps=51,  # all critiques run side by side
    critiques=10,
    prompt=900,
    critique=400,
)
TINY = Size(
    model={
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 128,
        "vocab_size": 512,
    },
    steps=4,
    critiques=3,
    prompt=30,
    critique=16,
)


def random_model(size: Size, device: str) -> Any:
    """Made where it runs: a copy from the host would take longer than the bench."""
    config = Qwen2Config(**size.model, max_position_embeddings=8192, tie_word_embeddings=False)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.bfloat16, attn_implementation="sdpa"
        )
    return model.eval().requires_grad_(False)


def word_tokenizer(vocabulary: int) -> Any:
    words = ["correct", "?", "yes", "no", *(f"w{token}" for token in range(4, vocabulary))]
    made = Tokenizer(models.WordLevel({word: token for token, word in enumerate(words)}, "?"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(tokenizer_object=made)


def requests_of(size: Size) -> list[Request]:
    made = torch.Generator().manual_seed(0)
    shape = (size.steps, size.prompt)
    prompts = torch.randint(4, size.model["vocab_size"], shape, generator=made).tolist()
    return [
        Request(id=str(step), prompt_T=tuple(prompt), n=size.critiques, seed=step)
        for step, prompt in enumerate(prompts)
    ]


def draw(judge: Judge, requests: Sequence[Request], params: SamplingParams) -> list[Completion]:
    options = EngineOptions()
    limits = Limits(
        rows=options.max_rows,
        batch_tokens=batch_tokens(judge.model, options),
        prefill_tokens=prefill_tokens(judge.model, options),
    )
    return list(SamplingLoop(judge, requests, params, limits).run())


@torch.inference_mode()
def read_again(
    model: Any, tokens: Any, requests: Sequence[Request], drawn: Sequence[Completion]
) -> int:
    """P(Yes) after every critique, one at a time.  Returns how many."""
    prompts = {one.id: one.prompt_T for one in requests}
    texts = [
        (*prompts[answer.id], *sample.token_ids) for answer in drawn for sample in answer.samples
    ]
    for text in texts:
        inputs = torch.tensor([text], device=model.device)
        logits = model(input_ids=inputs, logits_to_keep=1).logits[0, -1].float()
        float(torch.sigmoid(logits[tokens.yes] - logits[tokens.no]))
    return len(texts)


def seconds(device: str, began_s: float) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.monotonic() - began_s


def compare(size: Size, device: str) -> None:
    began_s = time.monotonic()
    first, second = (random_model(size, device) for _ in range(2))
    tokenizer = word_tokenizer(size.model["vocab_size"])
    judge = Judge(
        model=choose_attention(first, CHAIN_BASE),
        tokenizer=tokenizer,
        eos=frozenset(),
        texts_V=token_texts(tokenizer, size.model["vocab_size"]),
    )
    say("models made", f"{seconds(device, began_s):.1f} s")
    say("attention", first.config._attn_implementation)
    requests = requests_of(size)
    bare = SamplingParams(max_tokens=size.critique)
    judged = replace(bare, verdict=VERDICT)
    tokens = verdict_token_ids(tokenizer, VERDICT)
    warm = draw(judge, requests[:2], replace(judged, max_tokens=8))  # whatever compiles
    read_again(second, tokens, requests, warm[:1])

    began_s = time.monotonic()
    drawn = draw(judge, requests, judged)
    one_pass_s = seconds(device, began_s)
    count = sum(len(sample.token_ids) for answer in drawn for sample in answer.samples)
    assert count == size.steps * size.critiques * size.critique, "every text has its full length"

    began_s = time.monotonic()
    drawn = draw(judge, requests, bare)
    drawn_s = seconds(device, began_s)
    read = read_again(second, tokens, requests, drawn)
    two_passes_s = seconds(device, began_s)

    say("steps x critiques x tokens", f"{size.steps} x {size.critiques} x {size.critique}")
    say("one pass", f"{one_pass_s / size.steps:.3f} s per step, {count / one_pass_s:.0f} tokens/s")
    say("two passes, drawing", f"{drawn_s / size.steps:.3f} s per step")
    say("two passes, reading", f"{1000 * (two_passes_s - drawn_s) / read:.1f} ms per critique")
    say("two passes", f"{two_passes_s / size.steps:.3f} s per step")
    say("one pass is faster by", f"{two_passes_s / one_pass_s:.2f} x")


def sanity(device: str) -> None:
    options = EngineOptions(device=device, dtype="float32")
    engine = TransformersEngine(CHAIN_BASE, threads=torch.get_num_threads(), options=options)
    made = torch.Generator().manual_seed(1)
    requests = [
        Request(
            id=str(length),
            prompt_T=tuple(torch.randint(3, 46, (length,), generator=made).tolist()),
            n=1,
            seed=length,
        )
        for length in range(5, 45, 5)
    ]
    plain = AutoModelForCausalLM.from_pretrained(str(CHAIN_BASE), dtype=torch.float32).to(device)
    plain.eval()
    say("greedy tokens as generate's", greedy(engine, plain, requests))
    say("largest error of a belief", f"{belief_error(engine, plain, requests):.2g}")


@torch.inference_mode()
def greedy(engine: TransformersEngine, plain: Any, requests: Sequence[Request]) -> str:
    same = 0
    for answer in engine.sample(requests, SamplingParams(temperature=0, max_tokens=40)):
        prompt = next(one.prompt_T for one in requests if one.id == answer.id)
        inputs = torch.tensor([prompt], device=plain.device)
        assert isinstance(answer, Completion)
        expected = plain.generate(
            inputs,
            attention_mask=torch.ones_like(inputs),
            max_new_tokens=40,
            do_sample=False,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        same += list(answer.samples[0].token_ids) == expected
    assert same == len(requests)
    return f"{same} of {len(requests)}"


@torch.inference_mode()
def belief_error(engine: TransformersEngine, plain: Any, requests: Sequence[Request]) -> float:
    """With the word that the model writes most as the marker: a base model knows no verdicts."""
    drawn = list(engine.sample(requests, SamplingParams(max_tokens=40)))
    said = Counter(
        word for one in drawn if isinstance(one, Completion) for word in one.samples[0].text.split()
    )
    verdict = replace(VERDICT, marker=said.most_common(1)[0][0])
    marker = engine.tokenizer.encode(verdict.marker, add_special_tokens=False)[-1]
    tokens = verdict_token_ids(engine.tokenizer, verdict)
    errors = []
    for answer in engine.sample(requests, SamplingParams(max_tokens=40, verdict=verdict)):
        assert isinstance(answer, Completion)
        sample = answer.samples[0]
        if sample.p_yes is None:
            continue
        prompt = next(one.prompt_T for one in requests if one.id == answer.id)
        text = (*prompt, *sample.token_ids[: sample.token_ids.index(marker) + 1])
        logits = plain(input_ids=torch.tensor([text], device=plain.device)).logits[0, -1]
        expected = float(torch.sigmoid(logits[tokens.yes] - logits[tokens.no]))
        errors.append(abs(sample.p_yes - expected))
    assert errors, "no text has the marker"
    assert max(errors) <= BELIEF_TOLERANCE
    return max(errors)


def say(what: str, value: str) -> None:
    sys.stdout.write(f"{what:28} {value}\n")
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--tiny", action="store_true", help="a tiny model, on whatever is there")
    size = TINY if parser.parse_args().tiny else QWEN2_7B
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if size is QWEN2_7B and device == "cpu":
        sys.exit("This needs a GPU; --tiny does not.")
    say("device", torch.cuda.get_device_name() if device == "cuda" else "CPU")
    sanity(device)
    compare(size, device)
    if device == "cuda":
        say("peak memory", f"{torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


if __name__ == "__main__":
    main()
