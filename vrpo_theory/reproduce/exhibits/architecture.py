"""The printed architecture, from the 8B configuration: shapes and counts on the meta device, no weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vrpo_theory import plotting
from vrpo_theory.reproduce.base import Cell, Context, Exhibit, exhibit
from vrpo_theory.reproduce.paper import tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MODEL = "LLaDA 8B"
BILLION = 1e9


def compute(context: Context) -> list[Cell]:
    """Every printed row; counts of parameters agree where they round to what is printed."""
    return [_cell(row, float(value)) for row, value in _measured().items()]


def _measured() -> dict[str, float]:
    """Rows as they are printed, from the configuration and the shapes of its tensors."""
    import torch

    from vrpo_theory.models.llada.configuration import LLaDAConfig
    from vrpo_theory.models.llada.modeling import LLaDAModelLM

    config = LLaDAConfig()
    with torch.device("meta"):
        module = LLaDAModelLM(config)
    total = sum(p.numel() for p in module.parameters())
    embedding = 2 * config.rows * config.d_model  # of tokens, and the head, which is not tied to it
    block = module.model.transformer["blocks"][0]
    return {
        "layers": len(module.model.transformer["blocks"]),
        "model_dimension": block.attn_out.out_features,
        "attention_heads": config.n_heads,
        "vocabulary_size": module.get_input_embeddings().num_embeddings,
        "ffn_dimension": block.up_proj.out_features,
        "key_value_heads": block.k_proj.out_features // config.head_dim,
        "total_parameters": total,
        "non_embedding_parameters": total - embedding,
    }


def _cell(row: str, value: float) -> Cell:
    printed = tables()["table3_architecture"][row]
    if isinstance(printed, str):  # "8.02 B": two decimals of a billion
        paper = float(printed.removesuffix(" B")) * BILLION
        agrees = f"{value / BILLION:.2f} B" == printed
    else:
        paper, agrees = float(printed), value == printed
    return Cell(row, {"model": MODEL}, value, paper=paper, verdict="agrees" if agrees else "differs")


def plot(cells: Sequence[Mapping[str, Any]]) -> Figure:
    """Ours over the printed number."""
    figure, (ax,) = plotting.panels(1)
    ratios = {c["row"]: (_over_printed(c), None) for c in cells}
    plotting.dots(ax, {MODEL: ratios}, title="from the configuration", xlabel="over the printed number")
    return figure


def _over_printed(cell: Mapping[str, Any]) -> float | None:
    value, paper = cell["value"], cell["paper"]
    return value / paper if value is not None and paper else None


exhibit(
    Exhibit(
        name="architecture",
        title="The architecture of LLaDA 8B, from its configuration",
        paper_ref="2505.19223v2, Table 3",
        compute=compute,
        plot=plot,
    )
)
