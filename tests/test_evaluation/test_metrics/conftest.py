import pytest
from mmengine.logging import MMLogger


@pytest.fixture
def log(monkeypatch):
    """The messages that the metrics log."""
    lines = []
    logger = MMLogger.get_current_instance()
    for level in ('info', 'warning'):
        monkeypatch.setattr(logger, level, lambda message, *args, **kwargs: lines.append(str(message)))
    return lines
