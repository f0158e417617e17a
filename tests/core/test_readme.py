"""The README's example prints what the README says."""

import contextlib
import io
import re
from pathlib import Path


def test_the_example_prints_what_is_printed():
    text = (Path(__file__).parents[2] / "README.md").read_text()
    code, printed = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", text, re.S).groups()
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    ours, theirs = (re.findall(r"\S+", s) for s in (out.getvalue(), printed))
    for a, b in zip(ours, theirs, strict=True):
        assert a == b or abs(float(a) - float(b)) < 1e-6
