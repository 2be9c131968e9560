import pytest

from tests.storage.conformance import StorageConformance
from tests.storage.memory import MemoryStorage


class TestMemoryStorage(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path):
        return MemoryStorage(tmp_path)
