// The photos in what was dropped, those of folders too.

const PHOTO = /\.(jpe?g|png|webp|avif|heic|heif|tiff?|bmp|gif|jxl|jp2|dng|arw|cr2|cr3|nef|orf|raf|rw2)$/i;

export async function photosIn(dropped: DataTransfer): Promise<File[]> {
  const entries = [...dropped.items].flatMap((item) => item.webkitGetAsEntry?.() ?? []);
  if (!entries.some((entry) => entry.isDirectory)) return [...dropped.files];
  const found: File[] = [];
  for (const entry of entries) found.push(...(await filesOf(entry, true)));
  return found;
}

// Of a folder only what looks like a photo; what was dropped itself is sent whatever it is.
async function filesOf(entry: FileSystemEntry, dropped = false): Promise<File[]> {
  if (entry.isFile) {
    if (!dropped && !PHOTO.test(entry.name)) return [];
    return [
      await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject)),
    ];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    // A reader gives a part at a time, and none at the end.
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (!part.length) break;
    for (const child of part) found.push(...(await filesOf(child)));
  }
  return found.sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));
}
