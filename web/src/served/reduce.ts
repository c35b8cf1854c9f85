// Photos that are too big for the service, made smaller where the browser can read them.

const SIDES = [4096, 3072, 2048, 1280];

// A JPEG of at most `most` bytes under the same name; null where that cannot be made.
export async function reduced(file: File, most: number): Promise<File | null> {
  let image: ImageBitmap;
  try {
    image = await createImageBitmap(file);
  } catch {
    return null;
  }
  try {
    for (const side of SIDES) {
      const blob = await asJpeg(image, Math.min(1, side / Math.max(image.width, image.height)));
      if (blob && blob.size <= most) return new File([blob], file.name, { type: "image/jpeg" });
    }
    return null;
  } finally {
    image.close();
  }
}

function asJpeg(image: ImageBitmap, scale: number): Promise<Blob | null> {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(image.width * scale);
  canvas.height = Math.round(image.height * scale);
  canvas.getContext("2d")?.drawImage(image, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9));
}
