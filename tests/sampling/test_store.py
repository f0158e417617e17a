"""The sample store: what goes in comes out to the bit, or an error says why not."""

import ast
import json
import math
import os
import random
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pytest

from vrpo_theory import Response
from vrpo_theory import store as package
from vrpo_theory.errors import InputError
from vrpo_theory.store import SampleStore

MODEL, OTHER = "1" * 64, "2" * 64
MANIFEST = {"seed": 0, "dtype": "float32", "config": {"layers": 2, "width": 64}, "code": "abc"}
SHORT, LONG = Response((1, 2), (3, 4, 5)), Response((), tuple(range(19)))


def batch(seed=0, responses=(SHORT, LONG), rows=6):
    """Distinct non-empty masks and log-probabilities that use all their bits."""
    rng = np.random.default_rng(seed)
    requests, values = [], []
    for response in responses:
        masks = np.unique(rng.random((4 * rows, response.length)) < 0.5, axis=0)
        masks = masks[masks.any(1)][:rows]
        requests.append((response, masks))
        values.append(np.where(masks, np.log(rng.random(masks.shape)), 0.0))
    return requests, values


REQUESTS, VALUES = batch()
ROWS = sum(len(masks) for _, masks in REQUESTS)


def fill(folder, rank=0):
    with SampleStore.open(folder, MANIFEST, rank=rank) as store:
        store.record(MODEL, REQUESTS, VALUES)
    return folder / f"store-{rank}.sqlite"


def holds(store):
    """Whether a store knows every row, to the bit."""
    recalled = [store.recall(MODEL, response, masks) for response, masks in REQUESTS]
    return all(
        known.all() and found.tobytes() == value.tobytes()
        for (found, known), value in zip(recalled, VALUES, strict=True)
    )


def refuse(folder, match, error=InputError, manifest=MANIFEST, **options):
    with pytest.raises(error, match=match) as found:
        SampleStore.open(folder, manifest, **options).close()
    assert "\n" not in str(found.value)
    return str(found.value)


