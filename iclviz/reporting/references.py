"""The works that methods paragraphs and docs cite, as BibTeX."""

from collections.abc import Iterable, Mapping

from iclviz.analysis.measures import all_measures
from iclviz.mapping import grids, tracers

BIBTEX: Mapping[str, str] = {
    "yousefi2023incontext": r"""@article{yousefi2023incontext,
  title   = {In-Context Learning in Large Language Models: A Neuroscience-inspired Analysis of Representations},
  author  = {Yousefi, Safoora and Betthauser, Leo and Hasanbeig, Hosein and Milli{\`e}re, Rapha{\"e}l and Momennejad, Ida},
  journal = {arXiv preprint arXiv:2310.00313},
  year    = {2023}
}""",
    "kriegeskorte2008representational": r"""@article{kriegeskorte2008representational,
  title   = {Representational similarity analysis -- connecting the branches of systems neuroscience},
  author  = {Kriegeskorte, Nikolaus and Mur, Marieke and Bandettini, Peter},
  journal = {Frontiers in Systems Neuroscience},
  volume  = {2},
  pages   = {4},
  year    = {2008},
  doi     = {10.3389/neuro.06.004.2008}
}""",
    "nili2014toolbox": r"""@article{nili2014toolbox,
  title   = {A Toolbox for Representational Similarity Analysis},
  author  = {Nili, Hamed and Wingfield, Cai and Walther, Alexander and Su, Li and Marslen-Wilson, William and Kriegeskorte, Nikolaus},
  journal = {PLoS Computational Biology},
  volume  = {10},
  number  = {4},
  pages   = {e1003553},
  year    = {2014},
  doi     = {10.1371/journal.pcbi.1003553}
}""",
    "schuett2023statistical": r"""@article{schuett2023statistical,
  title   = {Statistical inference on representational geometries},
  author  = {Sch{\"u}tt, Heiko H. and Kipnis, Alexander D. and Diedrichsen, J{\"o}rn and Kriegeskorte, Nikolaus},
  journal = {eLife},
  volume  = {12},
  pages   = {e82566},
  year    = {2023},
  doi     = {10.7554/eLife.82566}
}""",
    "satterthwaite1946approximate": r"""@article{satterthwaite1946approximate,
  title   = {An approximate distribution of estimates of variance components},
  author  = {Satterthwaite, Franklin E.},
  journal = {Biometrics Bulletin},
  volume  = {2},
  number  = {6},
  pages   = {110--114},
  year    = {1946},
  doi     = {10.2307/3002019}
}""",
    "freedman1983nonstochastic": r"""@article{freedman1983nonstochastic,
  title   = {A nonstochastic interpretation of reported significance levels},
  author  = {Freedman, David and Lane, David},
  journal = {Journal of Business \& Economic Statistics},
  volume  = {1},
  number  = {4},
  pages   = {292--298},
  year    = {1983},
  doi     = {10.1080/07350015.1983.10509354}
}""",
    "efron1981jackknife": r"""@article{efron1981jackknife,
  title   = {The Jackknife Estimate of Variance},
  author  = {Efron, Bradley and Stein, Charles},
  journal = {The Annals of Statistics},
  volume  = {9},
  number  = {3},
  pages   = {586--596},
  year    = {1981},
  doi     = {10.1214/aos/1176345462}
}""",
    "hewitt2019designing": r"""@inproceedings{hewitt2019designing,
  title     = {Designing and Interpreting Probes with Control Tasks},
  author    = {Hewitt, John and Liang, Percy},
  booktitle = {Proceedings of EMNLP-IJCNLP},
  pages     = {2733--2743},
  year      = {2019}
}""",
    "westfall1993resampling": r"""@book{westfall1993resampling,
  title     = {Resampling-Based Multiple Testing: Examples and Methods for p-Value Adjustment},
  author    = {Westfall, Peter H. and Young, S. Stanley},
  publisher = {Wiley},
  year      = {1993}
}""",
    "phipson2010permutation": r"""@article{phipson2010permutation,
  title   = {Permutation P-values Should Never Be Zero: Calculating Exact P-values When Permutations Are Randomly Drawn},
  author  = {Phipson, Belinda and Smyth, Gordon K.},
  journal = {Statistical Applications in Genetics and Molecular Biology},
  volume  = {9},
  number  = {1},
  pages   = {Article 39},
  year    = {2010}
}""",
    "wolf2020transformers": r"""@inproceedings{wolf2020transformers,
  title     = {Transformers: State-of-the-Art Natural Language Processing},
  author    = {Wolf, Thomas and others},
  booktitle = {Proceedings of EMNLP: System Demonstrations},
  pages     = {38--45},
  year      = {2020}
}""",
}
"""Key -> entry."""


def bibliography(keys: Iterable[str]) -> str:
    """The entries of these keys, each once, in the order of `BIBTEX`; those that measures and maps bring come last."""
    wanted = set(keys)
    known = dict(BIBTEX)
    for measure in all_measures().values():
        known |= {key: entry for key, entry in measure.references.items() if key not in known}
    for kind in (*grids().values(), *tracers().values()):
        known |= {key: entry for key, entry in kind.references.items() if key not in known}
    return "\n\n".join(entry for key, entry in known.items() if key in wanted) + "\n"
