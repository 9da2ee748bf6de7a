"""Fitted estimators as bytes and back, by skops and by an allow-list of types.

Loading builds objects, so what a file may name is decided here and not by the file: the classes of the model, those
that its estimator declares in ``saved_types``, plain containers and numpy's arrays; each by its whole name. A module is
never trusted as a whole: ``numpy``, ``pandas`` and ``builtins`` hold functions that read files and run code.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from types import ModuleType
from typing import Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from capflow_assets.contract import Estimator, Model
from capflow_assets.errors import BrokenModelError, CapflowError
from capflow_assets.stores.former_types import DESCRIPTION, current_name, parts_of, type_name, with_current_names

PLAIN = frozenset(
    [
        *(f"builtins.{name}" for name in ("dict", "list", "tuple", "set", "frozenset", "str", "int", "float", "bool")),
        *("builtins.bytes", "builtins.bytearray", "numpy.ndarray", "numpy.bool", "numpy.int8", "numpy.uint8"),
        *(f"numpy.{kind}{bits}" for kind in ("int", "uint", "float") for bits in (16, 32, 64)),
        # Any model's candidates may answer together.
        "capflow_assets.learning.ensembles.Ensemble",
    ]
)
# Where skops keeps the types that it loads without being told to, and what it calls them.
TRUSTED = "skops.io._trusted_types"
# What skops knows of scikit-learn's types, and what tells the module that stands in for it.
SKLEARN = "skops.io._sklearn"
STANDS_IN = "stands_in"
TRUSTED_NAMES = (
    "PRIMITIVE_TYPE_NAMES",
    "CONTAINER_TYPE_NAMES",
    "NUMPY_DTYPE_TYPE_NAMES",
    "NUMPY_RANDOM_BIT_GENERATOR_TYPE_NAMES",
    "NUMPY_UFUNC_TYPE_NAMES",
    "SCIPY_UFUNC_TYPE_NAMES",
    "SKLEARN_ESTIMATOR_TYPE_NAMES",
    "SKLEARN_INTERNAL_TYPE_NAMES",
)
# Several of a model's estimators together.
ENSEMBLE = "capflow_assets.learning.ensembles.Ensemble"
LARGEST_DESCRIPTION_BYTES = 64 << 20
# Of the first release; a file may not ask for the laxer readers of older ones.
OLDEST_PROTOCOL = 2
# What builds data. The others of skops build functions, methods and calls that are put off.
LOADERS = frozenset(
    f"{kind}Node"
    for kind in ("Object", "Dict", "List", "Tuple", "Set", "Type", "Json", "Bytes", "Bytearray", "NdArray", "Tree")
)


def types_of(model: Model[Any]) -> frozenset[str]:
    """The names of all types that a saved estimator of this model may hold."""
    makers: list[Any] = [class_of(candidate.make) for candidate in model.candidates]
    declared = {current_name(name) for maker in makers for name in getattr(maker, "saved_types", ())}
    return (
        PLAIN | {ENSEMBLE} | {f"{kind.__module__}.{kind.__qualname__}" for kind in (*makers, model.params)} | declared
    )


def class_of(make: Any) -> Any:
    """The class of a candidate's estimators; a model may have given it some of its arguments."""
    return make.func if isinstance(make, partial) else make


def skops_io(*, has_sklearn: bool = False) -> Any:
    """``skops.io``, without its own list of what may be loaded, and so without what it imports to make that list.

    The list has every estimator of scikit-learn and every function of numpy and scipy, each looked for in all modules
    of the process: seconds in every process that saves or loads a model. What may be loaded here is named by our own
    list alone, so an empty one stands in its place. With it scikit-learn's packages stay out, one of which loads torch.

    What skops knows of scikit-learn's own types stays out as well until they are needed (``has_sklearn``): the models
    here keep none, and 90 MB come with it and scipy's statistics.
    """
    if TRUSTED not in sys.modules:
        nothing = ModuleType(TRUSTED)
        nothing.__dict__.update({name: [] for name in TRUSTED_NAMES})
        sys.modules[TRUSTED] = nothing
    if SKLEARN not in sys.modules and not has_sklearn:
        sys.modules[SKLEARN] = _nothing_of_sklearn()
    import skops.io

    if has_sklearn and hasattr(sys.modules[SKLEARN], STANDS_IN):
        _add_sklearn()
    return skops.io


def _nothing_of_sklearn() -> ModuleType:
    """What stands in for the module of skops that knows scikit-learn: it adds no type, and names what others take."""
    nothing = ModuleType(SKLEARN)
    names = {"GET_STATE_DISPATCH_FUNCTIONS": [], "NODE_TYPE_MAPPING": {}, "ReduceNode": object}
    nothing.__dict__.update(names | {"reduce_get_state": None, STANDS_IN: True})
    return nothing


def _add_sklearn() -> None:
    """Let skops know scikit-learn's types after all, as it does when it is imported."""
    from skops.io._audit import NODE_TYPE_MAPPING
    from skops.io._utils import _get_state

    del sys.modules[SKLEARN]
    known = importlib.import_module(SKLEARN)
    for kind, method in known.GET_STATE_DISPATCH_FUNCTIONS:
        _get_state.register(kind)(method)
    NODE_TYPE_MAPPING.update(known.NODE_TYPE_MAPPING)