def test_round_trip_is_exact_and_outlives_the_process(tmp_path):
    path = fill(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["store-0.lock", path.name]
    with SampleStore.open(tmp_path, MANIFEST) as store:
        assert holds(store)
        assert store.count() == ROWS
    with SampleStore.read(tmp_path) as store:
        assert holds(store)


def test_extreme_values_and_every_length_come_back(tmp_path):
    odd = np.array([-math.pi, -5e-324, -1.7e308, -0.0, -1e-17, -745.0])
    with SampleStore.open(tmp_path, MANIFEST) as store:
        for length in range(1, 36):
            response, masks = Response((length,), (1,) * length), np.tri(length, dtype=bool)
            value = np.resize(odd, masks.shape) * masks
            store.record(MODEL, [(response, masks)], [value])
            found, known = store.recall(MODEL, response, masks)
            assert known.all()
            assert found[masks].tobytes() == value[masks].tobytes()


def test_unknown_rows_are_zero_and_said_to_be(tmp_path):
    masks = np.array([[1, 0, 0], [0, 0, 0], [0, 1, 1]], bool)
    with SampleStore.open(tmp_path, MANIFEST) as store:
        store.record(MODEL, [(SHORT, masks[:1])], [np.full((1, 3), -2.0)])
        values, known = store.recall(MODEL, SHORT, masks)
        assert known.tolist() == [True, True, False]
        assert values.tolist() == [[-2, 0, 0], [0, 0, 0], [0, 0, 0]]
        for model, response in [
            (OTHER, SHORT),
            (MODEL, Response((1,), (3, 4, 5))),
            (MODEL, Response((1, 2), (3, 4, 6))),
        ]:
            assert store.recall(model, response, masks)[1].tolist() == [False, True, False]
        assert store.recall(MODEL, SHORT, masks[:0])[0].shape == (0, 3)


def test_the_first_value_stays(tmp_path):
    with SampleStore.open(tmp_path, MANIFEST) as store:
        store.record(MODEL, REQUESTS * 2, VALUES + [value - 1 for value in VALUES])
        store.record(MODEL, REQUESTS, [value - 1 for value in VALUES])
        assert holds(store)
        assert store.count() == ROWS


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_what_is_no_log_probability_is_not_kept(tmp_path, bad):
    value = VALUES[1].copy()
    value[REQUESTS[1][1]] = bad
    with SampleStore.open(tmp_path, MANIFEST) as store:
        for values in ([VALUES[0], value], [VALUES[0], VALUES[1][:, :-1]], VALUES[:1]):
            with pytest.raises(ValueError, match=r"finite|shorter"):
                store.record(MODEL, REQUESTS, values)
        with pytest.raises(ValueError, match=r"masks must be \(n, 3\), got \(2, 4\)"):
            store.recall(MODEL, SHORT, np.ones((2, 4), bool))
        assert store.count() == 0


def test_another_manifest_is_refused_by_field_and_value(tmp_path):
    path = fill(tmp_path)
    before = path.read_bytes()
    changed = {**MANIFEST, "dtype": "bfloat16", "config": {"layers": 3, "width": 64}, "data": "xyz"}
    del changed["code"]
    message = refuse(tmp_path, "was made with other options", manifest=changed)
    for part in (
        'code: "abc" there, missing here',
        "config.layers: 2 there, 3 here",
        'data: missing there, "xyz" here',
        'dtype: "float32" there, "bfloat16" here',
        "restore them, or give another folder",
    ):
        assert part in message
    assert "seed" not in message
    assert "width" not in message
    refuse(tmp_path, "seed", manifest={**MANIFEST, "seed": 1}, free=["dtype"])
    with pytest.raises(InputError, match="seed: 0 there, 1 here"):
        SampleStore.read(tmp_path, {**MANIFEST, "seed": 1})
    assert path.read_bytes() == before
    with SampleStore.open(tmp_path, {**MANIFEST, "seed": 1}, free=["seed"]) as store:
        assert holds(store)


def test_two_ranks_are_read_as_one(tmp_path):
    with SampleStore.open(tmp_path, MANIFEST, rank=0) as one, SampleStore.open(tmp_path, MANIFEST, rank=1) as two:
        one.record(MODEL, REQUESTS[:1], VALUES[:1])
        two.record(MODEL, REQUESTS[1:], VALUES[1:])
        two.record(MODEL, REQUESTS[:1], VALUES[:1])
        assert (one.count(), two.count()) == (len(REQUESTS[0][1]), ROWS)
    with SampleStore.read(tmp_path, MANIFEST) as store:
        assert holds(store)
        assert store.count() == ROWS
    with SampleStore.open(tmp_path, MANIFEST, rank=7) as store:
        store.record(MODEL, REQUESTS, [value - 1 for value in VALUES])
        assert holds(store)
    with closing(sqlite3.connect(tmp_path / "store-7.sqlite")) as db:
        assert db.execute("SELECT count(*) FROM evaluation").fetchone() == (0,)


def test_a_rank_sees_the_others_as_they_were(tmp_path):
    fill(tmp_path, rank=1)
    requests, values = batch(5, responses=(Response((8,), tuple(range(9))),))
    with SampleStore.open(tmp_path, MANIFEST) as one, SampleStore.open(tmp_path, MANIFEST, rank=1) as two:
        two.record(MODEL, requests, values)
        assert not one.recall(MODEL, *requests[0])[1].any()
        assert holds(one)
        assert one.count() == ROWS


def test_ranks_that_disagree_are_refused(tmp_path):
    with SampleStore.open(tmp_path, MANIFEST) as one, SampleStore.open(tmp_path, MANIFEST, rank=1) as two:
        one.record(MODEL, REQUESTS, VALUES)
        two.record(MODEL, REQUESTS[:1], [VALUES[0] - 1e-12 * REQUESTS[0][1]])
    message = refuse(tmp_path, rf"hold different values \(response {SHORT.key.hex()[:8]}, mask \w+, model 11111111\)")
    assert "store-0.sqlite" in message
    assert "store-1.sqlite" in message
    (tmp_path / "store-1.sqlite").unlink()
    with SampleStore.open(tmp_path, {**MANIFEST, "seed": 1}, rank=1, free=["seed"]):
        pass
    with pytest.raises(InputError, match=r"store-1.sqlite was made with other options"):
        SampleStore.read(tmp_path)


def test_a_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    refuse(tmp_path / "file", "cannot be written")
    refuse(tmp_path / "file" / "below", "cannot be written")
    refuse(tmp_path, "rank must be an integer", rank=-1)
    with pytest.raises(InputError, match=r"holds no store-RANK.sqlite"):
        SampleStore.read(tmp_path)
    with pytest.raises(InputError, match=r"holds no store-RANK.sqlite"):
        SampleStore.read(tmp_path / "nowhere")


@contextmanager
def unprivileged():
    """Root may write anywhere: be nobody for a while."""
    root = os.geteuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


def test_what_is_read_only_can_be_read_and_not_written():
    with unprivileged(), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder).chmod(0o444)
        refuse(folder, r"store-0.sqlite cannot be written \(Permission denied\)")
        folder.chmod(0o555)
        refuse(folder, r"store-0.sqlite cannot be (opened|written)")
        refuse(folder, r"store-1.sqlite cannot be written \(Permission denied: .*store-1.lock\)", rank=1)
        refuse(folder / "below", "cannot be written")
        with SampleStore.read(folder, MANIFEST) as store:
            assert holds(store)
            with pytest.raises(ValueError, match=r"use SampleStore.open"):
                store.record(MODEL, REQUESTS, VALUES)
        folder.chmod(0o755)


def test_no_global_generator_is_touched(tmp_path):
    import torch

    before = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()
    fill(tmp_path)
    with SampleStore.read(tmp_path) as store:
        assert holds(store)
    after = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state().numpy().tobytes()
    assert before == after


def test_the_store_knows_no_model():
    """It imports the words every layer speaks and itself alone."""
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("vrpo_theory"):
                assert node.module.split(".")[1] in {"documents", "errors", "files", "locks", "store", "types"}
            assert not (isinstance(node, ast.Import) and any(a.name.startswith("torch") for a in node.names))


def test_manifests_are_plain_json(tmp_path):
    path = fill(tmp_path)
    with closing(sqlite3.connect(path)) as db:
        fields = dict(db.execute("SELECT name, value FROM manifest"))
    assert {name: json.loads(value) for name, value in fields.items()} == MANIFEST
