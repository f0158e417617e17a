"""Masked language models of transformers: their own numbers, whatever the padding, and what is refused."""

import contextlib
import io
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModelForMaskedLM,
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForPreTraining,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    FNetConfig,
    FNetForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
)
from transformers.modeling_layers import GradientCheckpointingLayer

from vrpo_theory import rounding
from vrpo_theory.checkpoints import wrapped
from vrpo_theory.errors import InputError
from vrpo_theory.models.base import Model
from vrpo_theory.models.masked_lm import MaskedLM, load

WORDS, MASK, PROMPT, LENGTH, ROWS = 40, 39, 3, 6, 4
SIZE = {"vocab_size": WORDS, "max_position_embeddings": 32}
BERT = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 36, **SIZE}
SPECIAL = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 2)
KINDS = {
    "bert": lambda: BertForPreTraining(BertConfig(**BERT)),
    "roberta": lambda: RobertaForMaskedLM(RobertaConfig(**BERT)),
    "modernbert": lambda: ModernBertForMaskedLM(
        ModernBertConfig(**BERT, **SPECIAL, pad_token_id=0, local_attention=4, attention_dropout=0.2, mlp_dropout=0.2)
    ),
    "distilbert": lambda: DistilBertForMaskedLM(DistilBertConfig(dim=24, n_layers=2, n_heads=2, hidden_dim=36, **SIZE)),
}
TOKENS = {"bert": "[MASK]", "roberta": "<mask>", "modernbert": "[MASK]", "distilbert": "[MASK]"}


def save(folder, build, token="[MASK]"):
    """A checkpoint whose every tensor is noise, beside the part of a tokenizer that names the mask."""
    with torch.random.fork_rng(devices=[]):
        module = build()
    generator = torch.Generator().manual_seed(5)
    for parameter in module.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    module.save_pretrained(folder)
    added = [{"id": 0, "content": "[PAD]"}, {"id": MASK, "content": token}]
    (folder / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    return folder


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return {kind: save(tmp_path_factory.mktemp(kind), build, TOKENS[kind]) for kind, build in KINDS.items()}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def folder(checkpoints, kind):
    return checkpoints[kind]


@pytest.fixture
def bert(tmp_path):
    return save(tmp_path, KINDS["bert"])


@pytest.fixture
def batch():
    """(tokens, answer, mask, attention), rows of 9 down to 6 tokens padded on the right."""
    generator = torch.Generator().manual_seed(3)
    width = PROMPT + LENGTH
    tokens = torch.randint(2, MASK, (ROWS, width), generator=generator)
    column = torch.arange(width)
    attention = column < width - torch.arange(ROWS)[:, None]
    answer = attention & (column >= PROMPT)
    mask = answer & (torch.rand(tokens.shape, generator=generator) < 0.6)
    return tokens, answer, mask, attention


def padded(batch, left, right, fill):
    pad = torch.nn.functional.pad
    tokens, *flags = batch
    tokens = tokens.masked_fill(~flags[-1], fill)
    return pad(tokens, (left, right), value=fill), *(pad(flag, (left, right), value=False) for flag in flags)


def close(a, b, model):
    """To the rounding of the model; what these tests are there to find is a thousand times that."""
    torch.testing.assert_close(a, b, atol=rounding.of_tokens(model, b.detach()), rtol=0)


def transformers_own(folder):
    return AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float64).eval()


def expected(module, batch):
    """Each row alone, without padding, through the class of transformers and all its logits."""
    tokens, _, mask, attention = batch
    value = []
    for row in range(len(tokens)):
        ids, hidden = tokens[row][attention[row]], mask[row][attention[row]]
        logits = module(input_ids=ids.masked_fill(hidden, MASK)[None]).logits[0]
        found = logits.log_softmax(-1)[torch.arange(len(ids)), ids] * hidden
        value.append(torch.nn.functional.pad(found, (0, tokens.shape[1] - len(ids))))
    return torch.stack(value)


@torch.no_grad()
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_are_those_of_transformers(folder, batch, dtype):
    model = load(folder, dtype=dtype)
    value = model.log_prob(*batch)
    assert isinstance(model, Model)
    assert isinstance(model, MaskedLM)
    assert (model.vocabulary, model.mask_token_id, model.dtype) == (WORDS, MASK, getattr(torch, dtype))
    assert value.dtype == model.dtype
    assert not value[~batch[2]].any()
    close(value.double(), expected(transformers_own(folder), batch), model)


