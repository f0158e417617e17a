"""Families of members: one small file each, found by listing their folder."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Generic, Self, TypeVar

T = TypeVar("T")


def leaves(package: str) -> list[str]:
    """Names of a package's member modules: every module in its folder but ``base`` and private ones."""
    path = importlib.import_module(package).__path__
    return sorted(m.name for m in pkgutil.iter_modules(path) if m.name != "base" and not m.name.startswith("_"))


@dataclass(frozen=True)
class Member:
    """A member that is a class with parameters, its fields; its text is the call that `Registry.build` reads."""

    name: ClassVar[str]

    @property
    def spec(self) -> str:
        """Name and parameters, as a call."""
        return f"{self.name}({', '.join(f'{f.name}={getattr(self, f.name)!r}' for f in fields(self))})"

    @classmethod
    def examples(cls) -> tuple[Self, ...]:
        """Members to test the contract on; overridden where a parameter has no default."""
        return (cls(),)


def expression(text: str) -> ast.expr | None:
    """The syntax of an expression; None for text that is none."""
    try:
        return ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _assigned(source: ast.Module) -> set[str]:
    """Names that a module assigns at its top level, with or without their type, alone or several at once."""
    plain = [target for node in source.body if isinstance(node, ast.Assign) for target in node.targets]
    typed = [node.target for node in source.body if isinstance(node, ast.AnnAssign) and node.value is not None]
    return {part.id for target in (*plain, *typed) for part in ast.walk(target) if isinstance(part, ast.Name)}


class Modules:
    """A family whose members are whole modules, each imported when asked for and not before.

    Parameters
    ----------
    kind : str
        The family's word, for messages ("model").
    package : str
        Package whose modules are the members.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package

    def __getitem__(self, name: str) -> ModuleType:
        if name not in self.names():
            raise KeyError(f"unknown {self.kind} {name!r}; choose from: {', '.join(self.names())}")
        return importlib.import_module(f"{self.package}.{name}")

    def names(self) -> list[str]:
        """Module names, sorted; nothing is imported."""
        return leaves(self.package)

    def aliases(self, name: str) -> tuple[str, ...]:
        """None: a module has one name."""
        return ()

    def summary(self, name: str) -> str:
        """First line of the module's docstring; the module is not imported."""
        return (ast.get_docstring(self._source(name)) or "").partition("\n")[0]

    def having(self, attribute: str) -> list[ModuleType]:
        """The modules that assign a name at their top level; the others are not imported."""
        return [self[name] for name in self.names() if attribute in _assigned(self._source(name))]

    def _source(self, name: str) -> ast.Module:
        spec = importlib.util.find_spec(f"{self.package}.{name}")
        found = spec is not None and spec.origin is not None
        return ast.parse(Path(spec.origin).read_text(encoding="utf-8") if found else "")  # type: ignore[union-attr,arg-type]


class Registry(Generic[T]):
    """Members of one family by name and alias; leaves are imported at the first look-up.

    Parameters
    ----------
    kind : str
        The family's word, for messages ("design").
    package : str
        Package whose modules register members when imported.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind, self.package = kind, package
        self._members: dict[str, T] = {}
        self._aliases: dict[str, str] = {}
        self._discovered = False

    def add(self, name: str, member: T, aliases: tuple[str, ...] = ()) -> T:
        """Register a member; a name or alias may be taken once."""
        for key in (name, *aliases):
            if key in self._members or key in self._aliases:
                raise ValueError(f"{self.kind} {key!r} is already registered: choose another name")
        self._members[name] = member
        self._aliases.update(dict.fromkeys(aliases, name))
        return member

    def __getitem__(self, name: str) -> T:
        self._discover()
        try:
            return self._members[self._aliases.get(name, name)]
        except KeyError:
            raise KeyError(f"unknown {self.kind} {name!r}; choose from: {', '.join(self.names())}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self) -> list[str]:
        """Registered names, sorted."""
        self._discover()
        return sorted(self._members)

    def aliases(self, name: str) -> tuple[str, ...]:
        """Other names of a member."""
        self._discover()
        return tuple(alias for alias, real in self._aliases.items() if real == name)

    def members(self) -> list[T]:
        """Registered members, in the order of their names."""
        return [self._members[name] for name in self.names()]

    def build(self, spec: str) -> Any:
        """A member of a family of classes, made from text: "strata", or "power_strata(power=2.0)".

        Raises
        ------
        ValueError
            If the text is no call of a member with literal arguments, or the member refuses them.
        """
        return self._made(expression(spec), spec)

    def _made(self, call: ast.expr | None, spec: str) -> Any:
        """A member from a name, or a call of it with named options."""
        name, given = (call.func, call.keywords) if isinstance(call, ast.Call) else (call, [])
        if not isinstance(name, ast.Name) or (isinstance(call, ast.Call) and call.args):
            raise ValueError(f"{self.kind} {spec!r}: expected NAME or NAME(option=value, ...)")
        kind = self._kind(name.id)
        options = {str(k.arg): self._value(k.value) for k in given}
        try:
            return kind(**options)
        except TypeError:  # an option that is unknown, missing or of another type
            options = {p.name: p.default for p in inspect.signature(kind).parameters.values()}
            shown = (f"{key}={'...' if value is inspect.Parameter.empty else value}" for key, value in options.items())
            form = f"{name.id}({', '.join(shown)})"
            raise ValueError(f"{self.kind} {spec!r} is not of the form {form}") from None

    def _kind(self, name: str) -> Any:
        """The class of a name, or of that class's own name, which is what stands in the text of a member of members."""
        try:
            return {getattr(member, "__name__", ""): member for member in self.members()}.get(name) or self[name]
        except KeyError as error:
            raise ValueError(str(error.args[0])) from None

    def _value(self, node: ast.expr) -> Any:
        """A literal, or another member: ``balanced(levels=PowerStrata(power=1.5))``."""
        if isinstance(node, ast.Call):
            return self._made(node, ast.unparse(node))
        try:
            return ast.literal_eval(node)
        except ValueError:
            raise ValueError(f"{self.kind}: expected a number or a text, got {ast.unparse(node)!r}") from None

    def _discover(self) -> None:
        if not self._discovered:
            self._discovered = True
            for leaf in leaves(self.package):
                importlib.import_module(f"{self.package}.{leaf}")
