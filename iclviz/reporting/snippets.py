"""What a page shows as text to take elsewhere: command lines that record its conditions, and Python that draws it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from iclviz.spec import Demonstrations, RunSpec, canonical_json
from iclviz.whereabouts import without_folder


def command_line(spec: RunSpec) -> str:
    """The `iclviz run` line that records a spec."""
    shown, model = spec.demonstrations.canonical(), without_folder(spec.model)
    words = ["iclviz", "run", "--model", model, "--task", spec.task, "--kind", shown.kind, "--k", str(shown.k)]
    if shown.seed:
        words += ["--demo-seed", str(shown.seed)]
    for text in shown.examples:
        words += ["--example", text]
    for name, value in _given(spec).items():
        if name not in ("model", "task", "demonstrations"):
            words += [word for one in _values(value) for word in (flag(name, value), one)]
    return shlex.join(words)


def flag(name: str, value: Any) -> str:
    """The flag of `iclviz run` for a field of a spec; a list's or table's, given once for each value, is singular."""
    singular = name.removesuffix("s") if isinstance(value, tuple | Mapping) else name
    return f"--{singular.replace('_', '-')}"


def _values(value: Any) -> list[str]:
    """What stands behind a field's flags."""
    if isinstance(value, Mapping):
        return [f"{name}={json.dumps(one)}" for name, one in json.loads(canonical_json(value)).items()]
    return [str(one) for one in value] if isinstance(value, tuple) else [str(value)]


def python(conditions: Mapping[str, RunSpec], drawing: str) -> str:
    """A script that records conditions, label -> spec, and runs the lines that draw them from `conditions`."""
    named = {label: spec.with_(model=without_folder(spec.model)) for label, spec in conditions.items()}
    specs = "".join(f"    {label!r}: {_call('iclviz.RunSpec', _given(spec))},\n" for label, spec in named.items())
    return (
        "import iclviz\nfrom iclviz import analysis, figures\n\n"
        f"specs = {{\n{specs}}}\n"
        "conditions = dict(zip(specs, iclviz.sweep(specs.values())))\n\n"
        f"{drawing}\n"
    )


def _given(spec: Any) -> dict[str, Any]:
    """The fields of a spec that are not at their defaults; a spec's demonstrations always."""
    values = {field.name: getattr(spec, field.name) for field in fields(spec)}
    usual = {field.name: field.default for field in fields(spec)}
    kept = ("model", "task", "demonstrations", "kind", "k")
    return {name: value for name, value in values.items() if name in kept or (value != usual[name] and value)}


def _call(function: str, arguments: Mapping[str, Any]) -> str:
    return f"{function}({', '.join(f'{name}={_literal(value)}' for name, value in arguments.items())})"


def _literal(value: Any) -> str:
    if isinstance(value, Demonstrations):
        return _call("iclviz.Demonstrations", _given(value.canonical()))
    return repr(json.loads(canonical_json(value))) if isinstance(value, Mapping) else repr(value)
