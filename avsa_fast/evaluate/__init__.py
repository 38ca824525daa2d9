"""Evaluation of trained runs: the tasks of Wang et al. 2022 and more, with intervals and chance levels."""
