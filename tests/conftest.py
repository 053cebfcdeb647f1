import pytest
from fields import make_field


@pytest.fixture
def samples():
    return [make_field(task) for task in (0, 3, 10)]
