"""Measures networks on benchmarks, under the protocol of each."""

from hafloc.evaluate.benchmark import Benchmark, Picture, Truth
from hafloc.evaluate.catalogue import CATALOGUE, DataSet, data_set, load
from hafloc.evaluate.data_sets import Finding, check, prepare
from hafloc.evaluate.engine import Result, cache_folder, evaluate
from hafloc.evaluate.gallery import write_gallery
from hafloc.evaluate.report import (
    as_json,
    draw,
    make_folder,
    protocol_lines,
    table,
    write_figure,
    write_json,
)
from hafloc.evaluate.reproduce import PARTS, Setup, reproduce
from hafloc.evaluate.whitening import BenchmarkWhitening

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
    "Truth",
    "as_json",
    "cache_folder",
    "check",
    "data_set",
    "draw",
    "evaluate",
    "load",
    "make_folder",
    "prepare",
    "protocol_lines",
    "reproduce",
    "table",
    "write_figure",
    "write_gallery",
    "write_json",
]
