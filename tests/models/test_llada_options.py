"""Every option of the configuration is honoured, against a forward pass written independently, or refused by name."""

from zlib import crc32

import numpy as np
import pytest
import torch
from scipy.special import log_softmax as normalised

from vrpo_theory import rounding
from vrpo_theory.errors import InputError
from vrpo_theory.models.llada import LLaDA, LLaDAConfig, LLaDAModelLM

BASE = {
    "d_model": 24,
    "n_heads": 4,
    "n_layers": 2,
    "mlp_hidden_size": 40,
    "vocab_size": 30,
    "embedding_size": 30,
    "mask_token_id": 29,
    "max_sequence_length": 32,
}
IDS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6, 29, 3], [2, 7, 1, 8, 29, 8, 1, 8, 2, 0]])
ROTATED = rounding.relative("float32", IDS.shape[1], BASE["n_layers"])
"""Of the rotations, float32 in every model: an angle is a product with a position, once a layer."""
VISIBLE = torch.tensor([[1] * 10, [0, 0] + [1] * 7 + [0]])


def build(**options):
    """A float64 model whose every tensor is noise, the same noise wherever name and shape agree."""
    with torch.random.fork_rng(devices=[]):
        module = LLaDAModelLM(LLaDAConfig(**{**BASE, **options})).double().eval()
    for name, parameter in module.named_parameters():
        generator = torch.Generator().manual_seed(crc32(name.encode()))
        noise = 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data.copy_(noise + 1 if "norm" in name or "ln_f" in name else noise)
    return module


def close(a, b, relative):
    """To a share of the largest logit."""
    np.testing.assert_allclose(a, b, atol=relative * np.abs(b).max(), rtol=0)


def of_float64(module):
    return rounding.of_model(LLaDA(module), IDS.shape[1])


@torch.no_grad()
def logits(module):
    return module(IDS, VISIBLE).logits.numpy()