@torch.no_grad()
@pytest.mark.parametrize("fill", [0, 1, 7, MASK, -100])
@pytest.mark.parametrize(("left", "right"), [(0, 7), (7, 0), (3, 4)])
def test_padding_changes_nothing(folder, batch, left, right, fill):
    model = load(folder, dtype="float64")
    columns = slice(left, left + PROMPT + LENGTH)
    close(model.log_prob(*padded(batch, left, right, fill))[:, columns], model.log_prob(*batch), model)


@torch.no_grad()
def test_padding_beyond_the_longest_length_changes_nothing(folder, batch):
    model = load(folder, dtype="float64")
    close(model.log_prob(*padded(batch, 40, 40, 0))[:, 40:-40], model.log_prob(*batch), model)


@torch.no_grad()
def test_chunks_of_positions_change_nothing(folder, batch, monkeypatch):
    model = load(folder, dtype="float64")
    whole = model.log_prob(*batch)
    monkeypatch.setattr(wrapped, "LOGITS", 3 * WORDS)
    assert model.chunk == 3
    close(model.log_prob(*batch), whole, model)


def test_values_under_the_mask_do_not_leak(folder, batch):
    model = load(folder)
    tokens, answer, mask, attention = batch
    row, column = mask.nonzero()[0]
    changed = tokens.clone()
    changed[row, column] = (tokens[row, column] + 1) % MASK
    before, after = model.log_prob(*batch), model.log_prob(changed, answer, mask, attention)
    others = mask.clone()
    others[row, column] = False
    assert torch.equal(before[others], after[others])
    assert before[row, column] != after[row, column]


def test_the_head_is_applied_at_masked_positions_alone(checkpoints, batch):
    for kind in ("bert", "roberta", "modernbert"):
        model, rows = load(checkpoints[kind]), []
        output = model.module.get_output_embeddings()
        output.register_forward_hook(lambda _, __, logits, rows=rows: rows.append(logits.shape[:-1].numel()))
        model.log_prob(*batch)
        assert rows == [int(batch[2].sum())]


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_are_those_of_transformers(folder, kind, batch, checkpointing):
    model = load(folder, dtype="float64", gradient_checkpointing=checkpointing).train()
    module = transformers_own(folder)
    model.log_prob(*padded(batch, 2, 3, 0)).sum().backward()
    expected(module, batch).sum().backward()
    relative = rounding.of_gradient(model, PROMPT + LENGTH)
    if kind == "modernbert":  # it rotates in float32, once a layer
        relative += rounding.relative("float32", PROMPT + LENGTH, BERT["num_hidden_layers"])
    atol = relative * max(float(q.grad.abs().max()) for q in module.parameters())
    for (name, p), (own, q) in zip(model.module.named_parameters(), module.named_parameters(), strict=True):
        assert name == own
        torch.testing.assert_close(p.grad, q.grad, atol=atol, rtol=0)


def test_gradient_checkpointing_recomputes_and_changes_nothing(folder, batch):
    grads = []
    for checkpointing in (False, True):
        model, runs = load(folder, gradient_checkpointing=checkpointing), []
        block = next(m for m in model.modules() if isinstance(m, GradientCheckpointingLayer))
        linear = next(m for m in block.modules() if isinstance(m, torch.nn.Linear))
        linear.register_forward_hook(lambda *_, runs=runs: runs.append(1))
        model.log_prob(*batch).sum().backward()
        assert len(runs) == 1 + checkpointing
        grads.append([p.grad for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*grads, strict=True))


def test_training_mode_has_no_dropout_and_draws_nothing(folder, batch):
    model = load(folder)
    state = torch.get_rng_state()
    value = model.log_prob(*batch)
    assert torch.equal(model.train().log_prob(*batch), value)
    assert torch.equal(torch.get_rng_state(), state)


