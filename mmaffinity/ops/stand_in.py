"""MMDetection with the operations of this package, whether or not mmcv's are compiled.

MMDetection imports ``mmcv.ops``, which cannot be imported without mmcv's compiled extension. :func:`operations_in_torch`
replaces it with a stand-in while MMDetection is imported. Afterwards, other code sees the original ``mmcv.ops``.
"""

import contextlib
import io
import sys
import warnings
from collections.abc import Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import mmcv
from mmdet.registry import MODELS as DETECTION_MODELS
from mmengine.registry import MODELS

from .compiled import is_compiled, load_compiled
from .nms import batched_nms, nms
from .roi_align import RoIAlign, roi_align

NAME = 'mmcv.ops'
OWN = {'nms': nms, 'batched_nms': batched_nms, 'roi_align': roi_align, 'RoIAlign': RoIAlign}
# Names that mmcv.ops registers on import and that configs use, as in dcn=dict(type='DCNv2').
REGISTERED = {
    'DCN': 'DeformConv2dPack',
    'DCNv2': 'ModulatedDeformConv2dPack',
    'SAC': 'SAConv2d',
    'carafe': 'CARAFEPack',
    'MMSyncBN': 'SyncBatchNorm',
    'CrissCrossAttention': 'CrissCrossAttention',
    'MultiScaleDeformableAttention': 'MultiScaleDeformableAttention',
    **{
        name: name
        for name in (
            'SparseConv2d',
            'SparseConv3d',
            'SparseConv4d',
            'SparseConvTranspose2d',
            'SparseConvTranspose3d',
            'SparseInverseConv2d',
            'SparseInverseConv3d',
            'SubMConv2d',
            'SubMConv3d',
            'SubMConv4d',
        )
    },
}


class _StandIn(type):
    """Type of stand-ins for mmcv's operations, which load the operation when called."""

    registered_as: str | None = None

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return load_compiled(cls.__name__, cls.registered_as)(*args, **kwargs)

    def __instancecheck__(cls, instance: Any) -> bool:
        compiled = getattr(sys.modules.get(NAME), cls.__name__, None)
        return isinstance(compiled, type) and compiled is not cls and isinstance(instance, compiled)


class _Operations(ModuleType):
    """The module that MMDetection finds as ``mmcv.ops`` or one of its submodules."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        # MMDetection looks up RoI layers here by name, so registered layers are returned.
        operation = OWN.get(name) or DETECTION_MODELS.module_dict.get(name) or _StandIn(name, (), {'__module__': __name__})
        setattr(self, name, operation)
        return operation


class _Finder(MetaPathFinder, Loader):
    """Find the stand-in while ``active``; otherwise unregister the names that the original ``mmcv.ops`` will register."""

    active = False

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if _is_operations(fullname) and self.active:
            return ModuleSpec(fullname, self, is_package=True)
        if fullname == NAME and is_compiled():
            _unregister()
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Operations(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module's attributes are created on access."""


_FINDER = _Finder()


def import_mmdet() -> None:
    """Import MMDetection's data sets, metrics and models with :func:`operations_in_torch`.

    Messages about packages that are not needed here are suppressed; one of them wrongly states that metrics will not be
    computed.
    """
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), operations_in_torch():
        warnings.filterwarnings('ignore', 'faster_coco_eval is not installed')
        import mmdet.datasets
        import mmdet.evaluation
        import mmdet.models  # noqa: F401


@contextlib.contextmanager
def operations_in_torch() -> Iterator[None]:
    """Make MMDetection, when imported in this context, use this package's nms, batched_nms, roi_align and RoIAlign.

    ``mmaffinity.framework`` does this once for all of MMDetection, in :func:`import_mmdet`, so that MMDetection's own detectors
    and heads also run without compiled operations. It must be imported before ``mmdet.models``, for example by a config's
    ``custom_imports``. If MMDetection was imported earlier, which requires a compiled mmcv, its modules are patched at the end.
    The results are the same either way.

    Any other mmcv operation is loaded when a model uses it. If it is not compiled, a ValueError explains how to get it; the
    same applies to the registered names of mmcv's layers, such as 'DCNv2'. MMDetection modules imported after this context,
    none of which are part of a model, see the original mmcv.
    """
    before = {name: sys.modules.pop(name) for name in [*sys.modules] if _is_operations(name)}
    vars(mmcv).pop('ops', None)
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
    _FINDER.active = True
    try:
        yield
    finally:
        _FINDER.active = False
        for name in [name for name in sys.modules if _is_operations(name)]:
            del sys.modules[name]
        vars(mmcv).pop('ops', None)
        sys.modules.update(before)
        if before:
            mmcv.ops = before[NAME]
    _switch_over(before.get(NAME))
    if not before:
        _register()


def _is_operations(name: str) -> bool:
    return name == NAME or name.startswith(f'{NAME}.')


def _switch_over(compiled: ModuleType | None) -> None:
    """Replace the operations of ``mmcv.ops`` in MMDetection's modules, and MMDetection's stubs, which only raise."""
    for module in [module for name, module in sys.modules.items() if name.startswith('mmdet.')]:
        content = vars(module)
        for name in OWN.keys() & content.keys():
            if content[name] is getattr(compiled, name, None) or getattr(content[name], '__module__', '') == module.__name__:
                setattr(module, name, OWN[name])
        if compiled is not None and content.get('ops') is compiled:
            content['ops'] = _Operations(NAME)


def _register() -> None:
    for key, name in REGISTERED.items():
        if key not in MODELS.module_dict:
            MODELS.register_module(key, module=_StandIn(name, (), {'__module__': __name__, 'registered_as': key}))


def _unregister() -> None:
    for key in REGISTERED:
        if isinstance(MODELS.module_dict.get(key), _StandIn):
            del MODELS.module_dict[key]
