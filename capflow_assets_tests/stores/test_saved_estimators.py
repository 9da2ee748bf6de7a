"""What a saved estimator may name: types of its model by their whole names, and nothing that runs."""

from __future__ import annotations

import functools
import io
import json
import operator
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capflow_assets.definitions import STAGES
from capflow_assets.errors import BrokenModelError, CapflowError
from capflow_assets.stores.saved_estimators import PLAIN, IsolatedLoader, dumps, loads, skops_io, types_of

MODELS = sorted(STAGES.models)


class Shelf:
    """An estimator that holds whatever it is given."""

    saved_types = ("capflow_assets_tests.stores.test_saved_estimators.Shelf",)

    def __init__(self, content: Any) -> None:
        self.content = content


TYPES = PLAIN | set(Shelf.saved_types)


def packed(schema: Any, files: dict[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", json.dumps(schema))
        for name, content in (files or {}).items():
            archive.writestr(name, content)
    return buffer.getvalue()


def schema_of(estimator: Any) -> dict[str, Any]:
    with zipfile.ZipFile(io.BytesIO(skops_io(has_sklearn=True).dumps(estimator))) as archive:
        return json.loads(archive.read("schema.json"))


@pytest.mark.parametrize("model", MODELS)
def test_models_trust_whole_names_and_few(model):
    own = types_of(STAGES.model(model).model) - PLAIN
    assert all(name.startswith(("capflow_assets.", "xgboost.core.Booster")) for name in own)
    assert len(own) - len(STAGES.model(model).model.candidates) <= 6, "its candidates, and few besides"
    assert not {name for name in own | PLAIN if name.endswith(".")}


def test_plain_values_come_back():
    content = {
        "numbers": [1, 2.5, None, True],
        "array": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scalar": np.float64(0.25),
        "whole": np.int64(7),
        "text": ("é", "b"),
        "bytes": b"x",
        3: {1, 2},
    }
    loaded = loads(dumps(Shelf(content), TYPES), TYPES).content
    assert (loaded.pop("array") == content.pop("array")).all()
    assert loaded == content


@pytest.mark.parametrize(
    "content",
    [
        functools.partial(print, "x"),
        operator.methodcaller("lower"),
        np.load,
        np.sum,
        np.random.default_rng(1),
        Path("/"),
        print,
        Shelf([]).__init__,
        type(pickle.Unpickler),
    ],
    ids=lambda content: type(content).__name__,  # a repr may hold an address, which differs between processes
)
def test_what_could_run_is_neither_saved_nor_loaded(content):
    with pytest.raises(CapflowError, match="saved safely"):
        dumps(Shelf(content), TYPES)
    with pytest.raises(BrokenModelError, match="nothing of it was loaded"):
        loads(skops_io().dumps(Shelf(content)), TYPES)


def test_the_error_names_what_to_declare():
    from sklearn.linear_model import LinearRegression

    model = LinearRegression()
    with pytest.raises(CapflowError, match=r"saved_types = .*'sklearn\.linear_model\._base\.LinearRegression'"):
        dumps(Shelf(model), TYPES)
    types = TYPES | {"sklearn.linear_model._base.LinearRegression"}
    assert isinstance(loads(dumps(Shelf(model), types), types).content, LinearRegression)


def hostile(marker: Path) -> dict[str, Any]:
    """Nodes that call, import or unpickle, by the trusted name of another type, by an old protocol, or bare."""
    run = f"open({str(marker)!r}, 'w').close()"
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": json.dumps(run)}
    args = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": [text]}

    def node(module: str, name: str, loader: str, **more: Any) -> dict[str, Any]:
        return {"__class__": name, "__module__": module, "__loader__": loader, **more}

    exec_ = node("builtins", "exec", "FunctionNode")
    return {
        "exec as a constructor": node("builtins", "exec", "ConstructorFromReduceNode", content=args),
        "exec as a list": node("builtins", "exec", "ListNode", content=[text]),
        "exec as a tuple": node("builtins", "exec", "TupleNode", content=[text]),
        "exec as an object": node("builtins", "exec", "ObjectNode", content=text),
        "eval as a key type": node(
            "builtins",
            "dict",
            "DictNode",
            content={run: text},
            key_types=node("builtins", "list", "ListNode", content=[node("builtins", "exec", "TypeNode")]),
        ),
        "partial": node(
            "functools",
            "partial",
            "PartialNode",
            content={"func": exec_, "args": args, "kwds": text, "namespace": text},
        ),
        "methodcaller": node("operator", "methodcaller", "OperatorFuncNode", attrs=args),
        "pandas reads a pickle": node("pandas", "read_pickle", "ListNode", content=[text]),
        "numpy runs a command": node("numpy.distutils.exec_command", "exec_command", "ListNode", content=[text]),
        "a method": node("builtins", "str", "MethodNode", content={"func": "format", "obj": text}),
        "a module to import": node(marker.stem, "anything", "ObjectNode"),
        "an unknown loader": node("builtins", "list", "PickleNode", content=[]),
        "no loader at all": {"__class__": "exec", "__module__": "builtins"},
        "a loader that is no text": {"__class__": "list", "__module__": "builtins", "__loader__": ["ListNode"]},
    }


@pytest.mark.parametrize("attack", list(hostile(Path("x"))))
@pytest.mark.parametrize("protocol", [2, 1, 0, 99, True, None])
def test_hostile_descriptions_run_nothing(tmp_path, monkeypatch, attack, protocol):
    marker = tmp_path / "marker.txt"
    (tmp_path / "marker.py").write_text(f"open({str(marker)!r}, 'w').close()")
    monkeypatch.syspath_prepend(tmp_path)
    bad = hostile(marker)[attack]
    inner = schema_of(Shelf([1]))
    inner["content"]["content"]["content"] = bad
    for schema in (bad | {"protocol": protocol}, inner | {"protocol": protocol}):
        with pytest.raises(BrokenModelError):
            loads(packed(schema), TYPES)
    assert not marker.exists()


@pytest.mark.parametrize("model", MODELS)
def test_one_model_is_not_loaded_as_another(model):
    others = [types_of(STAGES.model(name).model) for name in MODELS if name != model]
    declared = STAGES.model(model).model
    saved = dumps(declared.challengers[0].make(declared.params()), types_of(declared))
    for types in others:
        with pytest.raises(BrokenModelError, match="does not declare"):
            loads(saved, types)


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04", pickle.dumps([1]), b"{}", packed([]), packed("x"), packed({}), packed(None)],
    ids=["nothing", "a beginning", "a pickle", "json", "a list", "a text", "an empty one", "null"],
)
def test_bytes_that_are_no_model_are_refused(content):
    with pytest.raises(BrokenModelError):
        loads(content, TYPES)


def test_damaged_and_hostile_arrays_are_refused(tmp_path):
    saved = dumps(Shelf(np.arange(1000.0)), TYPES)
    with pytest.raises(BrokenModelError):
        loads(saved[: len(saved) // 2], TYPES)
    middle = len(saved) // 3
    with pytest.raises(BrokenModelError, match="damaged"):
        loads(saved[:middle] + b"\xff\x00\xff" + saved[middle + 3 :], TYPES)
    schema = schema_of(Shelf(np.arange(3.0)))
    marker = tmp_path / "marker"

    class Trap:
        def __reduce__(self) -> Any:
            return open, (str(marker), "w")

    array = io.BytesIO()
    np.save(array, np.array([Trap()], dtype=object), allow_pickle=True)
    [name] = [node["file"] for node in (schema["content"]["content"]["content"],)]
    with pytest.raises(BrokenModelError, match="cannot be loaded"):
        loads(packed(schema, {name: array.getvalue()}), TYPES)
    assert not marker.exists()


def test_a_description_without_end_is_refused():
    deep = "[" * 100_000 + "]" * 100_000
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("schema.json", f'{{"protocol": 2, "__loader__": "ListNode", "content": {deep}}}')
    with pytest.raises(BrokenModelError):
        loads(buffer.getvalue(), TYPES)


def test_what_unpacks_to_more_than_it_is_is_refused():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", json.dumps(schema_of(Shelf([1]))))
        archive.writestr("zeros", b"0" * (1 << 24))
    with pytest.raises(BrokenModelError, match="compressed"):
        loads(buffer.getvalue(), TYPES)


def test_bytes_that_end_the_process_end_another_process():
    """XGBoost reads lists within lists within lists until its stack is at an end."""
    model = STAGES.model("purchase_propensity").model
    types = types_of(model)

    def node(name: str, loader: str, content: Any = None, **more: Any) -> dict[str, Any]:
        given = {
            "__class__": name,
            "__module__": "builtins",
            "__loader__": loader,
            "__id__": sum(loader.encode()),
            **more,
        }
        return given if content is None else given | {"content": content}

    handle = node("bytearray", "BytearrayNode", file="handle")
    keys = node("list", "ListNode", [node("str", "TypeNode")])
    state = node("dict", "DictNode", {"handle": handle}, key_types=keys)
    booster = node("Booster", "ObjectNode", state, __module__="xgboost.core", protocol=2)
    deep = b"{L" + (4).to_bytes(8, "big") + b"abcd[" + b"[" * 100_000
    with IsolatedLoader() as loader:
        assert "ends the process" in loader.damage(packed(booster, {"handle": deep}), types)
        assert loader.damage(dumps(model.challengers[0].make(model.params()), types), types) == ""
        assert "does not declare" in loader.damage(dumps(Shelf([1]), TYPES), types)


def test_saving_and_loading_leave_torch_alone():
    code = (
        "import sys\n"
        "from capflow_assets.stores.saved_estimators import PLAIN, dumps\n"
        "dumps({'a': 1}, PLAIN)\n"
        "assert 'skops.io' in sys.modules\n"
        "assert not {'torch', 'pytest'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


SKLEARN_LATE = """
import sys
import numpy as np
from capflow_assets.stores.saved_estimators import PLAIN, dumps, loads
saved = sys.stdin.buffer.read()
assert loads(saved, PLAIN) == {"weights": [1.0, 2.0]}
assert not [name for name in ("sklearn", "scipy.stats", "torch") if name in sys.modules]
from sklearn.tree import DecisionTreeRegressor
rows = np.arange(20.0).reshape(-1, 1)
tree = DecisionTreeRegressor(max_depth=3).fit(rows, rows[:, 0] ** 2).tree_
types = PLAIN | {"sklearn.tree._tree.Tree"}
again = loads(dumps({"tree": tree}, types), types)["tree"]
assert (again.predict(rows.astype(np.float32)) == tree.predict(rows.astype(np.float32))).all()
"""


def test_scikit_learn_stays_out_until_a_saved_type_is_of_it():
    content = skops_io().dumps({"weights": [1.0, 2.0]})
    subprocess.run([sys.executable, "-c", SKLEARN_LATE], input=content, check=True)
