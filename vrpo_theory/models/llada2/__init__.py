"""LLaDA2.0 and 2.1: blocks of 32, experts in groups and a shared one, fused projections (2.1: arXiv 2602.08676)."""

from vrpo_theory.checkpoints.decoders import NUMBERS, SIZES, Decoder

EXPERTS = ("moe_intermediate_size", "num_experts", "num_experts_per_tok", "n_group", "topk_group", "num_shared_experts")

FAMILY = Decoder(
    title="LLaDA2.0 and 2.1",
    model_type="llada2_moe",
    architectures=("LLaDA2MoeModelLM",),
    base="vrpo_theory.models.llada2.modeling.LLaDA2",
    sizes=(*SIZES, "head_dim", *EXPERTS),
    numbers=(*NUMBERS, "partial_rotary_factor", "routed_scaling_factor"),
    attention="blocks",
    usual_block=32,
    usual_mask=156895,
    mask_names=("<|mask|>",),
    # The chosen experts' weights are normalised whatever norm_topk_prob says, as in the release's code.
    only={
        "moe_router_enable_expert_bias": True, "norm_head": False, "norm_softmax": False, "router_dtype": "fp32",
        "score_function": "sigmoid", "use_qk_norm": True, "use_rmsnorm": True,
        "using_split_qkv_in_self_attention": False,
    },
    toy={
        "moe_intermediate_size": 16, "num_experts": 8, "num_experts_per_tok": 3, "n_group": 4, "topk_group": 2,
        "num_shared_experts": 1, "first_k_dense_replace": 1, "partial_rotary_factor": 0.5,
    },
    checked="the release's code (float64): logits, padded rows, two copies, per-block tables, ELBO, likelihood, "
    "margins; the 2.0-mini index",
    unchecked="trained weights, LLaDA2.0-flash, a GPU",
)  # fmt: skip
load, case = FAMILY.load, FAMILY.case
