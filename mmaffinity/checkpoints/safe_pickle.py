"""Reading pickles as data, for :mod:`~mmaffinity.checkpoints.untrusted`, which needs the state of classes that are not here.

A pickle is a program: it names callables of any module and calls them. :class:`PickleReader` reads its instructions and builds
plain data only. It imports nothing named by a pickle and calls only the constructors that it was given. An object of an
unavailable class becomes a :class:`ForeignObject`, with its state as data.
"""

import _compat_pickle  # the name translation of pickle itself
import pickletools
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

# Names in these modules are never data of a custom class: those not explicitly known are refused.
GUARDED_PACKAGES = sys.stdlib_module_names | {'numpy', 'torch'}
_LITERALS = {
    'INT',
    'BININT',
    'BININT1',
    'BININT2',
    'LONG',
    'LONG1',
    'LONG4',
    'FLOAT',
    'BINFLOAT',
    'STRING',
    'BINSTRING',
    'SHORT_BINSTRING',
    'UNICODE',
    'SHORT_BINUNICODE',
    'BINUNICODE',
    'BINUNICODE8',
    'BINBYTES',
    'SHORT_BINBYTES',
    'BINBYTES8',
}
_CONSTANTS = {'NONE': None, 'NEWTRUE': True, 'NEWFALSE': False, 'EMPTY_TUPLE': ()}
_CONTAINERS = {'EMPTY_LIST': list, 'EMPTY_DICT': dict, 'EMPTY_SET': set}


class RefusedPickleError(ValueError):
    """A pickle that is damaged or requests something forbidden; the message names it."""


@dataclass(frozen=True)
class ForeignGlobal:
    """A class or function named by a pickle, not imported."""

    module: str
    name: str

    @property
    def full_name(self) -> str:
        return f'{self.module}.{self.name}'


@dataclass(eq=False)
class ForeignObject:
    """An object whose class was not imported.

    Attributes:
        cls: the class, as named by the pickle.
        state: the state passed to the object, usually the dict of its attributes; None if there is none.
    """

    cls: ForeignGlobal
    state: Any = None

    @property
    def full_name(self) -> str:
        return self.cls.full_name


@dataclass(frozen=True)
class Constructor:
    """Our own function that replaces a callable allowed in a pickle; it receives the arguments of the call."""

    name: str
    build: Callable[..., Any]


def describe(value: Any) -> str:
    """Name what an instruction was applied to, for an error message."""
    return getattr(value, 'full_name', None) or getattr(value, 'name', None) or type(value).__name__


def checked_key(value: Any) -> Any:
    """Return a value that can be hashed safely: no placeholder, and no tuple so deep that hashing overflows the C stack.

    Raises:
        RefusedPickleError: for anything other than text, numbers, None and flat tuples of these.
    """
    parts = value if type(value) is tuple else (value,)
    if any(type(part) not in (str, bytes, int, float, bool, type(None)) for part in parts):
        raise RefusedPickleError(f'refused a key of type {type(value).__name__}')
    return value


def _reconstructor(cls: Any, base: Any, state: Any) -> ForeignObject:
    if not isinstance(cls, ForeignGlobal) or base is not object or state is not None:
        raise RefusedPickleError(f'refused copyreg._reconstructor of {describe(cls)}')
    return ForeignObject(cls)


_ORDERED_DICT = Constructor(
    'collections.OrderedDict', lambda items=(): OrderedDict((checked_key(key), value) for key, value in items)
)
_SET = Constructor('builtins.set', lambda items=(): {checked_key(item) for item in items})
_RECONSTRUCTOR = Constructor('copyreg._reconstructor', _reconstructor)
# Names allowed in any pickle, and their replacements.
PLAIN_GLOBALS: dict[str, Any] = {
    'collections.OrderedDict': _ORDERED_DICT,
    'builtins.set': _SET,
    'builtins.object': object,
    'copyreg._reconstructor': _RECONSTRUCTOR,
}


