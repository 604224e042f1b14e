"""The passes that come with mase, by name. A pass is one file; it joins by a word here."""

from mase.passes.registry import declare_passes

__all__ = ["BUILTIN"]

BUILTIN: dict[str, tuple[str, ...]] = {
    "analyses": ("annotate-types", "cost", "plot", "profile", "report", "value-range"),
    "transforms": (
        "cse",
        "dce",
        "fold-batchnorm",
        "fold-constants",
        "fuse-attention",
        "fuse-norms",
        "fuse-sdpa",
        "gptq",
        "legalize-casts",
        "pack",
        "quantize",
        "remove-dropout",
        "tabulate",
    ),
    "workflow": ("allocate", "eval", "export", "load", "search", "train", "verify-export"),
}
"""The names of the passes in each folder; ``fold-batchnorm`` lives in ``fold_batchnorm.py``."""

declare_passes(
    {
        name: f"mase.passes.{folder}.{name.replace('-', '_')}"
        for folder, names in BUILTIN.items()
        for name in names
    }
)
