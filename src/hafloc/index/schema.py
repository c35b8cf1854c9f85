"""The tables of an index: GeoPackage 1.4 with one point layer, and our own beside it.

A format version is the number of migrations that a file has been through. A new version is
one more entry at the end of `MIGRATIONS`; entries never change once released.
"""

import sqlite3
from collections.abc import Iterator

APPLICATION_ID = 0x47504B47  # "GPKG"
GEOPACKAGE_VERSION = 10400
# Large pages waste less on vectors of 2 kB, of which only one fits into SQLite's default 4 kB.
PAGE_BYTES = 16_384

_WGS84 = (
    'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563,'
    'AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],PRIMEM["Greenwich",0,'
    'AUTHORITY["EPSG","8901"]],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],'
    'AXIS["Latitude",NORTH],AXIS["Longitude",EAST],AUTHORITY["EPSG","4326"]]'
)

_GEOPACKAGE = f"""
CREATE TABLE gpkg_spatial_ref_sys (
    srs_name TEXT NOT NULL, srs_id INTEGER PRIMARY KEY NOT NULL, organization TEXT NOT NULL,
    organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT
);
INSERT INTO gpkg_spatial_ref_sys VALUES
    ('Undefined Cartesian SRS', -1, 'NONE', -1, 'undefined', 'undefined Cartesian'),
    ('Undefined geographic SRS', 0, 'NONE', 0, 'undefined', 'undefined geographic'),
    ('WGS 84 geodetic', 4326, 'EPSG', 4326, '{_WGS84}', 'longitude and latitude in degrees');
CREATE TABLE gpkg_contents (
    table_name TEXT PRIMARY KEY NOT NULL, data_type TEXT NOT NULL, identifier TEXT UNIQUE,
    description TEXT DEFAULT '',
    last_change DATETIME NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER,
    CONSTRAINT fk_gc_r_srs_id FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id)
);
CREATE TABLE gpkg_geometry_columns (
    table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL,
    srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL,
    CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name),
    CONSTRAINT uk_gc_table_name UNIQUE (table_name),
    CONSTRAINT fk_gc_tn FOREIGN KEY (table_name) REFERENCES gpkg_contents (table_name),
    CONSTRAINT fk_gc_srs FOREIGN KEY (srs_id) REFERENCES gpkg_spatial_ref_sys (srs_id)
);
CREATE TABLE gpkg_extensions (
    table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, definition TEXT NOT NULL,
    scope TEXT NOT NULL,
    CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name)
);
"""

# `path` is unique so that a changed photo takes its old row's place. `time` is text because
# GeoPackage's DATETIME is always UTC, and most cameras know only local time.
_PHOTOS = """
CREATE TABLE photos (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom POINT, path TEXT NOT NULL UNIQUE,
    content TEXT NOT NULL, heading DOUBLE, time TEXT, altitude DOUBLE, width INTEGER NOT NULL,
    height INTEGER NOT NULL, source TEXT NOT NULL
);
CREATE INDEX photos_by_content ON photos (content);
INSERT INTO gpkg_contents (table_name, data_type, identifier, description, srs_id)
    VALUES ('photos', 'features', 'photos', 'photos with known positions', 4326);
INSERT INTO gpkg_geometry_columns VALUES ('photos', 'geom', 'POINT', 4326, 0, 0);
"""

