"""Parametric probes: what a linear read-out of each layer can tell of a label, on items it has not seen.

1. Folds never split a group and are drawn without a look at the labels. The probe is multinomial logistic regression
   (L2), or ridge where the label is a number; its strength of regularisation is chosen by inner folds of the training
   fold alone.
2. Embeddings are centred on the training fold's mean and divided by one scale, its items' root mean squared norm. If
   asked for, only their leading principal components, those of the training fold, are kept.
3. With n items and d >> n the solution lies in the span of the training items, so everything happens in the
   n-dimensional row space, in the eigenvectors of the training fold's Gram matrix: the same solution, at a cost that
   does not depend on d. The unpenalised intercept is one more direction, orthogonal to the others.
4. Chance and p come from a least-squares probe of one strength that is set without looking at labels, on the same
   folds: it is one linear map from labels to predictions, the same for observed and permuted ones.
5. Either probe names the class that gains most: whose linear score rises furthest above what its share of the training
   fold alone would give it (for the logistic probe the log of that share, for least squares the share itself). This
   aims at balanced accuracy, which is therefore the score of classes. To name the likeliest class instead would, where
   embeddings say little, name the commonest one, which is the rarest among those held out.
6. Labels are permuted in their own unit: between groups where every group has one label, else within groups.
7. Selectivity takes off what the probe would reach by memorising types of items (Hewitt and Liang 2019).
8. A transfer trains on the embeddings of one condition, or one layer, and tests on another's.
"""

from iclviz.analysis.probing.by_layer import probe
from iclviz.analysis.probing.fitting import STRENGTHS
from iclviz.analysis.probing.result import Probe
from iclviz.analysis.probing.transfer import Transfer, layer_transfer, probe_transfer

__all__ = ["STRENGTHS", "Probe", "Transfer", "layer_transfer", "probe", "probe_transfer"]
