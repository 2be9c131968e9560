import pytest

from iclviz.jobs.computing import ModelKeeper
from iclviz.store import Store


@pytest.fixture
def store(own_cache):
    return Store(own_cache)


@pytest.fixture(scope="module")
def keeper():
    return ModelKeeper()
