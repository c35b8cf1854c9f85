// The photos as a table that can be sorted: how far each is, and what its answer is.

import { at, button, element } from "../core/dom";
import { length, percent, plural } from "../core/words";
import { picture } from "../show/picture";
import type { Asked, State } from "./asking";

type By = "name" | "state" | "radius" | "confidence";

export interface ListActs {
  readonly choose: (asked: Asked) => void;
  readonly cancel: (asked: Asked) => void;
  readonly again: (asked: Asked) => void;
}

interface Row {
  readonly node: HTMLTableRowElement;
  readonly open: HTMLButtonElement;
  readonly cells: readonly [HTMLTableCellElement, HTMLTableCellElement, HTMLTableCellElement];
}

export class List {
  private readonly rows = new Map<number, Row>();
  private by: By | null = null;
  private up = true;

  constructor(
    private readonly asked: readonly Asked[],
    private readonly acts: ListActs,
  ) {
    for (const head of document.querySelectorAll<HTMLButtonElement>("#list thead button")) {
      head.addEventListener("click", () => this.sortBy(head.dataset["by"] as By));
    }
  }

  update(one: Asked): void {
    let row = this.rows.get(one.id);
    if (!row) {
      row = this.made(one);
      this.rows.set(one.id, row);
      at("rows").append(row.node);
    }
    const [state, radius, confidence] = row.cells;
    const query = one.state.kind === "located" ? one.state.query : null;
    state.replaceChildren(...stateNodes(one, this.acts));
    radius.textContent = query?.radius ? length(query.radius) : "";
    confidence.textContent = query?.confidence == null ? "" : percent(query.confidence);
    // Words take the room of what is not known.
    radius.hidden = !query?.radius;
    confidence.hidden = !query;
    state.colSpan = 1 + Number(radius.hidden) + Number(confidence.hidden);
    row.node.classList.toggle("absent-row", query?.found === false);
    this.summarise();
  }

  mark(chosen: Asked | null): void {
    for (const [id, row] of this.rows) {
      row.node.classList.toggle("chosen", id === chosen?.id);
      if (id === chosen?.id) row.open.setAttribute("aria-current", "true");
      else row.open.removeAttribute("aria-current");
    }
  }

  summarise(): void {
    at("list").hidden = this.asked.length < 2;
    const states = this.asked.map(({ state }) => state);
    const of = (kind: State["kind"]): number => states.filter((state) => state.kind === kind).length;
    const absent = states.filter((state) => state.kind === "located" && state.query.found === false).length;
    at("progress").textContent = [
      `${of("located")} of ${plural(states.length, "photo")} answered`,
      absent ? `${absent} not in this database` : "",
      of("failed") ? `${of("failed")} failed` : "",
      of("cancelled") ? `${of("cancelled")} cancelled` : "",
    ]
      .filter(Boolean)
      .join(", ");
  }

  private made(one: Asked): Row {
    const cells = [
      element("td"),
      element("td", { class: "count" }),
      element("td", { class: "count" }),
    ] as const;
    const open = element(
      "button",
      { type: "button", class: "open", title: one.name },
      { click: () => this.acts.choose(one) },
      picture({ load: () => Promise.resolve("src" in one.preview ? one.preview.src : "") }, ""),
      element("span", { class: "name" }, {}, ...halves(one.name)),
    );
    const node = element("tr", {}, {}, element("th", { scope: "row" }, {}, open), ...cells);
    return { node, open, cells };
  }

  private sortBy(by: By): void {
    this.up = this.by === by ? !this.up : true;
    this.by = by;
    const order = [...this.asked].sort((a, b) => compared(a, b, by) * (this.up ? 1 : -1));
    at("rows").append(...order.flatMap((one) => this.rows.get(one.id)?.node ?? []));
    for (const head of document.querySelectorAll<HTMLButtonElement>("#list thead button")) {
      const sorted = head.dataset["by"] === by ? (this.up ? "ascending" : "descending") : "none";
      head.closest("th")?.setAttribute("aria-sort", sorted);
    }
  }
}

// Cameras' names differ at their ends, so what is left out lies before that.
const END = 8;

function halves(name: string): Node[] {
  const letters = [...name];
  const cut = Math.max(0, letters.length - END);
  return [letters.slice(0, cut), letters.slice(cut)].map((part) => element("span", {}, {}, part.join("")));
}

export function stateInWords(state: State): string {
  switch (state.kind) {
    case "waiting":
      return "waiting";
    case "sending":
      return `sending, ${Math.round(state.share * 100)} %`;
    case "looking":
      return "looking for it";
    case "busy":
      return `the service is busy; again in ${Math.round(state.seconds)} s`;
    case "located":
      return state.query.found === false ? "not in this database" : "found";
    case "failed":
      return state.reason;
    case "cancelled":
      return "cancelled";
  }
}

function stateNodes(one: Asked, acts: ListActs): Node[] {
  const words = element("span", { class: `state ${one.state.kind}` }, {}, stateInWords(one.state));
  const again = ["failed", "cancelled"].includes(one.state.kind);
  if (again)
    return [
      words,
      button("Again", () => acts.again(one), { class: "small", "aria-label": `Again: ${one.name}` }),
    ];
  if (one.state.kind === "located") return [words];
  return [
    words,
    button("×", () => acts.cancel(one), {
      class: "small",
      "aria-label": `Cancel ${one.name}`,
      title: "Cancel",
    }),
  ];
}

const ORDER = ["located", "looking", "sending", "busy", "waiting", "failed", "cancelled"];

function compared(a: Asked, b: Asked, by: By): number {
  if (by === "name") return a.name.localeCompare(b.name, "en", { numeric: true });
  const value = (one: Asked): number => {
    const query = one.state.kind === "located" ? one.state.query : null;
    if (by === "state") return ORDER.indexOf(one.state.kind) + (query?.found === false ? 0.5 : 0);
    // Unknown comes last.
    return query?.[by] ?? Number.MAX_VALUE;
  };
  return value(a) - value(b) || a.id - b.id;
}
