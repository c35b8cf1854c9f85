// A photo, or the reason why there is none.

import { drawn, element } from "../core/dom";
import type { Picture } from "../core/model";

// Shown until a photo is there: an image without any source looks broken.
const NOTHING = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==";

export function picture(of: Picture, alt: string): HTMLElement {
  if ("missing" in of) return gone(of.missing, alt);
  const image = element("img", {
    class: "photo",
    alt,
    decoding: "async",
    src: "src" in of ? of.src : NOTHING,
  });
  if ("load" in of) whenSeen(image, () => fill(image, of.load, alt));
  let instead = "src" in of ? of.instead : undefined;
  image.addEventListener("error", () => {
    if (!instead) return image.replaceWith(gone("this browser cannot show it", alt));
    void fill(image, instead, alt);
    instead = undefined;
  });
  return image;
}

function gone(reason: string, alt: string): HTMLElement {
  const label = alt ? `${alt}: ${reason}` : reason;
  return element("span", { class: "photo gone", role: "img", "aria-label": label }, {}, reason);
}

async function fill(image: HTMLImageElement, load: () => Promise<string>, alt: string): Promise<void> {
  try {
    image.src = await load();
  } catch (error) {
    image.replaceWith(gone(error instanceof Error ? error.message : String(error), alt));
  }
}

function whenSeen(node: Element, act: () => void): void {
  const watch = new IntersectionObserver(
    (entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      watch.disconnect();
      act();
    },
    { rootMargin: "300px" },
  );
  watch.observe(node);
}

// Within a drawing, `box` being x, y, width, height.
export function drawnPicture(
  of: Picture,
  [x, y, width, height]: [number, number, number, number],
): SVGElement {
  const blank = (reason: string): SVGElement =>
    drawn(
      "g",
      {},
      drawn("rect", { class: "blank", x, y, width, height }),
      drawn("text", { x: x + width / 2, y: y + height / 2 }, reason),
    );
  if ("missing" in of) return blank(of.missing);
  const image = drawn("image", { x, y, width, height, preserveAspectRatio: "none" });
  const fillBy = (load: () => Promise<string>): void => {
    load().then(
      (src) => image.setAttribute("href", src),
      (error: Error) => image.replaceWith(blank(error.message)),
    );
  };
  if ("load" in of) fillBy(of.load);
  else {
    const { instead } = of;
    if (instead) image.addEventListener("error", () => fillBy(instead), { once: true });
    image.setAttribute("href", of.src);
  }
  return image;
}
