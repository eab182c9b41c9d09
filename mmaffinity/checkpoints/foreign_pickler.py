"""Pickle objects whose classes are not available."""

import pickle
from types import SimpleNamespace
from typing import IO, Any

import torch

from .safe_pickle import ForeignObject


class ForeignPickler(pickle._Pickler):  # pickle's C implementation cannot write a class by name
    """A pickler that writes a :class:`ForeignObject` as an instance of the class that it names."""

    def save(self, obj: Any, *args: Any, **kwargs: Any) -> None:
        """Write an object."""
        if not isinstance(obj, ForeignObject):
            super().save(obj, *args, **kwargs)
        elif id(obj) in self.memo:
            self.write(self.get(self.memo[id(obj)][0]))
        else:
            self.write(pickle.GLOBAL + f'{obj.cls.module}\n{obj.cls.name}\n'.encode())
            self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
            self.memoize(obj)
            if obj.state is not None:
                self.save(obj.state)
                self.write(pickle.BUILD)


def save_with_foreign_objects(content: Any, file: IO[bytes]) -> None:
    """Write the result of :func:`load_untrusted_checkpoint`, including foreign objects.

    The format is that of PyTorch before 1.6, which the author's code needs and every later version reads.
    """
    module = SimpleNamespace(__name__='pickle', Pickler=ForeignPickler, dump=pickle.dump)
    torch.save(content, file, pickle_module=module, _use_new_zipfile_serialization=False)