# The triggers of the standard, annex F.3, as of version 1.4.
_SPATIAL_INDEX = """
CREATE VIRTUAL TABLE rtree_photos_geom USING rtree (id, minx, maxx, miny, maxy);
CREATE TRIGGER rtree_photos_geom_insert AFTER INSERT ON photos
    WHEN (NEW.geom NOTNULL AND NOT ST_IsEmpty(NEW.geom))
BEGIN
    INSERT OR REPLACE INTO rtree_photos_geom VALUES (NEW.id, ST_MinX(NEW.geom),
        ST_MaxX(NEW.geom), ST_MinY(NEW.geom), ST_MaxY(NEW.geom));
END;
CREATE TRIGGER rtree_photos_geom_update2 AFTER UPDATE OF geom ON photos
    WHEN OLD.id = NEW.id AND (NEW.geom ISNULL OR ST_IsEmpty(NEW.geom))
BEGIN
    DELETE FROM rtree_photos_geom WHERE id = OLD.id;
END;
CREATE TRIGGER rtree_photos_geom_update4 AFTER UPDATE ON photos
    WHEN OLD.id != NEW.id AND (NEW.geom ISNULL OR ST_IsEmpty(NEW.geom))
BEGIN
    DELETE FROM rtree_photos_geom WHERE id IN (OLD.id, NEW.id);
END;
CREATE TRIGGER rtree_photos_geom_update5 AFTER UPDATE ON photos
    WHEN OLD.id != NEW.id AND (NEW.geom NOTNULL AND NOT ST_IsEmpty(NEW.geom))
BEGIN
    DELETE FROM rtree_photos_geom WHERE id = OLD.id;
    INSERT OR REPLACE INTO rtree_photos_geom VALUES (NEW.id, ST_MinX(NEW.geom),
        ST_MaxX(NEW.geom), ST_MinY(NEW.geom), ST_MaxY(NEW.geom));
END;
CREATE TRIGGER rtree_photos_geom_update6 AFTER UPDATE OF geom ON photos
    WHEN OLD.id = NEW.id AND (NEW.geom NOTNULL AND NOT ST_IsEmpty(NEW.geom))
        AND (OLD.geom NOTNULL AND NOT ST_IsEmpty(OLD.geom))
BEGIN
    UPDATE rtree_photos_geom SET minx = ST_MinX(NEW.geom), maxx = ST_MaxX(NEW.geom),
        miny = ST_MinY(NEW.geom), maxy = ST_MaxY(NEW.geom) WHERE id = NEW.id;
END;
CREATE TRIGGER rtree_photos_geom_update7 AFTER UPDATE OF geom ON photos
    WHEN OLD.id = NEW.id AND (NEW.geom NOTNULL AND NOT ST_IsEmpty(NEW.geom))
        AND (OLD.geom ISNULL OR ST_IsEmpty(OLD.geom))
BEGIN
    INSERT INTO rtree_photos_geom VALUES (NEW.id, ST_MinX(NEW.geom), ST_MaxX(NEW.geom),
        ST_MinY(NEW.geom), ST_MaxY(NEW.geom));
END;
CREATE TRIGGER rtree_photos_geom_delete AFTER DELETE ON photos WHEN OLD.geom NOTNULL
BEGIN
    DELETE FROM rtree_photos_geom WHERE id = OLD.id;
END;
INSERT INTO gpkg_extensions VALUES ('photos', 'geom', 'gpkg_rtree_index',
    'http://www.geopackage.org/spec140/#extension_rtree', 'write-only');
"""

# A trigger and not a foreign key takes a deleted photo's descriptor along: most SQLite tools
# leave foreign keys off, a trigger works for whoever deletes the photo. The standard leaves
# other data types in gpkg_contents to extensions; without one a GIS would list both as layers.
_OURS = """
CREATE TABLE descriptors (photo_id INTEGER PRIMARY KEY NOT NULL, vector BLOB NOT NULL);
CREATE TRIGGER photos_delete_descriptor AFTER DELETE ON photos
BEGIN
    DELETE FROM descriptors WHERE photo_id = OLD.id;
END;
CREATE TABLE hafloc (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES
    ('descriptors', 'hafloc', 'descriptors'), ('hafloc', 'hafloc', 'hafloc');
INSERT INTO gpkg_extensions VALUES
    ('descriptors', NULL, 'hafloc_index', 'image descriptors of the photos layer', 'write-only'),
    ('hafloc', NULL, 'hafloc_index', 'which network made the descriptors', 'write-only');
"""

