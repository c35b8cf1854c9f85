"""What programs and file systems leave in folders of photos, which no person put there."""

import re

# Folders, in lower case, each with who makes them.
JUNK_FOLDERS = frozenset(
    {
        "#recycle",  # Synology: deleted files of a share
        "#snapshot",  # Synology: snapshots of a share
        "@eadir",  # Synology: thumbnails and indexes
        "@sharebin",  # Synology: deleted files
        "@tmp",  # Synology: uploads in progress
        "@recycle",  # QNAP: deleted files of a share
        "@recently-snapshot",  # QNAP: snapshots of a share
        "$recycle.bin",  # Windows Vista and later: deleted files of a drive
        "recycler",  # Windows NT to XP: the same
        "recycled",  # Windows 95: the same, on FAT
        "system volume information",  # Windows: restore points
        "__macosx",  # macOS: resource forks in an unpacked ZIP archive
        "network trash folder",  # netatalk: deleted files
        "temporary items",  # netatalk
        "ipod photo cache",  # iTunes: photos made small for a device
        "picasaoriginals",  # Picasa, before its folder was hidden: what an edit replaced
        "originals.picasa",  # Picasa: the same
        "zbthumbnail.info",  # ZoomBrowser: thumbnails
    }
)
# Lightroom keeps previews in such bundles; chkdsk puts pieces of files into FOUND.000.
_JUNK_FOLDER = re.compile(r".+\.lrdata|found\.\d{3}")
# Synology: thumbnails that a copy without "@eaDir" leaves behind. Windows, Picasa, ACDSee and
# Paint Shop Pro keep theirs under these names; "~$" is an office program's lock.
_JUNK_FILE = re.compile(r"synophoto_thumb_.*|synofile_thumb_.*|zbthumbnail\.info|thumbs\.db|~\$.*")


def is_junk_folder(name: str) -> bool:
    """Whether a folder of this name is hidden, a bin, or a program's own."""
    name = name.casefold()
    return name.startswith(".") or name in JUNK_FOLDERS or bool(_JUNK_FOLDER.fullmatch(name))


def is_junk_file(name: str) -> bool:
    """Whether a file of this name is hidden (so is `._x.jpg`, AppleDouble) or a thumbnail."""
    return name.startswith(".") or bool(_JUNK_FILE.fullmatch(name.casefold()))
