"""Probes the obvious way: scikit-learn on all d dimensions, one fold and one strength at a time."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge


def standardised(x, train):
    """Centred on the training mean; the training items' mean squared norm is 1."""
    mean = x[train].mean(axis=0)
    return (x - mean) / np.sqrt(((x[train] - mean) ** 2).sum(axis=1).mean())


def components(x, train, dimensions):
    """(n, dimensions) of standardised items, the components those of the training items."""
    x = standardised(x, train)
    return PCA(dimensions, svd_solver="full").fit(x[train]).transform(x)


def fitted_logistic(x, y, strength):
    """L2 multinomial logistic regression; for two classes scikit-learn penalises one vector, half as hard as two."""
    halves = 2 if len(np.unique(y)) == 2 else 1
    return LogisticRegression(C=halves / strength, tol=1e-8, max_iter=10_000).fit(x, y)


def logistic_probabilities(x, y, train, test, strength):
    """(s, C) of L2 multinomial logistic regression."""
    x = standardised(x, train)
    return fitted_logistic(x[train], y[train], strength).predict_proba(x[test])


def ridge_predictions(x, y, train, test, strength):
    """(s,) of ridge regression."""
    x = standardised(x, train)
    return Ridge(alpha=strength).fit(x[train], y[train]).predict(x[test])


def balanced_accuracy(right, y):
    """The mean over classes of the share that is right."""
    return np.mean([right[y == label].mean() for label in np.unique(y)])


def class_transfer(x_train, y, x_test, folds, strengths):
    """Balanced accuracy of probes of x_train (n, d) on x_test (n, d), each standardised by its own training items.

    strengths: one for each fold.
    """
    right = np.empty(len(y))
    for (train, test), strength in zip(folds, strengths, strict=True):
        a, b = (standardised(x, train) for x in (x_train, x_test))
        model = fitted_logistic(a[train], y[train], strength)
        shares = np.array([(y[train] == label).mean() for label in model.classes_])
        gains = model.predict_log_proba(b[test]) - np.log(shares)
        right[test] = model.classes_[gains.argmax(axis=1)] == y[test]
    return balanced_accuracy(right, y)


def number_transfer(x_train, y, x_test, folds, strengths):
    """The same for numbers: R2 against the training folds' means."""
    said, means = np.empty(len(y)), np.empty(len(y))
    for (train, test), strength in zip(folds, strengths, strict=True):
        a, b = (standardised(x, train) for x in (x_train, x_test))
        said[test] = Ridge(alpha=strength).fit(a[train], y[train]).predict(b[test])
        means[test] = y[train].mean()
    return 1 - ((said - y) ** 2).sum() / ((means - y) ** 2).sum()


def class_loss(x, y, train, test, strength):
    """Summed cross-entropy of the items held out of an inner fold; a class not trained on has a chance of 1e-12."""
    probabilities = np.full((len(test), y.max() + 1), 1e-12)
    probabilities[:, np.unique(y[train])] = logistic_probabilities(x, y, train, test, strength)
    return -np.log(probabilities[np.arange(len(test)), y[test]]).sum()


def number_loss(x, y, train, test, strength):
    """Summed squared error of the items held out of an inner fold."""
    return ((ridge_predictions(x, y, train, test, strength) - y[test]) ** 2).sum()


def nested_score(x, y, folds, inner_folds, strengths):
    """The score of probes of x (n, d) whose strength each training fold chooses by its own inner folds."""
    loss, transfer = (number_loss, number_transfer) if y.dtype.kind == "f" else (class_loss, class_transfer)
    chosen = []
    for (train, _), inner in zip(folds, inner_folds, strict=True):
        losses = [sum(loss(x, y, train[a], train[b], strength) for a, b in inner) for strength in strengths]
        chosen.append(strengths[int(np.argmin(losses))])
    return transfer(x, y, x, folds, chosen)
