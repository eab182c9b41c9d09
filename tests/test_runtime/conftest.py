import pytest

from mmaffinity.runtime import read_model_file


@pytest.fixture(scope='module')
def proto(exported):
    return pytest.importorskip('onnx').load(exported[2])


@pytest.fixture
def check_rejected(proto, tmp_path):
    """A function that changes a copy of an exported model, and checks the message with which the file is rejected."""

    def check(change, message):
        model = type(proto)()
        model.CopyFrom(proto)
        changed = change(model)
        path = tmp_path / 'evil.onnx'
        path.write_bytes(changed if isinstance(changed, bytes) else model.SerializeToString())
        with pytest.raises(ValueError, match=f'evil.onnx .*{message}'):
            read_model_file(path)

    return check
