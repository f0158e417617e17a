"""SDAR and TraDo: Qwen3 whose tokens see their own block of 4 and all earlier ones (arXiv 2510.06303)."""

from vrpo_theory.checkpoints.decoders import SIZES, Decoder

FAMILY = Decoder(
    title="SDAR and TraDo",
    model_type="sdar",
    architectures=("SDARForCausalLM",),
    base="transformers.Qwen3ForCausalLM",
    sizes=(*SIZES, "head_dim"),
    attention="blocks",
    usual_block=4,
    usual_mask=151669,
    checked="SDAR's own code (float64): logits, padded rows, two copies, per-block tables, ELBO, likelihood, margins; "
    "the 4B and 8B indices",
    # Its fused norm is said to multiply by the weight before it rounds to bfloat16, Qwen3's after.
    unchecked="trained weights, bfloat16, TraDo's files, a GPU",
)
load, case = FAMILY.load, FAMILY.case
