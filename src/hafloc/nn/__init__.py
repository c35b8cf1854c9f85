"""The networks, one a file, and their checkpoints."""

from hafloc.nn.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from hafloc.nn.crn import CRN
from hafloc.nn.graph import GRAPH_VERSION, Responses, write_graph
from hafloc.nn.graph_haf import GraphHAF, HalfHAF
from hafloc.nn.haf import HAF
from hafloc.nn.haf_level import LEVELS, HAFOptions
from hafloc.nn.haf_public_code import HAFPublicCode, HAFPublicCodeOptions
from hafloc.nn.images import check_sides, to_batch
from hafloc.nn.netvlad import NetVLAD, NetVLADOptions
from hafloc.nn.network import NETWORKS, VGG16_START, Entry, Network, build_network
from hafloc.nn.start_weights import load_start_weights, start_file
from hafloc.nn.superpoint import SuperPoint, SuperPointOptions
from hafloc.nn.vector_graph import parts_of, write_vector_graph
from hafloc.nn.vgg import VGG16
from hafloc.nn.whitening import Whitening, pair_whitening, pca_whitening, principal_directions

__all__ = [
    "CRN",
    "GRAPH_VERSION",
    "HAF",
    "LEVELS",
    "NETWORKS",
    "VGG16",
    "VGG16_START",
    "Checkpoint",
    "Entry",
    "GraphHAF",
    "HAFOptions",
    "HAFPublicCode",
    "HAFPublicCodeOptions",
    "HalfHAF",
    "NetVLAD",
    "NetVLADOptions",
    "Network",
    "Responses",
    "SuperPoint",
    "SuperPointOptions",
    "Whitening",
    "build_network",
    "check_sides",
    "load_checkpoint",
    "load_start_weights",
    "pair_whitening",
    "parts_of",
    "pca_whitening",
    "principal_directions",
    "save_checkpoint",
    "start_file",
    "to_batch",
    "write_graph",
    "write_vector_graph",
]
