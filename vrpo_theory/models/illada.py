"""iLLaDA: Llama that sees all tokens (arXiv 2606.25331)."""

from vrpo_theory.checkpoints.decoders import Decoder

FAMILY = Decoder(
    title="iLLaDA",
    model_type="illada",  # a guess: no config.json of the release was at hand, so its architecture decides
    by_type=False,
    architectures=("ILLaDAForCausalLM",),
    base="transformers.LlamaForCausalLM",
    usual_mask=5,
    mask_names=("<[MASK]>",),
    only={"layer_norm_eps": None},
    checked="a transcription of the release's code (float64): logits, padded rows, tables, ELBO, likelihood, margins",
    unchecked="config.json and index of the release (sizes are the model card's), trained weights, a GPU",
)
load, case = FAMILY.load, FAMILY.case