_LOCAL_FEATURES = """
CREATE TABLE local_features (photo_id INTEGER PRIMARY KEY NOT NULL, features BLOB NOT NULL);
CREATE TRIGGER photos_delete_local_features AFTER DELETE ON photos
BEGIN
    DELETE FROM local_features WHERE photo_id = OLD.id;
END;
INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES
    ('local_features', 'hafloc', 'local_features');
INSERT INTO gpkg_extensions VALUES ('local_features', NULL, 'hafloc_index',
    'key points of the photos layer, to verify candidates', 'write-only');
"""

# The two indices hold numbers only: what is complete is told without pages of vectors and key
# points. Names made on POSIX had their backslashes unescaped so far.
_SOURCES = r"""
ALTER TABLE photos ADD COLUMN magnetic BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE photos ADD COLUMN accuracy DOUBLE;
ALTER TABLE photos ADD COLUMN gps_status TEXT;
ALTER TABLE photos ADD COLUMN bytes INTEGER;
ALTER TABLE photos ADD COLUMN modified INTEGER;
ALTER TABLE photos ADD COLUMN stated TEXT;
CREATE INDEX descriptors_by_photo ON descriptors (photo_id);
CREATE INDEX local_features_by_photo ON local_features (photo_id);
UPDATE photos SET path = replace(path, '\', '\\') WHERE instr(path, '\') > 0;
"""

_REGIONS = """
CREATE TABLE regions (photo_id INTEGER PRIMARY KEY NOT NULL, vectors BLOB NOT NULL);
CREATE INDEX regions_by_photo ON regions (photo_id);
CREATE TRIGGER photos_delete_regions AFTER DELETE ON photos
BEGIN
    DELETE FROM regions WHERE photo_id = OLD.id;
END;
INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES
    ('regions', 'hafloc', 'regions');
INSERT INTO gpkg_extensions VALUES ('regions', NULL, 'hafloc_index',
    'descriptors of parts of the photos layer', 'write-only');
"""

# What has changed and in which order, so that whatever is derived from vectors and positions can
# follow. Triggers, because a GIS or another program may change them as well. The tags tell this
# file's history from that of another file, and of a copy which went on by itself.
_CHANGES = """
CREATE TABLE changes (
    number INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, photo_id INTEGER NOT NULL,
    tag INTEGER NOT NULL
);
INSERT INTO changes (photo_id, tag) VALUES (0, random());
CREATE TRIGGER descriptors_insert_change AFTER INSERT ON descriptors
BEGIN
    INSERT INTO changes (photo_id, tag) VALUES (NEW.photo_id, random());
END;
CREATE TRIGGER descriptors_update_change AFTER UPDATE ON descriptors
BEGIN
    INSERT INTO changes (photo_id, tag) VALUES (OLD.photo_id, random()), (NEW.photo_id, random());
END;
CREATE TRIGGER descriptors_delete_change AFTER DELETE ON descriptors
BEGIN
    INSERT INTO changes (photo_id, tag) VALUES (OLD.photo_id, random());
END;
CREATE TRIGGER photos_update_change AFTER UPDATE OF geom ON photos WHEN NEW.geom IS NOT OLD.geom
BEGIN
    INSERT INTO changes (photo_id, tag) VALUES (NEW.id, random());
END;
INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES
    ('changes', 'hafloc', 'changes');
INSERT INTO gpkg_extensions VALUES ('changes', NULL, 'hafloc_index',
    'which photos changed in which order', 'write-only');
"""

_CREDITS = """
ALTER TABLE photos ADD COLUMN licence TEXT;
ALTER TABLE photos ADD COLUMN producer TEXT;
ALTER TABLE photos ADD COLUMN source_url TEXT;
"""

