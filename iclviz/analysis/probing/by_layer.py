"""The probe of every layer of one condition."""

from collections.abc import Mapping, Sequence

import numpy as np

from iclviz.analysis.probing.chance import Chance, Hat, chance
from iclviz.analysis.probing.fitting import Settings, fitted_folds
from iclviz.analysis.probing.folds import Folds, group_folds
from iclviz.analysis.probing.jackknife import Jackknife
from iclviz.analysis.probing.labels import Label, Subject
from iclviz.analysis.probing.result import Probe
from iclviz.analysis.probing.row_space import gram, inner_products
from iclviz.analysis.probing.scores import measure, scores
from iclviz.analysis.probing.selectivity import Selectivity, selectivity
from iclviz.analysis.statistics import unit_codes
from iclviz.errors import AnalysisError
from iclviz.recording import Array


def probe(
    x: Array,
    y: Array | Sequence[object],
    groups: Array | Sequence[object] | None = None,
    *,
    independent: Array | Sequence[object] | None = None,
    copies: Array | Sequence[object] | None = None,
    types: Array | Sequence[object] | None = None,
    strength: float | None = None,
    dimensions: int | None = None,
    n_folds: int = 5,
    n_permutations: int = 1000,
    n_controls: int = 5,
    seed: int = 0,
) -> Probe:
    """How well a label is read from each layer's embeddings, on held-out groups.

    Parameters
    ----------
    x: (n, L + 1, d) embeddings.
    y: (n,) labels; floats are numbers (ridge, R2; items with NaN are left out), all else are classes (items with the
        empty text "" are left out).
    groups: (n,) what folds keep whole; None = single items, right only where items share no text.
    independent: (n,) what is independent of each other, for the interval; None = the groups.
    copies: (n,) what items of a group are copies of, for chance; None = no item is a copy.
    types: (n,) what a probe could memorise, such as the query's text, for selectivity; None = the groups.
    strength: of the L2 penalty, of a loss that is summed over items whose mean squared norm is 1; None = chosen among
        `STRENGTHS` by inner folds of each training fold.
    dimensions: principal components of the (scaled) training fold to read from, the leading ones; None = all. The
        least-squares probe reads the same ones.
    n_folds: at most; fewer where there are fewer groups.
    n_permutations: label permutations for chance and p.
    n_controls: control tasks for selectivity; 0 = no selectivity, in about half the time.
    seed: draws folds, permutations and control tasks.

    Raises
    ------
    AnalysisError: shapes do not fit, or strength, dimensions or n_folds make no sense.
    """
    x = np.asarray(x)
    settings = Settings(n_folds, strength, dimensions, seed)
    subject = Subject.of(y, groups, x)
    kinds = _types(types, subject)
    if subject.reason:
        absent = Selectivity.absent(int(subject.layers.sum()), subject.reason)
        return _result(subject, {}, absent, reason=subject.reason)
    label, codes, products = subject.label, subject.codes, gram(subject.seen(x))
    folds = group_folds(codes, n_folds, seed)
    answers, hat, jackknife = _held_out(label, products, codes, folds, settings)
    units = codes if independent is None else unit_codes(np.asarray(independent)[subject.known], len(codes))
    found = scores(label, answers, units, folds, jackknife)
    alike = None if copies is None else unit_codes(np.asarray(copies)[subject.known], len(codes))
    null = chance(hat, label.values, codes, not label.classes, n_permutations, seed, alike)
    selective = selectivity(label, products, kinds, n_controls, settings)
    values = jackknife.values(null.observed if label.classes else found["score"])
    found["group_values"] = values[codes]
    return _result(
        subject, {**found, **_arrays(null)}, selective, null=null, n_folds=len(folds), units=units, reason=null.reason
    )


def _types(types: Array | Sequence[object] | None, subject: Subject) -> Array:
    """(m,) the number of the type of each item that has a label, its group where no types are given."""
    if types is None:
        return subject.codes
    names = np.asarray(types)
    if names.shape != subject.known.shape:
        raise AnalysisError(
            f"{names.size} types were given for {len(subject.known)} items.", "Give one type for each item."
        )
    return unit_codes(names[subject.known], len(subject.codes))


def _held_out(
    label: Label, products: Array, codes: Array, folds: Folds, settings: Settings
) -> tuple[Array, Hat, Jackknife]:
    """(K, n, C) what the probe that has not seen its group says of each item, the least-squares probe, and the scores
    without each group.
    """
    answers, hat = np.empty((len(products), *label.targets.shape)), Hat.empty(len(products), len(codes))
    jackknife = Jackknife(label, codes, len(products))
    for fold in fitted_folds(label, products, codes, folds, settings, group_folds):
        seen = inner_products(products, fold.train, fold.test)
        answers[:, fold.test] = fold.answers(label, label.targets[None], seen)[:, 0]
        hat.add(fold.train, fold.test, fold.rows, seen)
        jackknife.add(fold, seen)
    return answers, hat, jackknife


def _arrays(null: Chance) -> dict[str, Array]:
    return {"least_squares": null.observed, "chance": null.score, **vars(null.p)}


def _result(
    subject: Subject,
    arrays: Mapping[str, Array],
    selective: Selectivity,
    *,
    null: Chance | None = None,
    n_folds: int = 0,
    units: Array | None = None,
    reason: str | None,
) -> Probe:
    """The probe's result; a layer that was not probed is NaN in every array."""
    nothing = np.full(int(subject.layers.sum()), np.nan)

    def filled(name: str) -> Array:
        return subject.over_layers(arrays.get(name, nothing))

    classes = subject.label.classes
    return Probe(
        measure=measure(subject.label),
        estimate=filled("score"),
        low=filled("low"),
        high=filled("high"),
        accuracy=filled("accuracy") if classes else None,
        least_squares=filled("least_squares"),
        chance=filled("chance"),
        p=filled("p"),
        p_corrected=filled("p_corrected"),
        p_fdr=filled("p_fdr"),
        n_permutations=null.n_permutations if null else 0,
        n_units=len(np.unique(subject.codes if units is None else units)),
        n_folds=n_folds,
        n_classes=len(classes),
        unit=null.unit if null else "",
        reason=reason,
        missing=subject.missing,
        selectivity=subject.over_layers(selective.selectivity),
        control_score=subject.over_layers(selective.control_score),
        selectivity_reason=selective.reason,
        item_scores=subject.over_items(arrays.get("item_scores", np.nan)),
        item_evidence=subject.over_items(arrays.get("item_evidence", np.nan)),
        group_values=subject.over_items(arrays.get("group_values", np.nan)),
        confusion=subject.over_layers(arrays["confusion"]) if "confusion" in arrays else None,
        classes=classes,
    )
