"""Damage of every kind to the files of a store: refused in one line, or harmless."""

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from vrpo_theory import Response
from vrpo_theory.errors import InputError
from vrpo_theory.randomness import Address
from vrpo_theory.store import SampleStore

MODEL, MANIFEST, ROWS = "1" * 64, {"seed": 0, "dtype": "float32"}, 12
RESPONSE = Response((), tuple(range(19)))
MASKS = np.random.default_rng(0).random((ROWS, 19)) < 0.5
VALUES = np.where(MASKS, np.log(np.random.default_rng(1).random((ROWS, 19))), 0.0)


@pytest.fixture
def path(tmp_path):
    with SampleStore.open(tmp_path, MANIFEST) as store:
        store.record(MODEL, [(RESPONSE, MASKS)], [VALUES])
    return tmp_path / "store-0.sqlite"


def holds(store):
    values, known = store.recall(MODEL, RESPONSE, MASKS)
    return known.all() and values.tobytes() == VALUES.tobytes()


def refuse(folder, match):
    with pytest.raises(InputError, match=match) as found:
        SampleStore.open(folder, MANIFEST).close()
    assert "\n" not in str(found.value)
    return str(found.value)


def places(path, what):
    """Where bytes stand in a file."""
    data, start, found = path.read_bytes(), 0, []
    while (start := data.find(what, start)) >= 0:
        found.append(start)
        start += 1
    return found


def flip(path, at, bit=0):
    with path.open("r+b") as file:
        file.seek(at)
        old = file.read(1)[0]
        file.seek(at)
        file.write(bytes([old ^ 1 << bit]))


def stored(path, field):
    with closing(sqlite3.connect(path)) as db:
        (value,) = db.execute(f"SELECT {field} FROM evaluation WHERE rowid = 9").fetchone()
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize("field", ["model", "response", "mask", "value", "checksum"])
def test_a_flipped_bit_is_refused(tmp_path, path, field):
    what, clean = stored(path, field), path.read_bytes()
    if field == "mask":  # three bytes: look for them where the key ends, after a length of one byte
        what = stored(path, "response") + bytes([RESPONSE.length]) + what
    found = places(path, what)
    assert found
    for at in found:
        path.write_bytes(clean)
        flip(path, at + len(what) - 1)
        message = refuse(tmp_path, "row [0-9]+ of .*fails its checksum|is damaged")
        assert "put back a copy" in message
    path.write_bytes(clean)
    with SampleStore.read(tmp_path) as store:
        assert holds(store)


@pytest.mark.parametrize(
    "change",
    [
        *("value = NULL", "value = 'x'", "length = 'x'", "length = NULL", "mask = 1.5", "model = x'ff'"),
        *("model = replace(model, '1', '3')", "response = zeroblob(16)", "length = 18", "mask = zeroblob(3)"),
        *("value = zeroblob(length(value))", "checksum = x'00'"),
    ],
)
def test_a_row_changed_by_hand_is_refused_and_its_remedy_works(tmp_path, path, change):
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("PRAGMA writable_schema=ON")
        db.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
        db.execute("PRAGMA writable_schema=RESET")
        db.execute(f"UPDATE evaluation SET {change} WHERE rowid = 9")
    message = refuse(tmp_path, r"row 9 of .*fails its checksum \(")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(message.split("'")[-2])
    with SampleStore.read(tmp_path) as store:
        assert store.count() == ROWS - 1


def test_a_row_damaged_after_opening_is_refused_when_read(tmp_path, path):
    with SampleStore.read(tmp_path) as store:
        assert holds(store)
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE evaluation SET value = zeroblob(length(value)) WHERE rowid = 9")
        with pytest.raises(InputError, match=r"row 9 of .*fails its checksum"):
            holds(store)


def outcome(folder):
    """What comes of reading a store: its error, or whether it holds what was recorded."""
    try:
        with SampleStore.read(folder, MANIFEST) as store:
            return bool(holds(store))
    except InputError as error:
        return str(error)


def test_any_flipped_byte_is_refused_or_harmless(tmp_path, path):
    clean, errors = path.read_bytes(), []
    schema = clean.index(b"CREATE TABLE evaluation")
    anywhere = [(int(u), int(8 * u) % 8) for u in len(clean) * Address(0, "flips", 1, 1, b"").uniforms().level(300)]
    for at, bit in [*anywhere, *((at, 7) for at in range(schema, schema + 100))]:
        path.write_bytes(clean)
        flip(path, at, bit)
        found = outcome(tmp_path)
        if found is not True:
            errors.append(found)
    assert all(isinstance(error, str) and "\n" not in error for error in errors)
    assert 100 < len(errors) < 400


@pytest.mark.parametrize("keep", [0, 1, 99, 100, 4095, 4096, 8192, -4096, -1])
def test_a_truncated_database_is_refused(tmp_path, path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    refuse(tmp_path, "store-0.sqlite is damaged or no sample store")


def test_what_is_no_store_is_refused(tmp_path):
    path = tmp_path / "store-0.sqlite"
    path.write_text("seed,score\n" * 1000)
    refuse(tmp_path, r"store-0.sqlite is damaged or no sample store \(file is not a database\)")
    assert path.read_text().startswith("seed")
    path.unlink()
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (x)")
    refuse(tmp_path, "no such table: manifest")
    path.unlink()
    path.mkdir()
    refuse(tmp_path, "store-0.sqlite cannot be opened")
    path.rmdir()
    (tmp_path / "store-0.sqlite-wal").write_bytes(b"old")
    refuse(tmp_path, "store-0.sqlite is gone and its log store-0.sqlite-wal is not")
    assert not path.exists()
