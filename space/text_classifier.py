"""A classifier of typed text: TF-IDF of words and characters and a logistic regression, kept as plain arrays.

The scripts that fit it write the arrays; the Space reads them back. No pickle, which could run code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline

Arrays = dict[str, np.ndarray]
# how the features are counted: whether a text holds them
COUNTS = {"alternate_sign": False, "norm": None, "binary": True, "dtype": np.float32}


@dataclass(frozen=True)
class TextClassifier:
    """A multinomial logistic regression over hashed features, read from its file where it is first needed."""

    path: Path
    name: str  # keeps several apart in one file
    kinds: tuple[str, ...]
    features: int  # of each vectoriser
    vectorizers: dict[str, dict[str, Any]]  # options of HashingVectorizer for words, letters and maybe patterns
    regression: dict[str, float]  # options of LogisticRegression

    def vectorizer(self, name: str, **other: Any) -> HashingVectorizer:
        return HashingVectorizer(**COUNTS | {"n_features": self.features} | self.vectorizers[name] | other)

    def pipeline(self) -> Pipeline:
        """Vectorisers, TF-IDF and regression, not yet fitted."""
        parts = [(name, make_pipeline(self.vectorizer(name), TfidfTransformer())) for name in self.vectorizers]
        return make_pipeline(FeatureUnion(parts), LogisticRegression(**self.regression))

    @cached_property
    def fitted(self) -> Pipeline:
        """The pipeline with the arrays of the file."""
        model, arrays = self.pipeline(), load_file(self.path)
        for name, part in model[0].transformer_list:
            part[-1].idf_ = arrays[f"{self.name}.idf.{name}"].astype(np.float32)
        # in Fortran order, or each product copies it
        model[-1].coef_ = np.asfortranarray(arrays[f"{self.name}.weights"], dtype=np.float32)
        model[-1].intercept_ = arrays[f"{self.name}.bias"].astype(np.float32)
        model[-1].classes_ = np.arange(len(self.kinds))
        return model

    def chances(self, texts: Sequence[str]) -> np.ndarray:
        """How likely each text is of each kind: [texts, kinds]."""
        return self.fitted.predict_proba(texts)

    def arrays(self, model: Pipeline) -> Arrays:
        """What a fitted pipeline has learned, in half precision, as `fitted` reads it."""
        found = {f"{self.name}.idf.{name}": part[-1].idf_ for name, part in model[0].transformer_list}
        found |= {f"{self.name}.weights": model[-1].coef_, f"{self.name}.bias": model[-1].intercept_}
        # in C order: safetensors writes the memory as it lies
        return {key: array.astype(np.float16, order="C") for key, array in found.items()}
