"""Which runtime describes photos, and what is said where one cannot."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from hafloc.describe import Describer, graph_store, run_by, runtime, sessions
from hafloc.describe.run_by import probe_image
from hafloc.describe.runtime import Proofs, Runtime, choices
from hafloc.errors import CheckpointError, MissingExtraError, OptionError
from hafloc.nn import Responses, load_checkpoint, save_checkpoint

INSTALLED = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not sessions.is_installed(name), reason=f"pip install hafloc[{name}]"
        ),
    )
    for name in ("openvino", "onnx")
]
LOST_NOTHING = {"recall": {"streets": {"lost": 0.005}, "night": {"lost": -0.01}}}
LOST_MUCH = {"recall": {"streets": {"lost": 0.0}, "night": {"lost": 0.0051}}}


@pytest.fixture(autouse=True)
def a_cache_of_this_module(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path_factory.getbasetemp() / "graphs_of_tests"))
    run_by._say_once.cache_clear()


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return probe_image()


def proven(*rows: tuple[str, str]) -> Proofs:
    return Proofs(None, tuple({"runtime": a, "precision": b, **LOST_NOTHING} for a, b in rows))


@pytest.mark.parametrize("name", INSTALLED)
def test_every_runtime_gives_the_vector_of_torch(
    name: str, tiny_checkpoint: Path, image: NDArray[np.uint8]
) -> None:
    ours = Describer.open(tiny_checkpoint).features(image)
    describer = Describer.open(tiny_checkpoint, runtime=name, precision="float32")
    theirs = describer.features(image)
    np.testing.assert_allclose(theirs.vector, ours.vector, atol=2e-5)
    assert str(describer.runtime) == f"{name} float32"
    assert describer.hash == Describer.open(tiny_checkpoint).hash


@pytest.mark.parametrize("name", INSTALLED)
def test_int8_of_an_own_checkpoint_is_calibrated_by_itself_and_not_proven(
    name: str, tiny_checkpoint: Path, image: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_by, "_SHOWN", 2)
    ours = Describer.open(tiny_checkpoint).vector(image)
    describer = Describer.open(tiny_checkpoint, runtime=name, precision="int8")
    assert 0.98 < float(describer.vector(image) @ ours) < 1 - 1e-6
    assert str(describer.runtime) == f"{name} int8, unproven"


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("content", [b"", b"short", b"x" * 5000])
def test_a_damaged_graph_is_made_anew(content: bytes) -> None:
    made = graph_store.graph_of("abc", "float", lambda: b"the graph")
    (file,) = graph_store.folder().iterdir()
    whole = file.read_bytes()
    file.write_bytes(content)
    assert graph_store.graph_of("abc", "float", lambda: b"the graph") == made
    assert file.read_bytes() == whole


@pytest.mark.usefixtures("empty_cache")
def test_a_graph_that_is_whole_is_made_once() -> None:
    graph_store.graph_of("abc", "float", lambda: b"the graph")
    assert graph_store.graph_of("abc", "float", lambda: b"another") == b"the graph"
    assert graph_store.graph_of("abd", "float", lambda: b"another") == b"another"


@pytest.mark.usefixtures("empty_cache")
def test_a_graph_renamed_to_another_checkpoints_is_not_taken_for_its() -> None:
    graph_store.graph_of("abc", "float", lambda: b"the graph")
    (file,) = graph_store.folder().iterdir()
    file.rename(file.with_name(file.name.replace("abc", "abd")))
    assert graph_store.graph_of("abd", "float", lambda: b"another") == b"another"


def test_a_cache_that_cannot_be_written_is_done_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "file"))
    assert graph_store.graph_of("abc", "float", lambda: b"the graph") == b"the graph"
    assert "not kept" in caplog.text


@pytest.mark.parametrize("name", INSTALLED)
def test_a_runtime_that_disagrees_with_torch_is_refused_by_name(
    name: str, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = sessions.Session.__call__
    monkeypatch.setattr(
        sessions.Session, "__call__", lambda self, image: [1 / (1 + x) for x in run(self, image)]
    )
    with pytest.raises(CheckpointError, match=rf"{name} in float32 disagrees with torch"):
        Describer.open(tiny_checkpoint, runtime=name, precision="float32")


@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("name", INSTALLED)
def test_a_graph_that_a_runtime_cannot_run_is_named(
    name: str, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_by, "write_graph", lambda haf: b"no graph at all")
    with pytest.raises(CheckpointError, match=rf"--runtime {name} cannot run this network"):
        Describer.open(tiny_checkpoint, runtime=name, precision="float32")


@pytest.mark.parametrize(
    ("name", "package"), [("openvino", "openvino"), ("onnx", "onnxruntime"), ("onnx", "onnx")]
)
def test_a_missing_extra_says_what_to_install(
    name: str, package: str, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "is_there", lambda asked: asked != package)
    with pytest.raises(MissingExtraError, match=rf"pip install hafloc\[{name}\]"):
        Describer.open(tiny_checkpoint, runtime=name)


def test_int8_without_any_runtime_that_has_it_says_what_to_install(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "is_there", lambda asked: False)
    with pytest.raises(MissingExtraError, match=r"int8 needs .*pip install hafloc\[openvino\]"):
        Describer.open(tiny_checkpoint, runtime="auto", precision="int8")
    assert Describer.open(tiny_checkpoint, runtime="auto").runtime == Runtime()


def test_a_processor_without_bf16_goes_on_in_float32_and_says_so_once(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_by, "has_units", lambda choice, device: choice.precision == "float32")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            describer = Describer.open(tiny_checkpoint, runtime="torch", precision="bf16")
            assert describer.runtime == Runtime()
    assert [record.getMessage() for record in caplog.records] == [
        "this processor has no units for bf16; torch goes on in float32"
    ]


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        (("tensorrt", "auto"), "no runtime 'tensorrt'; name one of auto, torch, openvino, onnx"),
        (("auto", "int4"), "no precision 'int4'; name one of auto, float32"),
        (("torch", "int8"), "--runtime torch has no --precision int8"),
        (("onnx", "bf16"), "--runtime onnx has no --precision bf16; it has float32, int8"),
    ],
)
def test_what_no_runtime_has_is_said_before_anything_is_loaded(
    chosen: tuple[str, str], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        Describer.open("there is no such model", runtime=chosen[0], precision=chosen[1])


def test_a_runtime_of_the_processor_is_refused_on_a_gpu() -> None:
    with pytest.raises(OptionError, match="works on the processor, not on cuda; add --device cpu"):
        list(choices("openvino", "auto", "abc", "cuda"))


def test_networks_other_than_haf_stay_with_torch(tmp_path: Path) -> None:
    from hafloc.nn import NetVLAD, NetVLADOptions

    path = tmp_path / "other.safetensors"
    save_checkpoint(path, NetVLAD(NetVLADOptions(clusters=2)), name="other", provenance={})
    assert Describer.open(path, runtime="auto").runtime == Runtime()
    for chosen in ({"runtime": "onnx"}, {"runtime": "auto", "precision": "int8"}):
        with pytest.raises(OptionError, match="is for HAF alone, not for other; leave it out"):
            Describer.open(path, **chosen)


def test_auto_takes_what_is_proven_and_installed_in_order_of_speed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = proven(("onnx", "int8"), ("openvino", "int8"))
    monkeypatch.setattr(runtime, "_has_int8", lambda: True)
    there = {"openvino", "onnxruntime", "onnx"}
    monkeypatch.setattr(sessions, "is_there", lambda package: package in there)

    def names(proofs: Proofs, *asked: str) -> list[str]:
        monkeypatch.setattr(runtime, "proofs_of", lambda checkpoint: proofs)
        return [str(choice) for choice in choices(*(asked or ("auto", "auto")), "abc", "cpu")]

    assert names(both) == ["openvino int8", "onnx int8", "torch float32"]
    assert names(proven(("onnx", "int8"))) == ["onnx int8", "torch float32"]
    assert names(Proofs()) == ["torch float32"]
    assert names(Proofs(), "onnx", "auto") == ["onnx float32"]
    assert names(both, "onnx", "auto") == ["onnx int8", "onnx float32"]
    assert names(both, "auto", "float32") == ["torch float32"]
    there.remove("openvino")
    assert names(both) == ["onnx int8", "torch float32"]
    monkeypatch.setattr(runtime, "_has_int8", lambda: False)
    assert names(both) == ["torch float32"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (LOST_NOTHING, True),
        (LOST_MUCH, False),
        ({"unmeasured": "needs AVX512-BF16"}, False),
        ({"recall": {}}, False),
    ],
)
def test_half_a_point_lost_on_any_set_is_no_proof(row: dict[str, object], expected: bool) -> None:
    table = Proofs(None, ({"runtime": "openvino", "precision": "int8", **row},))
    assert table.proves("openvino", "int8") is expected
    assert not table.proves("onnx", "int8")
    assert table.proves("onnx", "float32")


def test_auto_passes_over_a_runtime_that_fails_and_says_so(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(runtime, "proofs_of", lambda checkpoint: proven(("onnx", "int8")))
    monkeypatch.setattr(runtime, "_has_int8", lambda: True)
    monkeypatch.setattr(sessions, "is_there", lambda package: True)

    def fails(*_: object) -> None:
        raise CheckpointError("it is broken")

    monkeypatch.setattr(run_by, "_network", fails)
    assert Describer.open(tiny_checkpoint, runtime="auto").runtime == Runtime()
    assert "onnx int8 is passed over: it is broken" in caplog.text


def test_the_shipped_table_is_of_the_shipped_checkpoint() -> None:
    proofs = runtime.proofs_of(load_checkpoint("haf").hash)
    assert proofs.responses is not None
    responses = Responses.from_json(proofs.responses)
    assert min(responses.largest.values()) > 0
    assert min(means.min() for means in responses.means.values()) >= 0
    assert {row["runtime"] for row in proofs.table} >= {"openvino", "torch"}
    for row in proofs.table:
        assert "unmeasured" in row or row["cosine"]["min"] >= run_by.BOUNDS[row["precision"]]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("name", INSTALLED)
def test_a_forked_process_goes_on_describing(name: str, tiny_checkpoint: Path) -> None:
    code = f"""
import os, sys
from hafloc.describe import Describer
from hafloc.describe.run_by import probe_image
describer = Describer.open({str(tiny_checkpoint)!r}, runtime={name!r}, precision="float32")
ours = describer.vector(probe_image())
child = os.fork()
if child == 0:
    same = abs(describer.vector(probe_image()) - ours).max() < 1e-6
    os._exit(0 if same else 3)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=120, check=False)
    assert done.returncode == 0


@pytest.mark.slow
def test_openvino_tells_nobody_that_it_was_loaded() -> None:
    pytest.importorskip("openvino", reason="pip install hafloc[openvino]")
    code = (
        "from hafloc.describe import sessions; import sys; sessions.capabilities(); "
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
