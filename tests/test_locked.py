"""A database that another process holds: a wait says so, and ends with a sentence."""

import sqlite3
import threading
import time

import pytest

from iclviz import rows
from iclviz.disk import writing
from iclviz.errors import StoreError
from iclviz.rows import FILE, Rows


@pytest.fixture
def held(tmp_path, monkeypatch):
    """Rows whose database another connection is writing to, and that connection."""
    monkeypatch.setattr(rows, "OPTIONS", {**rows.OPTIONS, "timeout": 0.05})
    found = Rows(tmp_path / "rows")
    found["a"] = 1
    other = sqlite3.connect(tmp_path / "rows" / FILE, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield found, other
    other.close()
    found.close()


def test_a_wait_says_so_and_goes_on_when_the_other_is_done(held, caplog):
    found, other = held
    release = threading.Timer(0.4, lambda: other.execute("COMMIT"))
    release.start()
    start = time.monotonic()
    found["b"] = 2
    assert time.monotonic() - start > 0.2
    assert found["b"] == 2
    said = [record.getMessage() for record in caplog.records]
    assert len([one for one in said if "which another process is writing to" in one]) == 1
    release.join()


def test_a_wait_that_is_too_long_ends_with_a_sentence(held, monkeypatch, tmp_path):
    found, _ = held
    monkeypatch.setattr(rows, "PATIENCE", 0.2)
    with pytest.raises(StoreError, match=r"another process has held cache\.db in it for 0 seconds"), writing(tmp_path):
        found["b"] = 2
    with pytest.raises(StoreError, match="another process has held"), writing(tmp_path), found.transact():
        pass
