"""Mutants of a source file: one small change each, as a slip of the hand would make it.

Left out is what bears on no number: annotations, docstrings, messages of errors, and ``strict=`` of zip.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.And: ast.Or, ast.Or: ast.And, ast.Lt: ast.LtE,
    ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn,
    ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
NAMES = {"min": "max", "any": "all", "minimum": "maximum", "floor": "ceil", "zeros": "ones", "argmin": "argmax"}
NAMES |= {new: old for old, new in NAMES.items()}


@dataclass(frozen=True)
class Mutant:
    """One changed node of a file; ``place`` is its number in the order of `ast.walk`, ``lines`` its statement's."""

    path: str
    place: int
    variant: int
    lines: tuple[int, int]
    old: str
    new: str
    within_function: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.lines[0]}: {self.old} -> {self.new}"

    def tree(self) -> ast.Module:
        """The changed file; everything else keeps its line."""
        tree = ast.parse((ROOT / self.path).read_text())
        node = list(ast.walk(tree))[self.place]
        new = list(_variants(node))[self.variant]
        for part in (new, *ast.walk(new)):
            if "lineno" in part._attributes and not hasattr(part, "lineno"):
                ast.copy_location(part, node)
        return ast.fix_missing_locations(_Exchange(node, new).visit(tree))

    def source(self) -> str:
        return ast.unparse(self.tree())


class _Exchange(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else super().visit(node)


def mutants(path: Path) -> list[Mutant]:
    """All mutants of a file, in its order."""
    tree = ast.parse(path.read_text())
    name = str(path.relative_to(ROOT))
    left_out = set(_left_out(tree))
    lines, inside = _lines_of_statements(tree), _inside_functions(tree)
    return [
        Mutant(name, place, variant, lines[id(node)], _shown(node), _shown(new), id(node) in inside)
        for place, node in enumerate(ast.walk(tree))
        if id(node) not in left_out
        for variant, new in enumerate(_variants(node))
    ]


def _shown(node: ast.AST) -> str:
    """A node's text; of a block, its head."""
    if isinstance(node, ast.If | ast.While):
        return f"if {ast.unparse(node.test)}"
    return ast.unparse(node)


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            yield ast.BinOp(left, OPERATORS[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in OPERATORS:
            yield ast.AugAssign(target, OPERATORS[type(op)](), value)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(OPERATORS[type(op)](), values)
        case ast.Compare(left, [op], right):
            yield ast.Compare(left, [OPERATORS[type(op)]()], right)
        case ast.UnaryOp(_, operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(float() as value):
            yield ast.Constant(2 * value or 1.0)
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.If(test, body, orelse) | ast.While(test, body, orelse):
            yield type(node)(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Expr(ast.Call()):
            yield ast.Pass()
        case ast.Call(ast.Name(name), arguments, keywords) if name in NAMES:
            yield ast.Call(ast.Name(NAMES[name], ast.Load()), arguments, keywords)
        case ast.Call(ast.Attribute(value, name), arguments, keywords) if name in NAMES:
            yield ast.Call(ast.Attribute(value, NAMES[name], ast.Load()), arguments, keywords)


def _left_out(tree: ast.AST) -> Iterator[int]:
    """Ids of the nodes of annotations, raised errors, imports for types and ``strict=``."""
    for node in ast.walk(tree):
        match node:
            case ast.arg(_, ast.AST() as whole) | ast.keyword("strict", whole) | (ast.Raise() as whole):
                pass
            case ast.FunctionDef(returns=ast.AST() as whole) | ast.AnnAssign(annotation=whole):
                pass
            case ast.If(ast.Name("TYPE_CHECKING")) as whole:
                pass
            case _:
                continue
        yield from map(id, ast.walk(whole))


def _lines_of_statements(tree: ast.AST) -> dict[int, tuple[int, int]]:
    """By id of a node: first and last line of the smallest statement around it; of a block, those of its head."""
    found = {}
    for node in ast.walk(tree):  # outer ones first: inner statements overwrite
        if isinstance(node, ast.stmt):
            body = getattr(node, "body", None)
            last = body[0].lineno - 1 if body else node.end_lineno
            found |= dict.fromkeys(map(id, ast.walk(node)), (node.lineno, max(node.lineno, last)))
    return found


def _inside_functions(tree: ast.AST) -> set[int]:
    """Ids of the nodes of functions' bodies: not of their decorators and defaults, which run at import."""
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    return {id(node) for function in functions for statement in function.body for node in ast.walk(statement)}