def dumps(estimator: Estimator, types: frozenset[str]) -> bytes:
    """The estimator as bytes that ``loads`` takes with the same ``types``.

    Raises:
        CapflowError: the estimator holds a type that its model does not declare; it would not load again.
    """
    content = skops_io(has_sklearn=True).dumps(estimator)
    foreign = foreign_types(content, types)
    if foreign:
        kind = type(estimator)
        raise CapflowError(
            f"{kind.__name__} cannot be saved safely",
            expected="attributes of plain types, numpy arrays and the types that the estimator declares",
            came=", ".join(foreign),
            where=kind.__module__,
            do=f"keep plain values instead, or name them: {kind.__name__}.saved_types = {tuple(foreign)!r}",
        )
    return content


def loads(content: bytes, types: frozenset[str]) -> Estimator:
    """The estimator that ``dumps`` saved, in this release or an earlier one (``stores.former_types``).

    Nothing is built unless every type in it is one of ``types``.

    Raises:
        BrokenModelError: the bytes are damaged, or name another type.
    """
    foreign = foreign_types(content, types)
    if foreign:
        raise BrokenModelError(
            "A saved model holds types that its code does not declare; nothing of it was loaded",
            came=", ".join(foreign[:10]),
        )
    try:
        reader, named = skops_io(has_sklearn=_has_sklearn(types)), with_current_names(content)
        estimator: Estimator = reader.loads(named, trusted=sorted(types))
    except Exception as error:  # damaged bytes break the loader in any way they like
        raise BrokenModelError("A saved model cannot be loaded", came=f"{type(error).__name__}: {error}") from error
    return estimator


def _has_sklearn(types: frozenset[str]) -> bool:
    return any(name.startswith("sklearn.") for name in types)


class IsolatedLoader:
    """Loads bytes of unknown origin in another process, which is started again where one has died.

    Parts of an estimator are built by libraries in C++, which crafted bytes can crash.
    """

    def __enter__(self) -> IsolatedLoader:
        """The process is started with the first load."""
        self._pool: ProcessPoolExecutor | None = None
        return self

    def __exit__(self, *_: object) -> None:
        """End the other process."""
        self._end()

    def damage(self, content: bytes, types: frozenset[str]) -> str:
        """What is wrong with the bytes; empty where they can be loaded."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            return self._pool.submit(_damage, content, types).result()
        except BrokenProcessPool:
            self._end()
            return "it ends the process that loads it"

    def _end(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        self._pool = None


def _damage(content: bytes, types: frozenset[str]) -> str:
    try:
        loads(content, types)
    except BrokenModelError as error:
        return str(error)
    return ""


def foreign_types(content: bytes, types: frozenset[str]) -> list[str]:
    """What a saved estimator names and ``types`` does not; read from its description, and nothing is imported.

    Raises:
        BrokenModelError: the description cannot be read.
    """
    skops_io(has_sklearn=_has_sklearn(types))
    from skops.io._protocol import PROTOCOL

    try:
        with ZipFile(io.BytesIO(content)) as packed:
            _require_plain(packed.infolist(), len(content))
            damaged = packed.testzip()
            schema = json.loads(packed.read(DESCRIPTION))
            nodes = list(parts_of(schema))
    except Exception as error:  # any bytes may have been put there
        raise BrokenModelError(
            "A saved model is damaged", expected="a file as skops writes it", came=f"{type(error).__name__}: {error}"
        ) from error
    if damaged:
        raise BrokenModelError("A saved model is damaged", came=f"other bytes than were written in {damaged}")
    protocol = schema.get("protocol") if isinstance(schema, dict) else None
    if type(protocol) is not int or not OLDEST_PROTOCOL <= protocol <= PROTOCOL or "__loader__" not in schema:
        expected = f"a description by protocol {OLDEST_PROTOCOL} to {PROTOCOL}"
        raise BrokenModelError("A saved model is none that skops writes here", expected=expected, came=repr(protocol))
    return sorted({name for node in nodes for name in _unknown(node, types)})


def _require_plain(entries: Sequence[ZipInfo], size: int) -> None:
    """Entries lie one after another and uncompressed, as skops writes them: whatever unpacks to more is a trap."""
    if any(entry.compress_type != ZIP_STORED for entry in entries):
        raise ValueError("it is compressed")
    if sum(entry.file_size for entry in entries) > size:
        raise ValueError("it says that it holds more than it does")
    if any(entry.filename == DESCRIPTION and entry.file_size > LARGEST_DESCRIPTION_BYTES for entry in entries):
        raise ValueError(f"its description has more than {LARGEST_DESCRIPTION_BYTES:,} bytes")


def _unknown(node: dict[str, Any], types: frozenset[str]) -> Iterator[str]:
    loader, name = node.get("__loader__"), type_name(node)
    if not isinstance(loader, str) or loader not in LOADERS:
        yield f"{name} by {loader}"
    elif current_name(name) not in types:
        yield name
