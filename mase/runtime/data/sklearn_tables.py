"""``iris``, ``wine``, ``breast-cancer`` and ``diabetes``: small tables that come inside scikit-learn."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from mase.runtime.data import register_data
from mase.runtime.data.tables.column import Column
from mase.runtime.data.tables.module import TableModule

__all__ = ["BreastCancer", "Diabetes", "Iris", "Wine"]


class _Embedded(TableModule):
    """What the four have in common."""

    loader: ClassVar[str]
    """The function of `sklearn.datasets`."""

    def columns(self) -> list[Column]:
        from sklearn import datasets  # a second to import, for those that need it alone

        raw: Any = getattr(datasets, self.loader)()
        words = tuple(map(str, raw.get("target_names", ())))
        features = [
            Column(str(name), np.asarray(raw.data[:, i], np.float64))
            for i, name in enumerate(raw.feature_names)
        ]
        return [*features, Column("target", np.asarray(raw.target, np.float64), words)]


@register_data("iris")
class Iris(_Embedded):
    """150 flowers of three species, by four lengths.

    Example:
        >>> data = Iris()
        >>> data.classes, data.input_type, data.task
        (('setosa', 'versicolor', 'virginica'), 'f32[N,4]', 'tabular-classification')
    """

    loader = "load_iris"


@register_data("wine")
class Wine(_Embedded):
    """178 wines of three growers, by 13 chemical measurements."""

    loader = "load_wine"


@register_data("breast-cancer")
class BreastCancer(_Embedded):
    """569 tumours, malignant or benign, by 30 measurements of their cells."""

    loader = "load_breast_cancer"


@register_data("diabetes")
class Diabetes(_Embedded):
    """442 patients by ten measurements: how far did the disease progress in a year? A regression."""

    loader = "load_diabetes"
