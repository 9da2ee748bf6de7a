"""Calls that existing clients speak: the Open Inference Protocol, version 2, and the bodies of MLflow's server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from capflow_assets.serving.problems import ProblemError
from capflow_assets.serving.requests import AnswerRequest, answer_request, require_few
from capflow_assets.serving.service import Served, Service

ID = "user_id"
PLATFORM = "capflow"
NUMBERS = ("FP64", "FP32", "INT64", "INT32", "INT16", "INT8", "UINT8", "BOOL")


async def metadata(service: Service, served: Served) -> dict[str, Any]:
    """A model's description: by user id, and where it can answer live, each feature of its champion as a tensor."""
    names = await service.columns(served)
    inputs = [{"name": ID, "datatype": "BYTES", "shape": [-1]}]
    inputs += [{"name": name, "datatype": "FP64", "shape": [-1]} for name in names]
    return {
        "name": f"{served.customer}.{served.model}",
        "versions": [] if served.champion is None else [str(served.champion)],
        "platform": PLATFORM,
        "inputs": inputs,
        "outputs": [
            {"name": "score", "datatype": "FP64", "shape": [-1]},
            {"name": "answer", "datatype": "BYTES", "shape": [-1]},
        ],
    }


def inference_request(service: Service, served: Served, body: Any) -> AnswerRequest:
    """The queries of a body by the protocol: tensors of one value a row.

    Raises:
        ProblemError: the body is no inference request.
    """
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise ProblemError(422, "the body has inputs: a list of tensors with name, shape, datatype and data")
    columns = dict(_tensor(entry) for entry in inputs)
    size = len(next(iter(columns.values())))
    if any(len(values) != size for values in columns.values()):
        raise ProblemError(422, "all inputs have as many values: one for each row")
    require_few(size)
    return _of_records([{name: values[row] for name, values in columns.items()} for row in range(size)])


def inference_response(served: Served, body: Mapping[str, Any], answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The answers as tensors: ``score``, null where there is none, and ``answer``, all of each as JSON."""
    import orjson

    size = [len(answers)]
    outputs = [
        {"name": "score", "datatype": "FP64", "shape": size, "data": [answer.get("score") for answer in answers]},
        {
            "name": "answer",
            "datatype": "BYTES",
            "shape": size,
            "data": [orjson.dumps(answer).decode() for answer in answers],
        },
    ]
    version = "" if served.champion is None else str(served.champion)
    named = {"id": body["id"]} if isinstance(body.get("id"), str) else {}
    return {"model_name": f"{served.customer}.{served.model}", "model_version": version, **named, "outputs": outputs}


def invocation_request(body: Any) -> AnswerRequest:
    """The queries of a body as MLflow's server takes it: ``dataframe_split``, ``dataframe_records``, ``instances`` or
    ``inputs``.

    Raises:
        ProblemError: it is none of these.
    """
    if isinstance(body, dict):
        if "dataframe_split" in body:
            return _of_records(_of_split(body["dataframe_split"]))
        for name in ("dataframe_records", "instances"):
            if name in body:
                return _of_records(body[name])
        if isinstance(body.get("inputs"), dict):
            columns = body["inputs"]
            if columns and all(isinstance(values, list) for values in columns.values()):
                size = {len(values) for values in columns.values()}
                if len(size) == 1:
                    require_few(*size)
                    return _of_records(
                        [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
                    )
        if "inputs" in body:
            raise ProblemError(422, "inputs is an object of lists of one length, by column")
    raise ProblemError(422, "the body has dataframe_split, dataframe_records, instances or inputs")


def predictions(answers: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What MLflow's clients read: one object a row."""
    return [dict(answer) for answer in answers]


def _tensor(entry: Any) -> tuple[str, list[Any]]:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ProblemError(422, "an input has name, shape, datatype and data")
    name, kind, data = entry["name"], entry.get("datatype"), entry.get("data")
    if kind not in (("BYTES",) if name == ID else NUMBERS):
        raise ProblemError(422, f"{name[:80]} is of datatype {'BYTES' if name == ID else 'FP64'}")
    if not isinstance(data, list):
        raise ProblemError(422, f"{name[:80]} has data: a list of one value a row")
    flat = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in data]
    return name, flat


def _of_split(split: Any) -> list[dict[str, Any]]:
    columns, data = (split.get("columns"), split.get("data")) if isinstance(split, dict) else (None, None)
    if (
        not isinstance(columns, list)
        or not isinstance(data, list)
        or not all(isinstance(name, str) for name in columns)
    ):
        raise ProblemError(422, "dataframe_split has columns, a list of names, and data, a list of rows")
    require_few(len(data))
    if any(not isinstance(row, list) or len(row) != len(columns) for row in data):
        raise ProblemError(422, f"each row of dataframe_split.data is a list of {len(columns)} values")
    return [dict(zip(columns, row, strict=True)) for row in data]


def _of_records(records: Any) -> AnswerRequest:
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ProblemError(422, "rows are a list of objects")
    require_few(len(records))
    instances = []
    for record in records:
        features = {name: value for name, value in record.items() if name != ID}
        user = {ID: record[ID]} if record.get(ID) is not None else {}
        instances.append({**user, **({"features": features} if features else {})})
    return answer_request({"instances": instances})
