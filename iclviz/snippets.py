"""What a page shows as text to take elsewhere: command lines that record its conditions, and Python that draws it."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from iclviz.spec import Demonstrations, RunSpec, canonical_json

_FLAGS = {
    "n_items": "--n-items",
    "seed": "--seed",
    "prompt_style": "--prompt-style",
    "dtype": "--dtype",
    "max_new_tokens": "--max-new-tokens",
    "first_token": "--first-token",
}
_REPEATED_FLAGS = {"poolings": "--pooling", "attention_items": "--attention-item", "record": "--record"}


def command_line(spec: RunSpec) -> str:
    """The `iclviz run` line that records a spec."""
    shown = spec.demonstrations.canonical()
    words = ["iclviz", "run", "--model", spec.model, "--task", spec.task, "--kind", shown.kind, "--k", str(shown.k)]
    if shown.seed:
        words += ["--demo-seed", str(shown.seed)]
    for text in shown.examples:
        words += ["--example", text]
    for name, value in _given(spec).items():
        if name in _FLAGS:
            words += [_FLAGS[name], str(value)]
    for field_name, flag in _REPEATED_FLAGS.items():
        for value in getattr(spec, field_name) or ():
            words += [flag, str(value)]
    tables = {"--option": spec.task_options, "--model-option": spec.model_options, "--template": spec.template}
    for flag, options in tables.items():
        for name, value in json.loads(canonical_json(options)).items():
            words += [flag, f"{name}={json.dumps(value)}"]
    return shlex.join(words)


def python(conditions: Mapping[str, RunSpec], drawing: str) -> str:
    """A script that records conditions, label -> spec, and runs the lines that draw them from `conditions`."""
    specs = "".join(f"    {label!r}: {_call('iclviz.RunSpec', _given(spec))},\n" for label, spec in conditions.items())
    return (
        "import iclviz\nfrom iclviz import analysis, figures\n\n"
        f"specs = {{\n{specs}}}\n"
        "conditions = dict(zip(specs, iclviz.sweep(specs.values())))\n\n"
        f"{drawing}\n"
    )


def of_conditions(
    result: str, analysis: str, given: Sequence[Any], named: Mapping[str, Any], figure: str, drawn: Mapping[str, Any]
) -> str:
    """Lines that ask an analysis of every condition, and draw a figure of the results.

    Parameters
    ----------
    result: the name of the variable.
    analysis: its function; given, named: its arguments after the recording.
    figure: its function; drawn: its arguments after the results.
    """
    further = "".join(f", {value!r}" for value in given) + _named(named)
    said = _named(drawn)
    return (
        f"{result} = {{label: analysis.{analysis}(run{further}) for label, run in conditions.items()}}\n"
        f"figures.{figure}({result}{said}).show()"
    )


def _named(arguments: Mapping[str, Any]) -> str:
    return "".join(f", {name}={value!r}" for name, value in arguments.items())


def _given(spec: Any) -> dict[str, Any]:
    """The fields of a spec that are not at their defaults; a spec's demonstrations always."""
    values = {field.name: getattr(spec, field.name) for field in fields(spec)}
    usual = {field.name: field.default for field in fields(spec)}
    kept = ("model", "task", "demonstrations", "kind", "k")
    return {name: value for name, value in values.items() if name in kept or (value != usual[name] and value)}


def _call(function: str, given: Mapping[str, Any]) -> str:
    return f"{function}({', '.join(f'{name}={_literal(value)}' for name, value in given.items())})"


def _literal(value: Any) -> str:
    if isinstance(value, Demonstrations):
        return _call("iclviz.Demonstrations", _given(value.canonical()))
    return repr(json.loads(canonical_json(value))) if isinstance(value, Mapping) else repr(value)