class PickleReader:
    """Read a pickle as data.

    Args:
        known_globals: names allowed in addition to :data:`PLAIN_GLOBALS`, by 'module.name': a :class:`Constructor`, or the
            replacement value.
        persistent_load: turns persistent ids into values; None refuses them.
    """

    def __init__(
        self, known_globals: Mapping[str, Any] | None = None, persistent_load: Callable[[Any], Any] | None = None
    ) -> None:
        self._globals = {**PLAIN_GLOBALS, **(known_globals or {})}
        self._persistent_load = persistent_load

    def load(self, file: BinaryIO) -> Any:
        """Read one pickle; the file position is then after it.

        Args:
            file: open for reading; its ``read(n)`` must not allocate memory for more bytes than there are.

        Returns:
            dict, list, tuple, set, str, bytes, numbers, None, and the values of known globals and persistent ids;
            :class:`ForeignObject` and :class:`ForeignGlobal` for the rest.

        Raises:
            RefusedPickleError: if the pickle is damaged, calls something unknown or names something guarded.
        """
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks under each open mark
        self._memo: dict[int, Any] = {}
        self._copied = 0
        start = file.tell()
        try:
            for opcode, argument, position in pickletools.genops(file):
                self._position = (position or 0) - start
                if opcode.name == 'STOP':
                    return self._stack.pop()
                self._execute(opcode.name, argument)
        except (RefusedPickleError, OSError):
            raise
        except Exception as error:  # a malformed pickle can cause any error in code that expects a valid one
            raise RefusedPickleError(f'damaged pickle: {type(error).__name__}: {ascii(str(error))[:200]}') from error
        raise RefusedPickleError('damaged pickle: it has no end')

    def _execute(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _CONTAINERS:
            self._stack.append(_CONTAINERS[name]())
        else:
            handler = getattr(self, f'_op_{name.lower()}', None)
            if handler is None:
                raise RefusedPickleError(f'refused pickle instruction {name}')
            handler(argument)

    def _spend(self, value: Any) -> None:
        # Copies of data that the pickle contains once are limited, because a short pickle could fill the memory.
        self._copied += len(value) if isinstance(value, (str, bytes, list, tuple, dict)) else 0
        if self._copied > self._position + 65536:
            raise RefusedPickleError('refused a pickle that copies the same data again and again')

    def _items(self) -> list:
        items, self._stack = self._stack, self._below.pop()
        return items

    # Stack and memo
    def _op_proto(self, _: Any) -> None:
        pass

    _op_frame = _op_proto

    def _op_mark(self, _: Any) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _op_pop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._items()

    def _op_pop_mark(self, _: Any) -> None:
        self._items()

    def _op_dup(self, _: Any) -> None:
        self._stack.append(self._stack[-1])

    def _op_put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    _op_binput = _op_long_binput = _op_put

    def _op_memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _op_get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    _op_binget = _op_long_binget = _op_get

    # Containers
    def _op_tuple1(self, _: Any) -> None:
        self._stack[-1:] = [(self._stack[-1],)]

    def _op_tuple2(self, _: Any) -> None:
        self._stack[-2:] = [(self._stack[-2], self._stack[-1])]

    def _op_tuple3(self, _: Any) -> None:
        self._stack[-3:] = [(self._stack[-3], self._stack[-2], self._stack[-1])]

    def _op_tuple(self, _: Any) -> None:
        items = self._items()  # first: it changes the stack
        self._stack.append(tuple(items))

    def _op_list(self, _: Any) -> None:
        items = self._items()
        self._stack.append(items)

    def _op_dict(self, _: Any) -> None:
        items = self._items()
        self._stack.append({})
        self._set_items(items)

    def _op_frozenset(self, _: Any) -> None:
        items = self._items()
        self._stack.append(frozenset(checked_key(item) for item in items))

    def _target(self, kinds: tuple) -> Any:
        target = self._stack[-1]
        if type(target) not in kinds:
            raise RefusedPickleError(f'refused to fill {describe(target)}, which is no plain list, dict or set')
        return target

    def _op_append(self, _: Any) -> None:
        item = self._stack.pop()
        self._target((list,)).append(item)

    def _op_appends(self, _: Any) -> None:
        items = self._items()
        self._target((list,)).extend(items)

    def _op_additems(self, _: Any) -> None:
        items = self._items()
        self._target((set,)).update(checked_key(item) for item in items)

    def _op_setitem(self, _: Any) -> None:
        items = [self._stack.pop(), self._stack.pop()][::-1]
        self._set_items(items)

    def _op_setitems(self, _: Any) -> None:
        self._set_items(self._items())

    def _set_items(self, items: list) -> None:
        target = self._target((dict, OrderedDict))
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    # Names and objects
    def _op_global(self, argument: str) -> None:
        self._push_global(*argument.split(' ', 1))

    def _op_stack_global(self, _: Any) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._push_global(module, name)

    def _push_global(self, module: str, name: str) -> None:
        if type(module) is not str or type(name) is not str:
            raise RefusedPickleError('refused a global whose name is no text')
        # Protocols up to 2 use the names of Python 2, for example commands.Popen for subprocess.Popen.
        module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
        module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        full_name = f'{module}.{name}'
        if not re.fullmatch(r'\w[\w.]{,198}', full_name, re.ASCII):
            raise RefusedPickleError(f'refused a global of the name {ascii(full_name)[:200]}')
        if full_name in self._globals:
            self._stack.append(self._globals[full_name])
        elif module.split('.')[0] in GUARDED_PACKAGES:
            raise RefusedPickleError(f'refused {full_name}')
        else:
            self._stack.append(ForeignGlobal(module, name))

    def _op_reduce(self, _: Any) -> None:
        arguments, target = self._stack.pop(), self._stack.pop()
        if not isinstance(target, Constructor) or type(arguments) is not tuple:
            raise RefusedPickleError(f'refused to call {describe(target)}')
        for argument in arguments:
            self._spend(argument)
        self._stack.append(target.build(*arguments))

    def _op_newobj(self, _: Any) -> None:
        self._stack.append({})
        self._op_newobj_ex(_)

    def _op_newobj_ex(self, _: Any) -> None:
        keywords, arguments, target = self._stack.pop(), self._stack.pop(), self._stack.pop()
        if not isinstance(target, ForeignGlobal) or arguments or keywords:
            raise RefusedPickleError(f'refused to make an object of {describe(target)}')
        self._stack.append(ForeignObject(target))

    def _op_build(self, _: Any) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if type(target) is ForeignObject:
            target.state = state
        elif type(target) is OrderedDict:
            # The module versions of a state dict; no other attribute of a dict is data.
            if isinstance(state, dict) and isinstance(state.get('_metadata'), dict):
                setattr(target, '_metadata', state['_metadata'])  # noqa: B010  (typed dicts have no attributes)
        else:
            raise RefusedPickleError(f'refused to set the state of {describe(target)}')

    def _op_binpersid(self, _: Any) -> None:
        if self._persistent_load is None:
            raise RefusedPickleError('refused a persistent id')
        self._stack.append(self._persistent_load(self._stack.pop()))
