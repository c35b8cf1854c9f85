"""The two collections of an index: its photos, and beside it what the index is."""

import json
from dataclasses import dataclass
from typing import Any

from hafloc.errors import IndexFileError
from hafloc.index import runtimes
from hafloc.index.milvus.rows import LONGEST_CONTENT, LONGEST_PATH, LONGEST_TEXT, text_bytes
from hafloc.index.milvus.server import Server, library
from hafloc.index.records import ModelInfo

FORMAT = 1
# What each kind of vector index is made with, and how it is asked for the best `limit`.
_MADE_WITH: dict[str, dict[str, int]] = {
    "FLAT": {},
    "HNSW": {"M": 16, "efConstruction": 200},
    "IVF_SQ8": {"nlist": 1024},
}
_LONGEST_VALUE = 16_000  # characters, of at most four bytes each
_KEY_LENGTH = 256


@dataclass(frozen=True, slots=True)
class Settings:
    """What an index is, from its making on."""

    model: ModelInfo
    vector_type: str
    regions: int
    index_type: str


def search_options(index_type: str, limit: int) -> dict[str, int]:
    """How an index of vectors is asked for its best `limit`."""
    if index_type == "HNSW":
        return {"ef": max(64, 2 * limit)}
    if index_type == "IVF_SQ8":
        return {"nprobe": 64}
    return {}


def settings_name(collection: str) -> str:
    """The collection that says what `collection` is."""
    return f"{collection}_hafloc"


def make(server: Server, settings: Settings) -> None:
    """Make both collections; the photos' last, so that what is half made is no index yet."""
    address = server.address
    _check_sizes(address.location, settings)
    if server.has(address.collection):
        raise IndexFileError(
            f"cannot create {address.location}: it exists already; drop the collection or choose "
            "another name"
        )
    beside = settings_name(address.collection)
    if server.has(beside):
        _drop_half_made(server, beside)
    _make_settings(server, beside)
    model = settings.model
    write(
        server,
        {
            "format": str(FORMAT),
            "model_name": model.name,
            "model_hash": model.hash,
            "model_options": model.options,
            runtimes.KEY: model.runtime,
            "dimension": str(model.dimension),
            "vector_type": settings.vector_type,
            "regions": str(settings.regions),
            "index_type": settings.index_type,
        },
    )
    _make_photos(server, settings)


def read_settings(server: Server) -> Settings:
    """What the index is. Raises IndexFileError where it is none, or of a newer format."""
    address = server.address
    if not server.has(address.collection):
        raise IndexFileError(
            f"cannot open {address.location}: there is no collection {address.collection}; make it "
            "with `hafloc index build`"
        )
    foreign = IndexFileError(
        f"cannot open {address.location}: the collection {address.collection} is not one of "
        "hafloc's; choose another name"
    )
    if not server.has(settings_name(address.collection)):
        raise foreign
    try:
        found = read(server)
        version = int(found["format"])
        if version > FORMAT:
            raise IndexFileError(
                f"cannot open {address.location}: its format {version} is newer than {FORMAT}; "
                "update hafloc"
            )
        return Settings(
            ModelInfo(
                found["model_name"],
                found["model_hash"],
                found["model_options"],
                int(found["dimension"]),
                found.get(runtimes.KEY, runtimes.FLOAT32),
            ),
            found["vector_type"],
            int(found["regions"]),
            found["index_type"],
        )
    except (KeyError, ValueError):
        raise foreign from None


def drop(server: Server) -> None:
    """Delete both collections, the photos' first."""
    for name in (server.address.collection, settings_name(server.address.collection)):
        server.call("drop", "drop_collection", collection_name=name)


