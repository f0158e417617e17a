"""Any bidirectional masked language model of transformers (BERT, RoBERTa, ModernBERT, ...) as a predictor.

The package works on ids as they are given. A model trained between [CLS] and [SEP] should see them: the prompt's ids
hold what comes before the response, its special tokens included, and the response's ids what is scored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vrpo_theory.checkpoints.family import Family

if TYPE_CHECKING:
    from vrpo_theory.models.masked_lm.predictor import MaskedLM
    from vrpo_theory.types import Case

__all__ = ["FAMILY", "MaskedLM", "case", "load"]

FAMILY: Family[MaskedLM] = Family(
    title="masked language models of transformers",
    model_type="",  # whatever no other family claims
    by_type=False,
    architectures=(),
    mask_names=("[MASK]", "<mask>"),
    checked="transformers' own logits: BERT, RoBERTa, ModernBERT kinds and 19 further families, four of them refused",
    unchecked="trained weights, a GPU",
    reader="vrpo_theory.models.masked_lm.checkpoint",
)
load = FAMILY.load
VOCABULARY, PROMPT = 32, 3
MASK = VOCABULARY - 1


def __getattr__(name: str) -> Any:
    """The predictor needs torch, so it is imported when first used."""
    if name != "MaskedLM":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from vrpo_theory.models.masked_lm.predictor import MaskedLM

    return MaskedLM


def case(seed: int, length: int = 8) -> Case:
    """Two random BERTs, the policy near the reference, and two different uniform responses to a prompt of 3 tokens."""
    import numpy as np

    from vrpo_theory.checkpoints.toy_pair import toy_pair
    from vrpo_theory.types import Case

    pair = toy_pair(np.random.default_rng(8000 + seed), MASK, PROMPT, length, f"masked-lm-{seed}")
    return Case(_toy(drift=0.1), _toy(drift=0.0), pair)


def _toy(drift: float) -> MaskedLM:
    """A BERT of two layers whose every parameter is noise, always the same, plus ``drift`` times more noise."""
    import numpy as np
    import torch
    from transformers import BertConfig, BertForMaskedLM

    from vrpo_theory.models.masked_lm.predictor import MaskedLM

    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48,
        max_position_embeddings=64,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):  # initial values, all replaced
        module = BertForMaskedLM(config)
    rng = np.random.default_rng(8999)
    for name, parameter in module.named_parameters():
        noise, more = rng.standard_normal((2, *parameter.shape))
        value = 0.3 * noise + drift * more + (1 if name.endswith("LayerNorm.weight") else 0)
        parameter.data = torch.tensor(value, dtype=torch.float32)
    return MaskedLM(module, MASK)
