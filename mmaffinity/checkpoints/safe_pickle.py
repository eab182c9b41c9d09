"""Read pickles as data, for :mod:`~mmaffinity.checkpoints.untrusted`, which needs the state of unavailable classes.

A pickle is a program: it can name and call any function of any module. :class:`PickleReader` runs only the instructions that
build plain data. It imports nothing named by a pickle, and calls only the constructors that it was given. An object of an
unavailable class becomes a :class:`ForeignObject` with its state as data.
"""

import _compat_pickle  # pickle's own translation of Python 2 names
import pickle
import pickletools
import re
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

# A name in these packages is never a custom class, so it is refused unless explicitly allowed.
GUARDED_PACKAGES = sys.stdlib_module_names | {'numpy', 'torch'}
# Instructions left to Python's own reader: they only build numbers, text, empty containers, tuples and lists.
PLAIN_INSTRUCTIONS = frozenset(
    """
    PROTO FRAME STOP MARK POP POP_MARK DUP PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
    INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT NONE NEWTRUE NEWFALSE
    STRING BINSTRING SHORT_BINSTRING UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST EMPTY_DICT EMPTY_SET GLOBAL BINPERSID
    """.split()
)


class RefusedPickleError(ValueError):
    """A pickle is damaged or requests something forbidden; the message says what."""


@dataclass(frozen=True)
class ForeignGlobal:
    """A class or function that a pickle names; it is not imported."""

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
        state: the object's pickled state, usually the dict of its attributes; None if there is none.
    """

    cls: ForeignGlobal
    state: Any = None

    @property
    def full_name(self) -> str:
        return self.cls.full_name


@dataclass(frozen=True)
class Constructor:
    """A function of ours that replaces a callable allowed in a pickle, and receives the arguments of the call."""

    name: str
    build: Callable[..., Any]


def describe(value: Any) -> str:
    """Name the target of an instruction, for an error message."""
    return getattr(value, 'full_name', None) or getattr(value, 'name', None) or type(value).__name__


def checked_key(value: Any) -> Any:
    """Return a value after checking that it can be hashed safely.

    Placeholders are refused, and nested tuples, whose hashing could overflow the C stack.

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


# Names allowed in any pickle, and their replacements.
PLAIN_GLOBALS: dict[str, Any] = {
    'collections.OrderedDict': Constructor(
        'collections.OrderedDict', lambda items=(): OrderedDict((checked_key(key), value) for key, value in items)
    ),
    'builtins.set': Constructor('builtins.set', lambda items=(): {checked_key(item) for item in items}),
    'builtins.object': object,
    'copyreg._reconstructor': Constructor('copyreg._reconstructor', _reconstructor),
}


class PickleReader:
    """Read a pickle as data.

    Args:
        known_globals: names allowed in addition to :data:`PLAIN_GLOBALS`, by 'module.name': a :class:`Constructor`, or the
            replacement value.
        persistent_load: converts persistent ids to values; None refuses them.
    """

    def __init__(
        self, known_globals: Mapping[str, Any] | None = None, persistent_load: Callable[[Any], Any] | None = None
    ) -> None:
        self._globals = {**PLAIN_GLOBALS, **(known_globals or {})}
        self._persistent_load = persistent_load

    def load(self, file: BinaryIO) -> Any:
        """Read one pickle, and leave the file position after it.

        Args:
            file: open for reading; ``read(n)`` must not allocate memory for more bytes than the file has.

        Returns:
            dict, list, tuple, set, str, bytes, numbers, None, and the values of known globals and persistent ids;
            :class:`ForeignObject` and :class:`ForeignGlobal` for the rest.

        Raises:
            RefusedPickleError: if the pickle is damaged, calls something unknown or names something guarded.
        """
        try:
            return _DataUnpickler(file, self._globals, self._persistent_load).load()
        except (RefusedPickleError, OSError):
            raise
        except Exception as error:  # a malformed pickle can trigger any error in code that expects a valid one
            raise RefusedPickleError(f'damaged pickle: {type(error).__name__}: {ascii(str(error))[:200]}') from error