def test_longest_length(folder, kind):
    model = load(folder)
    assert model.max_length == (30 if kind == "roberta" else 32)
    for length in (model.max_length, model.max_length + 1):
        tokens = torch.full((1, length), 5)
        flags = torch.ones(1, length, dtype=torch.bool)
        if length > model.max_length:
            with pytest.raises(InputError, match=f"{length} tokens exceeds max_length={model.max_length}"):
                model.log_prob(tokens, flags, flags, flags)
        else:
            assert model.log_prob(tokens, flags, flags, flags).isfinite().all()


@pytest.mark.parametrize("alien", [WORDS, -1])
def test_token_outside_the_vocabulary_is_refused(bert, batch, alien):
    batch[0][0, 0] = alien
    with pytest.raises(InputError, match=f"token id {alien} is outside the vocabulary of {WORDS}"):
        load(bert).log_prob(*batch)


def test_proxy_is_the_first_up_projection(folder):
    weight = load(folder).proxy_parameters()[0]
    assert weight.shape in {(36, 24), (72, 24)}


def test_attention_implementations_agree(folder, batch):
    eager, sdpa = (load(folder, attn_implementation=name) for name in ("eager", "sdpa"))
    close(eager.log_prob(*batch), sdpa.log_prob(*batch), sdpa)


@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}])
def test_device_map(folder, batch, device_map):
    assert torch.equal(load(folder, device_map=device_map).log_prob(*batch), load(folder).log_prob(*batch))


@torch.no_grad()
def test_bfloat16_scores_in_float32(folder, batch):
    model = load(folder, dtype="bfloat16")
    value = model.log_prob(*batch)
    assert value.dtype == torch.float32
    assert (value.bfloat16() != value).any()  # as a softmax in bfloat16 would have it
    close(value, load(folder).log_prob(*batch), model)


def test_fingerprint_follows_weights_configuration_and_mask(bert, tmp_path):
    first = load(bert).fingerprint
    assert load(bert).fingerprint == first
    assert load(bert, mask_token_id=5).fingerprint != first
    load(bert).module.save_pretrained(tmp_path / "again")
    assert load(tmp_path / "again", mask_token_id=MASK).fingerprint == first
    edit_json(bert / "config.json", layer_norm_eps=0.1)
    assert load(bert).fingerprint != first


def test_loading_names_what_is_unused_and_draws_nothing(folder, kind):
    state, text = torch.get_rng_state(), io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        load(folder)
    unused = "bert.pooler.dense.bias and 3 more not used: no part of BertForMaskedLM"
    assert text.getvalue() == (f"{folder}: {unused}\n" if kind == "bert" else "")
    assert torch.equal(torch.get_rng_state(), state)


def edit_json(path, **changes):
    value = json.loads(path.read_text())
    value.update(changes)
    path.write_text(json.dumps({key: item for key, item in value.items() if item is not ...}))


def edit_weights(folder, **changes):
    path = folder / "model.safetensors"
    tensors = load_file(path) | changes
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, path, {"format": "pt"})


