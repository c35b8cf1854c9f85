"""The networks for torch.hub: `torch.hub.load("hafloc/hafloc", "haf")`, image in and vector out.

Each takes images `N×3×H×W`, RGB 0..255, sides from 32 px, and gives unit vectors `[N, D]`;
`.describe(images)` gives maps and key points as well. `pretrained=True` brings a checkpoint's
weights; only haf comes with one. Other keywords are the network's options.
"""

import sys
from pathlib import Path
from typing import Any

# torch.hub looks for these before it runs what is below.
dependencies = ["torch", "numpy", "cv2", "safetensors"]

# Of a copy that torch.hub has fetched, which is not installed.
_SOURCE = str(Path(__file__).parent / "src")


def _network(name: str, pretrained: bool, options: dict[str, Any]) -> Any:
    if _SOURCE not in sys.path:
        sys.path.insert(0, _SOURCE)
    from hafloc.errors import OptionError
    from hafloc.nn import build_network, load_checkpoint

    if pretrained and options:
        raise OptionError(
            f"options are the checkpoint's where pretrained is True: leave out {', '.join(options)}"
        )
    if pretrained:
        return load_checkpoint(name).network
    network: Any = build_network(name, options)
    return network.eval()


def haf(pretrained: bool = True, **options: Any) -> Any:
    """HAF (ICASSP 2021): three levels of a VGG16, their attention masks, one fused vector."""
    return _network("haf", pretrained, options)


def netvlad(pretrained: bool = False, **options: Any) -> Any:
    """NetVLAD (CVPR 2016) on VGG16, untrained."""
    return _network("netvlad", pretrained, options)


def crn(pretrained: bool = False, **options: Any) -> Any:
    """CRN (CVPR 2017): NetVLAD with a context mask, untrained."""
    return _network("crn", pretrained, options)


def superpoint(pretrained: bool = False, **options: Any) -> Any:
    """SuperPoint (CVPRW 2018) with an image vector, untrained."""
    return _network("superpoint", pretrained, options)


def haf_public_code(pretrained: bool = False, **options: Any) -> Any:
    """HAF as its authors' public code computes it, untrained."""
    return _network("haf_public_code", pretrained, options)


def checkpoint(file: str) -> Any:
    """The network of a checkpoint that `hafloc train` or `hafloc fit` wrote."""
    return _network(file, True, {})