class _DataUnpickler(pickle._Unpickler):
    """Python's pickle reader (pure Python, a method per instruction), restricted to instructions that build data."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]]
    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, file: BinaryIO, known: Mapping[str, Any], persistent_load: Callable[[Any], Any] | None) -> None:
        super().__init__(file, encoding='latin1')  # as pickletools; the legacy format contains Python 2 text
        self._tell, self._start = file.tell, file.tell()
        self._known, self._load_id = known, persistent_load
        self._copied = 0

    def persistent_load(self, pid: Any) -> Any:
        if self._load_id is None:
            raise RefusedPickleError('refused a persistent id')
        return self._load_id(pid)

    def find_class(self, module: Any, name: Any) -> Any:
        """Return the replacement for a name, or the name as data, without importing anything."""
        if type(module) is not str or type(name) is not str:
            raise RefusedPickleError('refused a global whose name is not text')
        # Protocols up to 2 use Python 2 names, for example commands.Popen for subprocess.Popen.
        module, name = _compat_pickle.NAME_MAPPING.get((module, name), (module, name))
        module = _compat_pickle.IMPORT_MAPPING.get(module, module)
        full_name = f'{module}.{name}'
        if not re.fullmatch(r'\w[\w.]{,198}', full_name, re.ASCII):
            raise RefusedPickleError(f'refused a global named {ascii(full_name)[:200]}')
        if full_name in self._known:
            return self._known[full_name]
        if module.split('.')[0] in GUARDED_PACKAGES:
            raise RefusedPickleError(f'refused {full_name}')
        return ForeignGlobal(module, name)

    def load_stack_global(self) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self.find_class(module, name))

    # Containers: Python's reader would fill objects of any class, with anything.
    def _target(self, *kinds: type) -> Any:
        target = self.stack[-1]
        if type(target) not in kinds:
            raise RefusedPickleError(f'refused to fill {describe(target)}, which is not a plain list, dict or set')
        return target

    def _fill(self, items: list) -> None:
        target = self._target(dict, OrderedDict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def load_append(self) -> None:
        item = self.stack.pop()
        self._target(list).append(item)

    def load_appends(self) -> None:
        items = self.pop_mark()
        self._target(list).extend(items)

    def load_additems(self) -> None:
        items = self.pop_mark()
        self._target(set).update(checked_key(item) for item in items)

    def load_frozenset(self) -> None:
        items = self.pop_mark()
        self.stack.append(frozenset(checked_key(item) for item in items))

    def load_dict(self) -> None:
        items = self.pop_mark()
        self.stack.append({})
        self._fill(items)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._fill([key, value])

    def load_setitems(self) -> None:
        self._fill(self.pop_mark())

    # Objects
    def load_reduce(self) -> None:
        arguments, target = self.stack.pop(), self.stack.pop()
        if not isinstance(target, Constructor) or type(arguments) is not tuple:
            raise RefusedPickleError(f'refused to call {describe(target)}')
        # Limit copies of data that the pickle contains once: a short pickle could fill the memory.
        self._copied += sum(len(part) for part in arguments if isinstance(part, (str, bytes, list, tuple, dict)))
        if self._copied > self._tell() - self._start + 65536:
            raise RefusedPickleError('refused a pickle that copies the same data over and over')
        self.stack.append(target.build(*arguments))

    def load_newobj(self) -> None:
        self.stack.append({})
        self.load_newobj_ex()

    def load_newobj_ex(self) -> None:
        keywords, arguments, target = self.stack.pop(), self.stack.pop(), self.stack.pop()
        if not isinstance(target, ForeignGlobal) or arguments or keywords:
            raise RefusedPickleError(f'refused to create an object of {describe(target)}')
        self.stack.append(ForeignObject(target))

    def load_build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if type(target) is ForeignObject:
            target.state = state
        elif type(target) is OrderedDict:
            # The module versions of a state dict; no other attribute of a dict is data.
            if isinstance(state, dict) and isinstance(state.get('_metadata'), dict):
                setattr(target, '_metadata', state['_metadata'])  # noqa: B010  (typed dicts have no attributes)
        else:
            raise RefusedPickleError(f'refused to set the state of {describe(target)}')


def _refusal(name: str) -> Callable[[Any], None]:
    def refuse(_: Any) -> None:
        raise RefusedPickleError(f'refused pickle instruction {name}')

    return refuse


def _instruction(name: str, code: int) -> Callable[[Any], None]:
    """Return the method above for an instruction, else Python's if it builds plain data, else a refusal."""
    python: Mapping[int, Callable[[Any], None]] = vars(pickle._Unpickler)['dispatch']
    return vars(_DataUnpickler).get(f'load_{name.lower()}') or (python[code] if name in PLAIN_INSTRUCTIONS else _refusal(name))


_DataUnpickler.dispatch = {ord(op.code): _instruction(op.name, ord(op.code)) for op in pickletools.opcodes}
