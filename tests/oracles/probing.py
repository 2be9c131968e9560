"""Probes the obvious way: scikit-learn on all d dimensions, one fold and one strength at a time."""

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge


def _scaled(x_train, x_test):
    """Centred on the training mean; the training items' mean squared norm is 1."""
    mean = x_train.mean(axis=0)
    scale = np.sqrt(((x_train - mean) ** 2).sum(axis=1).mean())
    return (x_train - mean) / scale, (x_test - mean) / scale


def logistic_probabilities(x, y, train, test, strength):
    """(s, C) of L2 multinomial logistic regression."""
    x_train, x_test = _scaled(x[train], x[test])
    model = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=10_000)
    return model.fit(x_train, y[train]).predict_proba(x_test)


def ridge_predictions(x, y, train, test, strength):
    """(s,) of ridge regression."""
    x_train, x_test = _scaled(x[train], x[test])
    return Ridge(alpha=strength).fit(x_train, y[train]).predict(x_test)