def expected_logits(module):
    """The architecture in numpy: complex rotations, one head at a time, no mask but the padding's."""
    c, weights = module.config, {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    head = c.d_model // c.n_heads

    def linear(name, x):
        return x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0)

    def norm(name, x):
        return weights[f"{name}.weight"] * x / np.sqrt(np.mean(x**2, -1, keepdims=True) + c.rms_norm_eps)

    def rotated(x):
        speed = c.rope_theta ** (-np.arange(head // 2) / (head / 2))
        z = (x[:, : head // 2] + 1j * x[:, head // 2 :]) * np.exp(1j * np.outer(np.arange(len(x)), speed))
        return np.concatenate([z.real, z.imag], -1)

    def attend(block, x, visible):
        q, k, v = (linear(f"{block}.{p}_proj", x).reshape(len(x), -1, head) for p in "qkv")
        out = []
        for h in range(c.n_heads):
            g = h * k.shape[1] // c.n_heads
            odds = np.exp(rotated(q[:, h]) @ rotated(k[:, g]).T / np.sqrt(head)) * visible
            out.append(odds / odds.sum(-1, keepdims=True) @ v[:, g])
        return linear(f"{block}.attn_out", np.concatenate(out, -1))

    def forward(ids, visible):
        x = weights["model.transformer.wte.weight"][ids]
        for i in range(c.n_layers):
            block = f"model.transformer.blocks.{i}"
            x = x + attend(block, norm(f"{block}.attn_norm", x), visible)
            h = norm(f"{block}.ff_norm", x)
            gate = linear(f"{block}.ff_proj", h)
            x = x + linear(f"{block}.ff_out", gate / (1 + np.exp(-gate)) * linear(f"{block}.up_proj", h))
        x = linear("model.transformer.ff_out", norm("model.transformer.ln_f", x))
        return x / np.sqrt(c.d_model) if c.scale_logits else x

    return np.stack([forward(ids, visible) for ids, visible in zip(IDS.numpy(), VISIBLE.numpy(), strict=True)])


OPTIONS = [
    {"n_kv_heads": 2},
    {"n_kv_heads": 1},
    {"multi_query_attention": True},
    {"n_kv_heads": 1, "multi_query_attention": True},
    {"include_qkv_bias": True},
    {"include_bias": True},
    {"embedding_size": 128},
    {"rope_theta": 100.0},
    {"rms_norm_eps": 0.1},
    {"weight_tying": True},
    {"weight_tying": True, "include_bias": True},
    {"mlp_hidden_size": None, "mlp_ratio": 3},
    {"scale_logits": True},
    {"n_heads": 2},
]


@pytest.fixture(scope="module")
def plain():
    return logits(build())


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_option_gives_the_numbers_of_an_independent_forward(options, plain):
    module = build(**options)
    value = logits(module)
    close(value, expected_logits(module), ROTATED)
    assert np.abs(normalised(value, -1)[..., :30] - normalised(plain, -1)).max() > 1e-2


def test_plain_options_give_the_numbers_of_an_independent_forward(plain):
    close(plain, expected_logits(build()), ROTATED)


@pytest.mark.parametrize(
    "options",
    [
        {"n_kv_heads": None},
        {"n_kv_heads": 4, "multi_query_attention": False},
        {"embedding_size": None},
        {"eos_token_id": None, "pad_token_id": None},
        {"eos_token_id": [2, 3], "use_cache": True},
        {"attention_dropout": 0.1, "embedding_dropout": 0.1, "residual_dropout": 0.1},
        {"max_sequence_length": 4096},
        {
            "precision": "fp32",
            "init_fn": "normal",
            "init_device": "cpu",
            "flash_attention": True,
            "alibi_bias_max": 4.0,
        },
    ],
    ids=str,
)
def test_option_that_changes_no_number(options, plain):
    """Bit for bit: the same tensors in the same operations."""
    assert np.array_equal(logits(build(**options)), plain)


def test_grouped_heads_equal_repeated_heads():
    grouped, full = build(n_kv_heads=2), build()
    weights = grouped.state_dict()
    for name in weights:
        if "k_proj" in name or "v_proj" in name:
            weights[name] = weights[name].unflatten(0, (2, 6)).repeat_interleave(2, 0).flatten(0, 1)
    full.load_state_dict(weights)
    close(logits(grouped), logits(full), of_float64(full))


@pytest.mark.parametrize("option", ["include_qkv_bias", "include_bias"])
def test_zero_bias_equals_no_bias(option, plain):
    module = build(**{option: True})
    biases = [parameter for name, parameter in module.named_parameters() if name.endswith("bias")]
    assert len(biases) == {"include_qkv_bias": 6, "include_bias": 15}[option]
    for bias in biases:
        bias.data.zero_()
    close(logits(module), plain, of_float64(module))


def test_tied_head_has_no_bias():
    head = "model.transformer.ff_out.bias"
    assert head in build(include_bias=True).state_dict()
    assert head not in build(include_bias=True, weight_tying=True).state_dict()


UNSUPPORTED = {
    "activation_type": "swiglu",
    "alibi": True,
    "attention_layer_norm": True,
    "bias_for_layer_norm": True,
    "block_group_size": 2,
    "block_type": "sequential",
    "clip_qkv": 8.0,
    "input_emb_norm": True,
    "layer_norm_type": "default",
    "layer_norm_with_affine": False,
    "quantization_config": {"bits": 4},
    "rope": False,
    "rope_full_precision": False,
    "rope_parameters": {"rope_type": "linear", "factor": 2.0},
    "rope_scaling": {"rope_type": "linear", "factor": 2.0},
}
MALFORMED = [
    ("d_model", "64"),
    ("d_model", 24.0),
    ("n_layers", 0),
    ("n_heads", True),
    ("n_heads", 5),
    ("n_heads", 8),
    ("n_kv_heads", 3),
    ("multi_query_attention", 1),
    ("vocab_size", None),
    ("vocab_size", -1),
    ("embedding_size", 29),
    ("mask_token_id", 30),
    ("mask_token_id", None),
    ("mask_token_id", -1),
    ("mlp_hidden_size", "wide"),
    ("mlp_ratio", 2.5),
    ("max_sequence_length", 0),
    ("rms_norm_eps", 0.0),
    ("rope_theta", float("nan")),
    ("rope_theta", "500000"),
    ("weight_tying", "false"),
    ("include_bias", None),
    ("scale_logits", 1),
    ("alibi", 0),
    ("block_group_size", True),
    ("eos_token_id", "eos"),
    ("eos_token_id", [2, -1]),
    ("residual_dropout", 1.5),
]


@pytest.mark.parametrize(("name", "value"), [*UNSUPPORTED.items(), *MALFORMED])
def test_unsupported_value_is_refused_by_name(name, value):
    with pytest.raises(InputError, match=name) as error:
        LLaDAConfig(**{**BASE, name: value})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("multi_query_attention", {"n_kv_heads": 2, "multi_query_attention": True}),
        ("multi_query_attention", {"n_kv_heads": 2, "multi_query_attention": False}),
        ("bias_for_layer_norm", {"include_bias": True, "bias_for_layer_norm": None}),
    ],
)
def test_contradiction_is_refused_by_name(name, options):
    with pytest.raises(InputError, match=name):
        LLaDAConfig(**{**BASE, **options})


@pytest.mark.parametrize("name", ["block_type", "alibi", "rope"])
def test_model_refuses_what_was_set_after_construction(name):
    config = LLaDAConfig(**BASE)
    setattr(config, name, UNSUPPORTED[name])
    with pytest.raises(InputError, match=name):
        LLaDAModelLM(config)


def test_saved_keys_are_the_official_ones():
    saved = LLaDAConfig(**BASE, precision="amp_bf16").to_diff_dict()
    assert saved.keys() >= {*LLaDAConfig().official(), "precision", "model_type"}
    assert not saved.keys() & LLaDAConfig.attribute_map.keys()
