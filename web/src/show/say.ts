// Short messages that eyes and screen readers both get, and what copies text.

import { at, element } from "../core/dom";

let silence: ReturnType<typeof setTimeout> | undefined;

export function say(text: string, milliseconds = 2500): void {
  at("said").textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => {
    at("said").textContent = "";
  }, milliseconds);
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Pages opened as a file may lack the clipboard interface.
    const field = element("textarea", { "aria-hidden": "true" });
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    if (!done) return say(`Copying is not allowed here: ${text}`, 8000);
  }
  say(`Copied ${text}`);
}
