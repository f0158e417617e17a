"""Dream and DiffuCoder: Qwen2 that sees all tokens and, as before, predicts the next one (arXiv 2508.15487)."""

from vrpo_theory.checkpoints.decoders import Decoder

FAMILY = Decoder(
    title="Dream and DiffuCoder",
    model_type="Dream",
    architectures=("DreamModel",),
    base="transformers.Qwen2ForCausalLM",
    shift=1,
    usual_mask=151666,
    mask_names=("<|mask|>",),
    only={"use_mrope": False},
    checked="Dream's own code (float64): logits, padded rows, per-mask tables, ELBO, likelihood, margins; the 7B index",
    unchecked="trained weights, DiffuCoder's files, a GPU",
)
load, case = FAMILY.load, FAMILY.case
