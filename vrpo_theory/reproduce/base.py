"""What an exhibit is: cells of numbers, and a figure drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from vrpo_theory.batching import BATCH_TOKENS
from vrpo_theory.documents import Document, Fields, finite
from vrpo_theory.elbo import Progress
from vrpo_theory.preference import BETA, require_beta
from vrpo_theory.registry import Registry
from vrpo_theory.reproduce.options import Options
from vrpo_theory.types import Case

if TYPE_CHECKING:
    from matplotlib.figure import Figure

T = TypeVar("T")
Cases = Mapping[str, Sequence[Case]]
Cells = Sequence[Fields]
"""Cells as JSON has them."""

EXHIBITS: Registry[Exhibit] = Registry("exhibit", "vrpo_theory.reproduce.exhibits")


@dataclass(frozen=True)
class Cell:
    """One number of an exhibit, with all that is known about it; field by field as in the JSON document.

    Parameters
    ----------
    row, column : str, mapping
        Where it stands.
    value, stderr : float or None
        Mean over pairs and its Monte Carlo standard error (None when exact).
    df : float or None
        Degrees of freedom of that error: it is itself known to about 1 part in sqrt(2 df).
    median, interval : float or None, (low, high) or None
        Over pairs; a 95% bootstrap interval of the mean; None for one pair.
    n, n_pairs : int or None
        Replications and pairs behind the value.
    method : {"exact", "mc", "pooled", "paper"}
    predicted : float or None
        What a statement says that a Monte Carlo value should be.
    paper : float or None
        The printed number, never shown as ours.
    verdict : {"agrees", "differs", "inconclusive", "order holds", "order fails"} or None
    """

    row: str
    column: Fields
    value: float | None
    stderr: float | None = None
    df: float | None = None
    median: float | None = None
    interval: tuple[float, float] | None = None
    n: int | None = None
    n_pairs: int | None = None
    unit: str = ""
    method: str = "exact"
    predicted: float | None = None
    paper: float | None = None
    verdict: str | None = None
    note: str = ""

    def document(self) -> Document:
        """As JSON: numbers that are not finite become null, and the note says so."""
        clean: Document
        clean, lost = finite(asdict(self))
        return clean | {"note": "; ".join(filter(None, [self.note, *lost]))}


@dataclass(frozen=True)
class Context:
    """All that an exhibit may depend on.

    Parameters
    ----------
    cases : mapping of str to sequence of Case
        Cases by the name of their models; the exhibit's own toys unless the user brought models.
    seed, beta : int, float
    method : {"auto", "exact", "mc"}
        ``auto`` enumerates responses of up to 12 tokens.
    limit : int or None
        Use only the first ``limit`` pairs.
    batch_tokens : int
        Most tokens per forward pass, padding included.
    device, dtype : str
        Of models that are loaded from folders.
    own : Options
        What this exhibit alone can be told.
    recorded : bool
        Whether the models are known by their record alone.
    scale : {"toy", "real"}
        Whether the cases are the exhibit's toys or the user's models.
    progress : bool
        Show progress bars on standard error.

    Raises
    ------
    ValueError
        If ``beta`` is negative or not finite.
    """

    cases: Cases = field(default_factory=dict)
    seed: int = 0
    beta: float = BETA
    method: str = "auto"
    limit: int | None = None
    batch_tokens: int = BATCH_TOKENS
    device: str = "cpu"
    dtype: str = "float32"
    own: Any = field(default_factory=Options)
    recorded: bool = False
    scale: str = "toy"
    progress: bool = False

    def __post_init__(self) -> None:
        require_beta(self.beta)

    @property
    def options(self) -> Document:
        """All that a number may depend on: cases are recorded as models and pairs, and bars move no number."""
        told = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("cases", "own", "progress")}
        own: dict[str, Any] = self.own.document()
        return told | own

    @property
    def _silent(self) -> bool | None:
        """tqdm's None: silent unless standard error is a terminal."""
        return None if self.progress else True

    def track(self, items: Iterable[T], description: str) -> Iterable[T]:
        """The items, with a progress bar on standard error if the user wants one."""
        from tqdm import tqdm

        tracked: Iterable[T] = tqdm(items, desc=description, disable=self._silent, leave=False)
        return tracked

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[Progress]:
        """A callback that advances such a bar by the number it is given."""
        from tqdm import tqdm

        with tqdm(desc=description, total=total, disable=self._silent, leave=False) as bar:
            yield bar.update


@dataclass(frozen=True)
class Exhibit:
    """A table or figure.

    Parameters
    ----------
    name, aliases : str, tuple of str
    title, paper_ref : str
        What it shows, and which exhibit of 2505.19223v2 it reproduces.
    compute : Context -> list of Cell
        The numbers.
    plot : list of cell documents -> Figure
        The picture, from the numbers alone.
    cases : Context -> Cases
        Toys to use when the user brings no models.
    scales : tuple of {"toy", "real"}
        Whether it can be had on toys, on the user's models, or both.
    options : type of Options
        What it can be told beyond a Context.
    beyond_records : Context -> list of str
        Numbers that need the models, so that a record of their evaluations does not give them.

    Examples
    --------
    A table of the score's variance at two budgets, and its picture:

    >>> from vrpo_theory import MODELS, Budget, Scheme, margin_variance, plotting, profiles, tabulate
    >>> def compute(context):
    ...     (answers,) = tabulate([MODELS["tabular"].case(context.seed, 3)])
    ...     found = profiles(answers)
    ...     return [Cell("var_margin", {"n_t": n}, margin_variance(found, Scheme(budget=Budget(n)))) for n in (4, 8)]
    >>> def plot(cells):
    ...     figure, (ax,) = plotting.panels(1)
    ...     line = [4, 8], [cell["value"] for cell in cells]
    ...     plotting.curves(ax, {"margin": line}, title="variance", xlabel="n_t", ylabel="nats^2")
    ...     return figure
    >>> mine = Exhibit("mine", "Variance against the budget", "Proposition 2", compute, plot)
    >>> [round(cell["value"], 3) for cell in mine.documents(Context())]
    [0.639, 0.319]

    ``exhibit(mine)`` at the end of a file in ``reproduce/exhibits`` registers it, and ``make figures`` draws it.
    """

    name: str
    title: str
    paper_ref: str
    compute: Callable[[Context], list[Cell]]
    plot: Callable[[Cells], Figure]
    cases: Callable[[Context], Cases] = lambda context: {}
    aliases: tuple[str, ...] = ()
    scales: tuple[str, ...] = ("toy",)
    options: type[Options] = Options
    beyond_records: Callable[[Context], list[str]] = lambda context: []

    def ready(self, context: Context, **own: Any) -> Context:
        """The context with the exhibit's toys, unless it brings cases, and with its own options."""
        mine = self.options(**own) if own or not isinstance(context.own, self.options) else context.own
        return replace(context, cases=context.cases or self.cases(context), own=mine)

    def documents(self, context: Context, **own: Any) -> list[Document]:
        """Cells as JSON; ``own`` are values of the exhibit's own options."""
        return [cell.document() for cell in self.compute(self.ready(context, **own))]


def exhibit(member: Exhibit) -> Exhibit:
    """Register an exhibit."""
    return EXHIBITS.add(member.name, member, member.aliases)