def read(server: Server) -> dict[str, str]:
    """All settings by their names."""
    rows = server.call(
        "read",
        "query",
        collection_name=settings_name(server.address.collection),
        filter='key != ""',
        output_fields=["key", "value"],
        consistency_level="Strong",
        limit=16_384,
    )
    parts = {row["key"]: row["value"] for row in rows}
    found = {}
    for name, value in parts.items():
        if "/" not in name:
            pieces = json.loads(value)
            found[name] = "".join(parts[f"{name}/{i}"] for i in range(pieces))
    return found


def write(server: Server, values: dict[str, str]) -> None:
    """Keep settings, in place of those of their names, in one request.

    The engine bounds the length of a text, so each lies in pieces.
    """
    rows = []
    for name, value in values.items():
        pieces = [value[i : i + _LONGEST_VALUE] for i in range(0, len(value), _LONGEST_VALUE)]
        rows.append({"key": name, "value": str(len(pieces))})
        rows += [{"key": f"{name}/{i}", "value": piece} for i, piece in enumerate(pieces)]
    server.call(
        "write to",
        "upsert",
        collection_name=settings_name(server.address.collection),
        # The engine knows no collection without a vector.
        data=[{**row, "vector": [1.0, 0.0]} for row in rows],
    )


def _drop_half_made(server: Server, beside: str) -> None:
    """Delete the settings that a making left behind which was stopped; nobody else's."""
    facts = server.call("look at", "describe_collection", collection_name=beside)
    if {column["name"] for column in facts["fields"]} != {"key", "value", "vector"}:
        raise IndexFileError(
            f"cannot create {server.address.location}: the collection {beside} is not one of "
            "hafloc's; choose another name"
        )
    server.call("create", "drop_collection", collection_name=beside)


def _check_sizes(location: str, settings: Settings) -> None:
    most = text_bytes(settings.regions * settings.model.dimension)
    if most > LONGEST_TEXT:
        raise IndexFileError(
            f"cannot create {location}: {settings.regions:,} regions of "
            f"{settings.model.dimension:,} numbers are more than a text of Milvus holds; "
            "give --no-regions"
        )


def _make_photos(server: Server, settings: Settings) -> None:
    types = library().DataType
    schema = library().MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", types.INT64, is_primary=True)
    schema.add_field("vector", types.FLOAT_VECTOR, dim=settings.model.dimension)
    schema.add_field("path", types.VARCHAR, max_length=LONGEST_PATH)
    schema.add_field("content", types.VARCHAR, max_length=LONGEST_CONTENT)
    for name in ("path_key", "content_key", "cell"):
        schema.add_field(name, types.INT64)
    schema.add_field("lat", types.DOUBLE)
    schema.add_field("lon", types.DOUBLE)
    schema.add_field("facts", types.JSON)
    schema.add_field("verifiable", types.BOOL)
    for name in ("regions", "features"):
        schema.add_field(name, types.VARCHAR, max_length=LONGEST_TEXT)
    indexes = library().MilvusClient.prepare_index_params()
    indexes.add_index(
        "vector",
        index_type=settings.index_type,
        metric_type="IP",
        params=_MADE_WITH[settings.index_type],
    )
    if server.address.folder is None:  # Milvus Lite is small, and knows no sorted one
        for name in ("path_key", "content_key", "cell"):
            indexes.add_index(name, index_type="STL_SORT")
    _create(server, server.address.collection, schema, indexes)


def _make_settings(server: Server, name: str) -> None:
    types = library().DataType
    schema = library().MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("key", types.VARCHAR, is_primary=True, max_length=_KEY_LENGTH)
    schema.add_field("value", types.VARCHAR, max_length=LONGEST_TEXT)
    schema.add_field("vector", types.FLOAT_VECTOR, dim=2)
    indexes = library().MilvusClient.prepare_index_params()
    indexes.add_index("vector", index_type="FLAT", metric_type="IP")
    _create(server, name, schema, indexes)


def _create(server: Server, name: str, schema: Any, indexes: Any) -> None:
    server.call(
        "create",
        "create_collection",
        collection_name=name,
        schema=schema,
        index_params=indexes,
        consistency_level="Strong",
    )
