"""A pytest plugin: changes of the package made in place, each in a fork after collection, under tests chosen for it.

Nothing is imported or collected twice. What runs at import (a constant, a class's field) cannot be changed so.
"""

from __future__ import annotations

import ast
import gc
import json
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any, Protocol

import pytest

from .mutants import ROOT


class Change(Protocol):
    """Another text of one file of the package."""

    path: str

    def tree(self) -> ast.Module: ...


@dataclass(frozen=True)
class Outcome:
    """How tests ended: the first that failed, "time limit" or "crash"; none if all passed that there was time for."""

    failed: str | None
    passed: int


class InPlace:
    """Makes every change of a list and runs the tests chosen for it; tells what became of each."""

    def __init__(
        self,
        changes: Sequence[Any],
        choose: Callable[[Any, list[pytest.Item]], list[pytest.Item]],
        seconds: int,
        tell: Callable[[Any, Outcome], None],
    ) -> None:
        self.changes, self.choose, self.seconds, self.tell = changes, choose, seconds, tell

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session):
        self.functions = functions_by_file()
        for change in self.changes:
            self.tell(change, self._forked(change, self.choose(change, session.items)))
        return True

    def _forked(self, change: Change, items: list[pytest.Item]) -> Outcome:
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(reader)
                self._work(change, items, writer)
            finally:
                os._exit(1)
        os.close(writer)
        with os.fdopen(reader) as said:
            text = said.read()
        status = os.waitpid(child, 0)[1]
        if text:
            return Outcome(**json.loads(text))
        if not os.WIFSIGNALED(status):
            return Outcome(None, 0)  # it could not be made
        return Outcome("time limit" if os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGALRM) else "crash", 0)

    def _work(self, change: Change, items: list[pytest.Item], writer: int) -> None:
        """In the fork: what the tests say, written to a pipe."""
        start = time.process_time()
        limit = int(3 * self.seconds + sum(resource.getrusage(resource.RUSAGE_SELF)[:2]))
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        signal.alarm(60 * self.seconds)  # what waits takes no processor time
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        os.dup2(1, 2)
        exchange(change, self.functions)
        found = {"failed": None, "passed": 0}
        for item, following in zip(items, [*items[1:], None], strict=True):
            if time.process_time() - start > self.seconds:
                break
            if failed(item, following):
                found["failed"] = item.nodeid
                break
            found["passed"] += 1
        os.write(writer, json.dumps(found).encode())
        os._exit(0)


def functions_by_file() -> dict[str, list[FunctionType]]:
    """Every function in memory. To look at all objects in each fork would copy all memory."""
    found: dict[str, list[FunctionType]] = {}
    for function in gc.get_objects():
        if isinstance(function, FunctionType):
            found.setdefault(function.__code__.co_filename, []).append(function)
    return found


def exchange(change: Change, functions: dict[str, list[FunctionType]]) -> None:
    """Give the functions in memory their changed code; RuntimeError if there are none."""
    __import__(change.path.removesuffix(".py").removesuffix("/__init__").replace("/", "."))
    path = str(ROOT / change.path)
    old, new = (
        {place(code): code for code in codes(compile(tree, path, "exec", dont_inherit=True))}
        for tree in (ast.parse((ROOT / change.path).read_text()), change.tree())
    )
    changed = {key for key, code in new.items() if key in old and code != old[key]}
    done = 0
    for function in functions.get(path) or functions_by_file()[path]:
        key = place(function.__code__)
        if key in changed and len(new[key].co_freevars) == len(function.__code__.co_freevars):
            function.__code__ = new[key]
            done += 1
    if not done:
        raise RuntimeError(f"{change} cannot be made in place")


def codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and all inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from codes(constant)


def place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


def failed(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Run a test as pytest would; whether it, or what it needs, failed."""
    reports = []

    class Seen:
        def pytest_runtest_logreport(self, report):
            reports.append(report)

    seen = Seen()
    item.config.pluginmanager.register(seen)
    try:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    finally:
        item.config.pluginmanager.unregister(seen)
    return any(report.failed for report in reports)
