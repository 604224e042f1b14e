"""A plugin of mase: adds noise ops and counts them. Importing it declares its passes and loads no torch."""

from mase.passes import declare_passes

declare_passes({"add-noise": "mase_noise.passes", "count-noise": "mase_noise.passes"})
