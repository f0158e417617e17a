"""A2D: Qwen3 made a diffusion model by the dllm library, with full attention (mdlm) or with blocks (bd3lm)."""

from vrpo_theory.checkpoints.decoders import SIZES, Decoder

FAMILY = Decoder(
    title="A2D of Qwen3",
    model_type="a2d-qwen3",
    architectures=("A2DQwen3LMHeadModel",),
    base="transformers.Qwen3ForCausalLM",
    sizes=(*SIZES, "head_dim"),
    attention="either",
    usual_block=32,
    usual_mask=151669,
    mask_names=("<|mask|>",),
    checked="dllm's own code (float64): logits, padded rows, tables, ELBO, likelihood, margins; with blocks two copies",
    unchecked="trained weights, a GPU",
)
load, case = FAMILY.load, FAMILY.case
