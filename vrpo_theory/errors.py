"""Errors that a user can correct; the command line maps them to its exit codes."""

from collections.abc import Iterable


def one_line(error: BaseException) -> str:
    """An error's own words on one line; of the system's errors the reason alone."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(reason.split())


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory did not suffice, a device's or the machine's."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    return bool({"MemoryError", "OutOfMemoryError"} & kinds) or "can't allocate memory" in str(error)


class InputError(ValueError):
    """Bad input (exit code 2): one line with what was got, what was expected, and the fix."""


class CheckError(RuntimeError):
    """A recomputed result differs from the stored one, or an estimator was rejected (exit code 3)."""


class UndecidedError(RuntimeError):
    """The budget ended before the evidence sufficed for either verdict (exit code 4)."""


def require_known(what: str, given: Iterable[str], kind: type) -> None:
    """InputError for a name that is no option.

    Parameters
    ----------
    what : str
        Whose options they are, for the message.
    given : iterable of str
    kind : TypedDict
        Its keys are the options.
    """
    known = kind.__annotations__
    if unknown := [repr(name) for name in given if name not in known]:
        raise InputError(f"{what} has no option {', '.join(unknown)}: choose from {', '.join(known)}")
