"""The classifiers of typed text: TF-IDF of words and characters and a logistic regression, kept as plain arrays.

The scripts that fit them write the arrays; the Space reads them back. No pickle, which could run code.
"""

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

Arrays = dict[str, np.ndarray]
# how the features are counted: whether a text holds them
COUNTS = {"alternate_sign": False, "norm": None, "binary": True, "dtype": np.float32}


def pipeline(*vectorizers: HashingVectorizer, **options: float) -> Pipeline:
    """The classifier that vectorisers of words, of letters, and of patterns if there are any, feed; not yet fitted.

    options: of the logistic regression.
    """
    names = ("words", "letters", "patterns")
    parts = [(name, make_pipeline(part, TfidfTransformer())) for name, part in zip(names, vectorizers, strict=False)]
    return make_pipeline(FeatureUnion(parts), LogisticRegression(**{"C": 30, "tol": 1e-3} | options))


def to_arrays(model: Pipeline, name: str) -> Arrays:
    """What a fitted pipeline has learned, in half precision; `name` keeps several apart in one file."""
    found = {f"{name}.idf.{part_name}": part[-1].idf_ for part_name, part in model[0].transformer_list}
    found |= {f"{name}.weights": model[-1].coef_, f"{name}.bias": model[-1].intercept_}
    # in C order: safetensors writes the memory as it lies
    return {key: array.astype(np.float16, order="C") for key, array in found.items()}


def from_arrays(model: Pipeline, name: str, arrays: Arrays) -> Pipeline:
    """The pipeline with what another one has learned."""
    for part_name, part in model[0].transformer_list:
        part[-1].idf_ = arrays[f"{name}.idf.{part_name}"].astype(np.float32)
    model[-1].coef_ = np.asfortranarray(arrays[f"{name}.weights"], dtype=np.float32)  # else each product copies it
    model[-1].intercept_ = arrays[f"{name}.bias"].astype(np.float32)
    model[-1].classes_ = np.arange(len(model[-1].intercept_))
    return model
