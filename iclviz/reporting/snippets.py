"""What a page shows as text to take elsewhere: command lines that record its conditions, and Python that draws it."""

import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from iclviz.errors import UserError
from iclviz.keys import key_of
from iclviz.mapping import map_key
from iclviz.maps import EffectMap, Made
from iclviz.models.presets import DEMO_MODEL
from iclviz.places import checkout
from iclviz.recording import Recording
from iclviz.reporting.recipes import Runs
from iclviz.resolve import resolve
from iclviz.spec import RunSpec, canonical_json
from iclviz.whereabouts import without_folder

KEY_DIGITS = 12
"""As many as tables show."""


def program() -> str:
    """What starts iclviz: the command of the checkout's own environment, as seen from there, or of an installed one."""
    root, here = checkout(), Path(sys.executable).with_name("iclviz")
    return str(here.relative_to(root)) if root and here.is_relative_to(root) else "iclviz"


def command_lines(specs: Sequence[RunSpec]) -> list[str]:
    """The lines that record specs, as short as can be: those that differ in the demonstration seed alone are one."""
    seeds: dict[RunSpec, list[int]] = {}
    for spec in specs:
        shown = spec.demonstrations.canonical()
        seeds.setdefault(spec.with_(demonstrations=replace(shown, seed=0)), []).append(shown.seed)
    return [_line(shortest(spec), list(dict.fromkeys(each))) for spec, each in seeds.items()]


def _line(spec: RunSpec, seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return command_line(spec.with_(demonstrations=replace(spec.demonstrations, seed=seeds[0])))
    return f"for seed in {' '.join(map(str, seeds))}; do {command_line(spec)} --demo-seed $seed; done"


def shortest(spec: RunSpec) -> RunSpec:
    """The spec without what its model and task fill in themselves; as it is where the model is not here."""
    with suppress(UserError):
        key = resolve(spec).key
        for shorter in _shorter(spec):
            candidate = shorter(spec)
            if resolve(candidate).key == key:
                spec = candidate
    return spec


def _shorter(spec: RunSpec) -> Iterator[Any]:
    """Functions that leave something out."""
    for name, usual in _usual(RunSpec).items():
        if name not in ("model", "task", "demonstrations", "n_items"):
            yield lambda one, name=name, usual=usual: one.with_(**{name: usual})
    for option in spec.task_options:
        yield lambda one, option=option: one.with_(
            task_options={name: value for name, value in one.task_options.items() if name != option}
        )


def _usual(kind: type[Any]) -> dict[str, Any]:
    """Field -> the value that it has where nothing is said."""
    return {one.name: one.default_factory() if callable(one.default_factory) else one.default for one in fields(kind)}


def command_line(spec: RunSpec) -> str:
    """The `iclviz run` line that records a spec."""
    shown, model = spec.demonstrations.canonical(), without_folder(spec.model)
    words = [program(), "run"]
    if model != DEMO_MODEL:
        words += ["--model", model]
    words += ["--task", spec.task]
    if shown.kind not in ("none", "correct"):
        words += ["--kind", shown.kind]
    words += ["--k", str(shown.k)]
    if shown.seed:
        words += ["--demo-seed", str(shown.seed)]
    if shown.order:
        words += ["--order", str(shown.order)]
    for text in shown.examples:
        words += ["--example", text]
    for name, value in _given(spec).items():
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


def _given(spec: RunSpec) -> dict[str, Any]:
    """The further fields of a spec that hold something else than where nothing is said."""
    said = {name: (getattr(spec, name), usual) for name, usual in _usual(RunSpec).items()}
    main = ("model", "task", "demonstrations")
    return {name: value for name, (value, usual) in said.items() if name not in main and value and value != usual}


def recording_lines(runs: Runs) -> list[str]:
    """The lines that record the runs of a recipe, and then make its maps."""
    recordings = [one for one in runs.values() if isinstance(one, Recording)]
    maps = [one for one in runs.values() if not isinstance(one, Recording)]
    others = [one.spec.run for one in maps if _run_of(one, recordings) is None]
    made = [
        shlex.join([program(), _verb(one, "map"), _run_key(one, recordings)[:KEY_DIGITS], str(one.spec.grid)])
        for one in maps
    ]
    return [*command_lines([*(one.spec for one in recordings), *others]), *made]


def loading(runs: Runs, digits: int = KEY_DIGITS) -> dict[str, str]:
    """Label -> the expression that gives a run of a recipe, by so many digits of keys."""
    recordings = [one for one in runs.values() if isinstance(one, Recording)]
    found = {}
    for label, one in runs.items():
        if isinstance(one, Recording):
            found[label] = f"iclviz.load({one.key[:digits]!r})"
        else:
            key = _run_key(one, recordings)[:digits]
            found[label] = f"iclviz.{_verb(one, 'effect_map')}({key!r}, {str(one.spec.grid)!r})"
    return found


def _verb(made: Made, of_map: str) -> str:
    """What makes a map, or a trace."""
    return of_map if isinstance(made, EffectMap) else "trace"


def _run_key(made: Made, recordings: Sequence[Recording]) -> str:
    """The key of the recording of which a map or a trace is: one of these, or that which its run's spec leaves."""
    run = _run_of(made, recordings)
    return key_of(made.spec.run, made.origin) if run is None else run.key


def _run_of(made: Made, recordings: Sequence[Recording]) -> Recording | None:
    """The recording of which a map or a trace is."""
    keys = ((one, map_key(one.spec, one.origin, made.spec.grid)) for one in recordings if one.origin is not None)
    return next((one for one, key in keys if key == made.key), None)


def python(conditions: Mapping[str, str], drawing: str) -> str:
    """A script that loads conditions, label -> expression, and runs the lines that draw them from `conditions`."""
    loaded = "".join(f"    {label!r}: {expression},\n" for label, expression in conditions.items())
    return f"import iclviz\nfrom iclviz import analysis, figures\n\nconditions = {{\n{loaded}}}\n{drawing}\n"