@pytest.mark.parametrize("named", ["[MASK]", {"content": "[MASK]", "lstrip": True}])
def test_mask_token_is_the_tokenizer_s(bert, named):
    added = [{"id": 7, "content": "[MASK]"}, {"id": 8, "content": "<mask>"}]
    (bert / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    refuse(bert, r"mask_token_id is 7 by \[MASK\] in .*tokenizer.json and 8 by <mask> in .*tokenizer.json")
    (bert / "tokenizer_config.json").write_text(json.dumps({"mask_token": named}))
    assert load(bert).mask_token_id == 7
    edit_json(bert / "config.json", mask_token_id=9)
    refuse(bert, r"mask_token_id is 9 by .*config.json and 7 by \[MASK\] in .*tokenizer.json")
    assert load(bert, mask_token_id=10).mask_token_id == 10
    refuse(bert, f"mask_token_id={WORDS} is outside the vocabulary of {WORDS}", mask_token_id=WORDS)


def test_without_a_tokenizer_the_mask_token_must_be_given(bert):
    (bert / "tokenizer.json").unlink()
    refuse(bert, "lacks mask_token_id")
    assert load(bert, mask_token_id=3).mask_token_id == 3


def test_tensors_of_other_tasks_are_left_out_and_old_names_understood(bert, batch):
    names = set(load_file(bert / "model.safetensors"))
    assert {"bert.pooler.dense.weight", "cls.seq_relationship.bias"} <= names
    value = load(bert).log_prob(*batch)
    old = {
        name: tensor if tensor is None else load_file(bert / "model.safetensors")[name.replace("gamma", "weight")]
        for name, tensor in [("bert.embeddings.LayerNorm.gamma", ...), ("bert.embeddings.LayerNorm.weight", None)]
    }
    edit_weights(bert, **old, **{"bert.embeddings.position_ids": torch.arange(32)[None]})
    assert torch.equal(load(bert).log_prob(*batch), value)


def refuse(folder, match, **options):
    state = torch.get_rng_state()
    with pytest.raises(InputError, match=match) as error:
        load(folder, **options)
    assert "\n" not in str(error.value)
    assert torch.equal(torch.get_rng_state(), state)


LAYER = "bert.encoder.layer.1.output.dense.weight"
TENSORS = {
    "missing": ({LAYER: None}, rf"not loaded as it is, missing keys: {LAYER}"),
    "extra": ({"bert.embeddings.more.weight": torch.zeros(2)}, "unexpected keys: bert.embeddings.more.weight"),
    "transposed": ({LAYER: torch.zeros(36, 24)}, rf"wrong shape of {LAYER}, \[36, 24\] instead of \[24, 36\]"),
    "integers": ({LAYER: torch.zeros(24, 36, dtype=torch.int64)}, f"{LAYER} is I64"),
    "NaN": ({LAYER: torch.full((24, 36), torch.nan)}, f"{LAYER} holds NaN or Inf"),
    "untied": ({"cls.predictions.decoder.weight": torch.zeros(WORDS, 24)}, "decoder.weight differs from bert.emb"),
}


@pytest.mark.parametrize("case", TENSORS)
def test_wrong_tensor_is_refused(bert, case):
    changes, match = TENSORS[case]
    edit_weights(bert, **changes)
    refuse(bert, match)


CONFIG = {
    "unknown": ({"model_type": "nonsense"}, "config.json: .*nonsense"),
    "no masked model": ({"model_type": "llama"}, "model_type is 'llama', not a masked language model"),
    "causal": ({"is_decoder": True}, "is_decoder is true"),
    "quantised": ({"quantization_config": {"bits": 4}}, "quantization_config is not supported"),
    "other weights": ({"transformers_weights": "other.safetensors"}, "transformers_weights"),
    "endless layers": ({"num_hidden_layers": 10**9}, "too few for 1000000000 layers"),
    "wide": ({"hidden_size": 10**6}, "wrong shape of"),
    "bad type": ({"hidden_size": "24"}, "config.json: .*hidden_size"),
}


@pytest.mark.parametrize("case", CONFIG)
def test_configuration_is_refused(bert, case):
    changes, match = CONFIG[case]
    edit_json(bert / "config.json", **changes)
    refuse(bert, match)


def test_a_body_without_its_head_is_refused(tmp_path):
    refuse(save(tmp_path, lambda: BertModel(BertConfig(**BERT))), "no tensor has a name of BertForMaskedLM")


def test_encoder_decoders_are_refused(tmp_path):
    config = BartConfig(
        vocab_size=WORDS, d_model=24, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=36, decoder_ffn_dim=36, max_position_embeddings=32,
    )  # fmt: skip
    refuse(save(tmp_path, lambda: BartForConditionalGeneration(config)), "is_encoder_decoder is true")


def test_a_model_that_mixes_padding_in_is_refused(tmp_path):
    refuse(save(tmp_path, lambda: FNetForMaskedLM(FNetConfig(**BERT))), "FNetForMaskedLM is not supported: padding")


def test_pickles_are_refused(bert):
    (bert / "model.safetensors").rename(bert / "pytorch_model.bin")
    refuse(bert, "only pytorch_model.bin: convert to safetensors")


@pytest.mark.parametrize("kind", ["bert", "own"])
def test_code_in_the_folder_is_not_run(bert, tmp_path, kind):
    trace = tmp_path / "ran"
    (bert / "code.py").write_text(f"open({str(trace)!r}, 'w')\n")
    classes = {"AutoConfig": "code.Config", "AutoModelForMaskedLM": "code.Model"}
    edit_json(bert / "config.json", model_type=kind, auto_map=classes)
    if kind == "bert":
        load(bert)
    else:
        refuse(bert, "config.json: ")
    assert not trace.exists()
