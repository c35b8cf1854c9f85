// The nearest photos as cards, and one of them beside the query.

import { at, element } from "../core/dom";
import type { Candidate, Query } from "../core/model";
import { compass, degrees, length, number } from "../core/words";
import { agreement, matching } from "./matches";
import { picture } from "./picture";

export interface CardActs {
  readonly open: (rank: number) => void;
  readonly light: (rank: number) => void;
}

export function card(candidate: Candidate, acts: CardActs): HTMLElement {
  const fill = element("i");
  fill.style.width = `${Math.max(0, Math.min(1, candidate.similarity)) * 100}%`;
  const fact = (text: string, kind = "facts"): HTMLElement => element("span", { class: kind }, {}, text);
  const matched = candidate.inliers
    ? `${number(candidate.inliers)} of ${number(candidate.matches ?? 0)} matches agree`
    : "no match of key points";
  return element(
    "button",
    {
      type: "button",
      class: "card",
      "data-rank": candidate.rank,
      title: `${candidate.path}: compare with the query`,
    },
    {
      click: () => acts.open(candidate.rank),
      pointerenter: (event) => {
        if (event.pointerType === "mouse") acts.light(candidate.rank);
      },
      focus: () => acts.light(candidate.rank),
    },
    picture(candidate.picture, `Rank ${candidate.rank}: ${candidate.name}`),
    element("span", { class: "rank", "aria-hidden": "true" }, {}, String(candidate.rank)),
    fact(candidate.name, "name"),
    element("span", { class: "bar" }, {}, fill),
    fact(`${length(candidate.metres)} from the answer`),
    ...(candidate.inliers === null ? [] : [fact(matched)]),
    fact(`similarity ${number(candidate.similarity, 2)}`),
    ...(candidate.credit ? [fact(candidate.credit, "facts credit")] : []),
  );
}

// Marks the card of a rank; 0 marks none.
export function lightCard(rank: number, reveal: boolean): void {
  for (const node of document.querySelectorAll<HTMLElement>(".card")) {
    const on = Number(node.dataset.rank) === rank;
    node.classList.toggle("on", on);
    if (on && reveal) node.scrollIntoView({ block: "nearest" });
  }
}

export class Comparison {
  private readonly dialog = at<HTMLDialogElement>("compare");
  private query: Query | null = null;
  private rank = 0;

  constructor(private readonly light: (rank: number) => void) {
    at("previous").addEventListener("click", () => this.step(-1));
    at("next").addEventListener("click", () => this.step(1));
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") this.step(-1);
      if (event.key === "ArrowRight") this.step(1);
    });
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.dialog.addEventListener("close", () => {
      document.querySelector<HTMLElement>(`.card[data-rank="${this.rank}"]`)?.focus();
    });
  }

  open(query: Query, rank: number): void {
    const candidate = query.candidates[rank - 1];
    if (!candidate) return;
    this.query = query;
    this.rank = rank;
    at("pair").replaceChildren(...beside(query, candidate));
    at<HTMLButtonElement>("previous").disabled = rank <= 1;
    at<HTMLButtonElement>("next").disabled = rank >= query.candidates.length;
    this.light(rank);
    if (!this.dialog.open) this.dialog.showModal();
  }

  private step(by: number): void {
    if (this.query) this.open(this.query, this.rank + by);
  }
}

function beside(query: Query, candidate: Candidate): Node[] {
  const lined = candidate.pairs.length > 0;
  const joined = !lined && candidate.inliers ? candidate.joined : null;
  const whole = lined ? [matching(query, candidate)] : [];
  const looked =
    candidate.heading === null
      ? []
      : [
          `looking ${compass(candidate.heading)} (${number(candidate.heading)}°` +
            `${candidate.magnetic ? " from magnetic north" : ""})`,
        ];
  const photos = lined
    ? []
    : [
        picture(candidate.beside ?? query.picture, `Query: ${query.name}`),
        picture(candidate.picture, `${candidate.rank}: ${candidate.path}`),
      ];
  if (joined && "load" in joined) void join(photos, joined.load, query, candidate);
  return [
    ...whole,
    ...photos,
    caption(`Query: ${query.name}`, [degrees(query)]),
    caption(`${candidate.rank}: ${candidate.path}`, [
      degrees(candidate),
      `${length(candidate.metres)} from the answer · similarity ${number(candidate.similarity, 3)} · ` +
        `feature distance ${number(candidate.distance, 3)}`,
      ...(candidate.inliers === null ? [] : [agreement(candidate)]),
      ...looked,
      ...(candidate.credit ? [candidate.credit] : []),
    ]),
  ];
}

// Both photos stay until the picture with their matches is there.
async function join(
  photos: HTMLElement[],
  load: () => Promise<string>,
  query: Query,
  candidate: Candidate,
): Promise<void> {
  const alt = `Query ${query.name} and ${candidate.name} with their matches; ${agreement(candidate)}`;
  const whole = element("img", { class: "photo wide", alt });
  try {
    whole.src = await load();
    await whole.decode();
  } catch (error) {
    const reason = element(
      "p",
      { class: "note wide" },
      {},
      `no picture of the matches: ${(error as Error).message}`,
    );
    photos.at(-1)?.after(reason);
    return;
  }
  photos[0]?.replaceWith(whole);
  photos[1]?.remove();
}

function caption(title: string, lines: string[]): HTMLElement {
  const words = lines.flatMap((line) => [element("br"), line]);
  return element("p", { class: "caption" }, {}, element("strong", {}, {}, title), ...words);
}
