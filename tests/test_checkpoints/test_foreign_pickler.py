"""A foreign object read as data is written as an object of its class again."""

import io

import torch
from published_helpers import author_module

from mmaffinity.checkpoints.foreign_pickler import save_with_foreign_objects
from mmaffinity.checkpoints.safe_pickle import ForeignGlobal, ForeignObject
from mmaffinity.checkpoints.untrusted import load_untrusted_checkpoint


def test_original_class_unpickles_its_object(tmp_path, monkeypatch):
    foreign = ForeignObject(
        ForeignGlobal('models.affinity.rpn', 'AnchorGenerator'), {'sizes': ((2, 4),), 'cell_anchors': [torch.ones(2)]}
    )
    bare = ForeignObject(ForeignGlobal('models.affinity.rpn', 'AnchorGenerator'))
    buffer = io.BytesIO()
    save_with_foreign_objects({'a': foreign, 'again': foreign, 'bare': bare, 'w': torch.arange(3)}, buffer)
    cls = author_module(monkeypatch)
    buffer.seek(0)
    loaded = torch.load(buffer, weights_only=False)
    assert type(loaded['a']) is cls and loaded['again'] is loaded['a'] and type(loaded['bare']) is cls
    assert loaded['a'].sizes == ((2, 4),) and torch.equal(loaded['a'].cell_anchors[0], torch.ones(2))
    assert torch.equal(loaded['w'], torch.arange(3))

    (tmp_path / 'a.pth').write_bytes(buffer.getvalue())
    again = load_untrusted_checkpoint(tmp_path / 'a.pth')
    assert again['a'].full_name == foreign.full_name and again['a'].state['sizes'] == ((2, 4),)
    assert again['again'] is again['a'] and again['bare'].state is None
