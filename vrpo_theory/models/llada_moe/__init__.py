"""LLaDA-MoE: Qwen3's attention on all tokens, and experts whose weights are not normalised (arXiv 2509.24389)."""

from vrpo_theory.checkpoints.decoders import SIZES, Decoder

EXPERTS = ("num_experts", "num_experts_per_tok", "expert_intermediate_size", "dense_intermediate_size")

FAMILY = Decoder(
    title="LLaDA-MoE",
    model_type="llada",  # LLaDA's own, so the architecture decides
    by_type=False,
    architectures=("LLaDAMoEModelLM",),
    base="vrpo_theory.models.llada_moe.modeling.SparseQwen3",
    sizes=(*(name for name in SIZES if name != "intermediate_size"), *EXPERTS),
    usual_mask=156895,
    mask_names=("<|mask|>",),
    # norm_topk_prob is ignored by the release's code, and here.
    only={
        "clip_qkv": None, "moe_router_enable_expert_bias": False, "moe_router_score_function": "softmax",
        "partial_rotary_factor": 1, "qk_layernorm": True, "routed_scaling_factor": 1, "router_num_group": None,
        "router_topk_group": None, "shared_expert_intermediate_size": None,
    },
    implied=lambda options: {
        "intermediate_size": options["dense_intermediate_size"],
        "head_dim": options["hidden_size"] // options["num_attention_heads"],
    },
    toy={
        "num_key_value_heads": 4, "num_experts": 8, "num_experts_per_tok": 3, "expert_intermediate_size": 16,
        "dense_intermediate_size": 48, "moe_layer_freq": [0, 1],
    },
    checked="dllm's adaptation of the release's code (float64): logits, padded rows, tables, ELBO, likelihood, margins",
    unchecked="config.json and index of the release (values as reported), trained weights, a GPU",
)  # fmt: skip
load, case = FAMILY.load, FAMILY.case
