"""A server that locates photos over HTTP, and shows databases and a web page (extra `serve`)."""

from hafloc.serve.app import create_app
from hafloc.serve.databases import Databases, SharedNetworks
from hafloc.serve.keys import VARIABLE, Keys, parse_keys
from hafloc.serve.logs import Log
from hafloc.serve.options import Options, Tiles
from hafloc.serve.problems import KINDS, Problem, problem_of
from hafloc.serve.run import check_open, listen, open_service, own_names, run
from hafloc.serve.service import Service

__all__ = [
    "KINDS",
    "VARIABLE",
    "Databases",
    "Keys",
    "Log",
    "Options",
    "Problem",
    "Service",
    "SharedNetworks",
    "Tiles",
    "check_open",
    "create_app",
    "listen",
    "open_service",
    "own_names",
    "parse_keys",
    "problem_of",
    "run",
]
