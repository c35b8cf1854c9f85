"""Measures networks on benchmarks, under the protocol of each."""

from hafloc.evaluate.benchmark import Benchmark, Picture, Truth
from hafloc.evaluate.data_sets.catalogue import CATALOGUE, DataSet, data_set, load
from hafloc.evaluate.data_sets.prepare import Finding, check, prepare
from hafloc.evaluate.data_sets.training_folders import (
    TrainingFolder,
    make_training_folders,
    next_command,
)
from hafloc.evaluate.engine import Result, cache_folder, difference, evaluate
from hafloc.evaluate.gallery import write_galleries
from hafloc.evaluate.per_weight import models_of_sweep
from hafloc.evaluate.regions import WithRegions
from hafloc.evaluate.report import (
    as_json,
    difference_lines,
    draw,
    labels,
    make_folder,
    protocol_lines,
    table,
    write_figure,
    write_json,
)
from hafloc.evaluate.reproduce import PARTS, Setup, reproduce
from hafloc.evaluate.whitening import BenchmarkWhitening, fit_whitening

__all__ = [
    "CATALOGUE",
    "PARTS",
    "Benchmark",
    "BenchmarkWhitening",
    "DataSet",
    "Finding",
    "Picture",
    "Result",
    "Setup",
    "TrainingFolder",
    "Truth",
    "WithRegions",
    "as_json",
    "cache_folder",
    "check",
    "data_set",
    "difference",
    "difference_lines",
    "draw",
    "evaluate",
    "fit_whitening",
    "labels",
    "load",
    "make_folder",
    "make_training_folders",
    "models_of_sweep",
    "next_command",
    "prepare",
    "protocol_lines",
    "reproduce",
    "table",
    "write_figure",
    "write_galleries",
    "write_json",
]
