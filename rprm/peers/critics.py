"""Which language models are known as critics, where are they asked, and what do they take?

By the rules of ProcessBench's own script: greedy decoding, or votes at temperature 1 and top_p
0.9; its exceptions go by the model's name (Qwen2.5-Math votes cooler, QwQ writes longer).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rprm.engines.chat import REASONING, ChatSampling, Traits

OPENAI = "https://api.openai.com/v1"
SEED = 42
GREEDY = ChatSampling(temperature=0.0, seed=SEED)
VOTING = ChatSampling(temperature=1.0, top_p=0.9, seed=SEED)
VOTING_QWEN_MATH = ChatSampling(temperature=0.7, top_p=0.8, top_k=20, seed=SEED)
MAX_TOKENS = 8192
MAX_TOKENS_LONG = 32768
"""Of models that reason before they answer: QwQ by the script's rule, o1-mini by ours, since its
hidden reasoning counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CriticModel:
    name: str
    """What rows and reports call it."""
    model: str
    """What a server calls it: a Hub id, or the name of a hosted model."""
    base_url: str | None = None
    """None: whoever runs the campaign also serves the model."""
    key_env: str | None = None
    traits: Traits = Traits()  # noqa: RUF009 - frozen
    max_tokens: int = MAX_TOKENS
    voting: ChatSampling = VOTING

    def sampling(self, votes: int) -> ChatSampling:
        """For ProcessBench: one greedy critique, or several sampled ones."""
        return replace(GREEDY if votes == 1 else self.voting, max_tokens=self.max_tokens)


def _served(model: str) -> CriticModel:
    """A model that somebody serves under its Hub id."""
    return CriticModel(
        name=model.rpartition("/")[2],
        model=model,
        max_tokens=MAX_TOKENS_LONG if "QwQ" in model else MAX_TOKENS,
        voting=VOTING_QWEN_MATH if "Qwen2.5-Math" in model else VOTING,
    )


CRITICS = {
    critic.name: critic
    for critic in (
        CriticModel(
            name="gpt-4o-2024-08-06",
            model="gpt-4o-2024-08-06",
            base_url=OPENAI,
            key_env="OPENAI_API_KEY",
        ),
        CriticModel(
            name="o1-mini",
            model="o1-mini",
            base_url=OPENAI,
            key_env="OPENAI_API_KEY",
            traits=REASONING,
            max_tokens=MAX_TOKENS_LONG,
        ),
        _served("meta-llama/Llama-3.3-70B-Instruct"),
        _served("Qwen/Qwen2.5-72B-Instruct"),
        _served("Qwen/Qwen2.5-Math-72B-Instruct"),
        _served("Qwen/QwQ-32B-Preview"),
    )
}


def critic_model(name: str) -> CriticModel:
    """A known critic by its name or Hub id; any other name is a model that somebody serves."""
    by_id = {critic.model: critic for critic in CRITICS.values()}
    return CRITICS.get(name) or by_id.get(name) or _served(name)
