// The query with the heat map of a level over it.

import { at, element } from "../core/dom";
import type { Picture, Query } from "../core/model";
import { picture } from "../show/picture";
import type { Evidence } from "./answers";
import type { Api } from "./api";

const LEVELS = ["low", "mid", "high", "fused"] as const;

export class Heat {
  private readonly dialog = at<HTMLDialogElement>("heat");
  private readonly level = at<HTMLInputElement>("level");
  private readonly strength = at<HTMLInputElement>("strength");
  // Of several maps only the last one asked for is shown.
  private asked = 0;
  private shown: { query: Query; evidence: Evidence } | null = null;

  constructor(private readonly api: Api) {
    this.level.addEventListener("input", () => this.draw());
    this.strength.addEventListener("input", () => this.fade());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
  }

  open(query: Query, evidence: Evidence): void {
    this.shown = { query, evidence };
    at("heat-stack").replaceChildren(picture(this.api.picture(evidence.photo), `Query ${query.name}`));
    this.level.disabled = this.strength.disabled = true;
    this.dialog.showModal();
    this.draw();
  }

  private draw(): void {
    if (!this.shown) return;
    const name = LEVELS[Number(this.level.value)] ?? "fused";
    at("level-name").textContent = name;
    this.level.setAttribute("aria-valuetext", name);
    const { query, evidence } = this.shown;
    const path = evidence.attention.replace("{level}", name);
    const plain = `${path}${path.includes("?") ? "&" : "?"}plain=true`;
    void this.lay(this.api.picture(plain), `Heat map of level ${name} over ${query.name}`);
  }

  // The old map stays until the new one is there.
  private async lay(of: Picture, alt: string): Promise<void> {
    const turn = ++this.asked;
    if (!("load" in of)) return;
    at("heat-making").hidden = false;
    let node: HTMLElement;
    try {
      node = element("img", { class: "over", src: await of.load(), alt });
    } catch (error) {
      node = element("p", { class: "over problem", role: "alert" }, {}, (error as Error).message);
    }
    if (turn !== this.asked) return;
    at("heat-making").hidden = true;
    this.level.disabled = this.strength.disabled = false;
    at("heat-stack").querySelector(".over")?.remove();
    at("heat-stack").append(node);
    this.fade();
  }

  private fade(): void {
    const over = at("heat-stack").querySelector<HTMLElement>("img.over");
    if (over) over.style.opacity = String(Number(this.strength.value) / 100);
  }
}