# Small pictures for whoever gets the file without the photos.
_THUMBNAILS = """
CREATE TABLE thumbnails (photo_id INTEGER PRIMARY KEY NOT NULL, jpeg BLOB NOT NULL);
CREATE TRIGGER photos_delete_thumbnail AFTER DELETE ON photos
BEGIN
    DELETE FROM thumbnails WHERE photo_id = OLD.id;
END;
INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES
    ('thumbnails', 'hafloc', 'thumbnails');
INSERT INTO gpkg_extensions VALUES ('thumbnails', NULL, 'hafloc_index',
    'small pictures of the photos layer', 'write-only');
"""

# See checksums.py. Whoever changes a row and knows nothing of checksums makes it one without.
_CHECKSUMS = """
CREATE TABLE checksums (
    photo_id INTEGER PRIMARY KEY NOT NULL, record INTEGER, vector INTEGER, regions INTEGER,
    features INTEGER
);
CREATE TRIGGER photos_update_checksum AFTER UPDATE ON photos
BEGIN
    UPDATE checksums SET record = NULL, vector = NULL WHERE photo_id IN (OLD.id, NEW.id);
END;
CREATE TRIGGER photos_delete_checksum AFTER DELETE ON photos
BEGIN
    DELETE FROM checksums WHERE photo_id = OLD.id;
END;
CREATE TRIGGER descriptors_update_checksum AFTER UPDATE ON descriptors
BEGIN
    UPDATE checksums SET vector = NULL WHERE photo_id IN (OLD.photo_id, NEW.photo_id);
END;
CREATE TRIGGER descriptors_delete_checksum AFTER DELETE ON descriptors
BEGIN
    DELETE FROM checksums WHERE photo_id = OLD.photo_id;
END;
CREATE TRIGGER regions_update_checksum AFTER UPDATE ON regions
BEGIN
    UPDATE checksums SET regions = NULL WHERE photo_id IN (OLD.photo_id, NEW.photo_id);
END;
CREATE TRIGGER local_features_update_checksum AFTER UPDATE ON local_features
BEGIN
    UPDATE checksums SET features = NULL WHERE photo_id IN (OLD.photo_id, NEW.photo_id);
END;
CREATE TRIGGER hafloc_insert_checksum AFTER INSERT ON hafloc WHEN NEW.key != 'checksum'
BEGIN
    DELETE FROM hafloc WHERE key = 'checksum';
END;
CREATE TRIGGER hafloc_update_checksum AFTER UPDATE ON hafloc WHEN NEW.key != 'checksum'
BEGIN
    DELETE FROM hafloc WHERE key = 'checksum';
END;
CREATE TRIGGER hafloc_delete_checksum AFTER DELETE ON hafloc WHEN OLD.key != 'checksum'
BEGIN
    DELETE FROM hafloc WHERE key = 'checksum';
END;
INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES
    ('checksums', 'hafloc', 'checksums');
INSERT INTO gpkg_extensions VALUES ('checksums', NULL, 'hafloc_index',
    'checksums of what is stored of the photos layer', 'write-only');
"""

MIGRATIONS: tuple[str, ...] = (
    _GEOPACKAGE + _PHOTOS + _SPATIAL_INDEX + _OURS,
    _LOCAL_FEATURES,
    _SOURCES,
    _REGIONS,
    _CHANGES,
    _CREDITS,
    _THUMBNAILS + _CHECKSUMS,
)
# Readers do without what later migrations add; writers bring a file up to date.
OLDEST_READABLE = 1


def migrate(connection: sqlite3.Connection, version: int, to: int | None = None) -> None:
    """Bring a file of format `version` (0: empty) to the newest, or the one `to` which it shall
    have, inside the open transaction."""
    newest = len(MIGRATIONS) if to is None else to
    for script in MIGRATIONS[version:newest]:
        for statement in _statements(script):
            connection.execute(statement)
    connection.execute("INSERT OR REPLACE INTO hafloc VALUES ('format_version', ?)", (str(newest),))


def _statements(script: str) -> Iterator[str]:
    # executescript would do, but it commits the open transaction first.
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
