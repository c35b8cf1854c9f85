// The service's answers, asked by relative addresses: it may stand below a prefix.

import type { Area } from "../core/geodesy";
import type { Picture } from "../core/model";
import { number } from "../core/words";
import type { Answer } from "./answers";

export interface Settings {
  readonly tiles: { readonly url: string; readonly attribution?: string } | null;
  readonly pmtiles: string | null;
  readonly needs_key: boolean;
  readonly max_photo_bytes: number | null;
  readonly max_photos: number | null;
  readonly version: string;
}

export interface Database {
  readonly name: string;
  readonly photos: number;
  readonly bbox: readonly [number, number, number, number] | null;
  readonly calibration: string | null;
}

export interface Options {
  readonly database: string;
  readonly near: Area | null;
  readonly sequence: boolean;
  readonly cautious: boolean;
}

export interface Watch {
  readonly signal: AbortSignal;
  // The share of the photos' bytes that has been sent.
  readonly sent: (share: number) => void;
  // The service is busy and is asked again in so many seconds.
  readonly waiting: (seconds: number) => void;
}

// What the service answers for a photo that failed while others did not.
export interface Failed {
  readonly query: string;
  readonly problem: Details;
}

interface Details {
  readonly title?: string;
  readonly status?: number;
  readonly detail?: string;
}

// An answer that is none, in the service's own words.
export class Problem extends Error {
  constructor(
    message: string,
    readonly status = 0,
    readonly retryAfter: number | null = null,
  ) {
    super(message);
  }

  static of(details: Details): Problem {
    return new Problem(details.detail ?? details.title ?? "the service gave no reason", details.status);
  }
}

const MOST_TRIES = 20;
const LONGEST_WAIT = 120;
const KEPT_PICTURES = 300;
const UNREACHED = "the service cannot be reached; see whether it still runs and try again";

export class Api {
  private key = sessionStorage.getItem("hafloc.key") ?? "";
  private readonly pictures = new Map<string, Promise<string>>();

  private refused: (problem: Problem) => void = () => undefined;

  // Called when the service asks for another key.
  onRefusal(act: (problem: Problem) => void): void {
    this.refused = act;
  }

  setKey(key: string): void {
    this.key = key;
    if (key) sessionStorage.setItem("hafloc.key", key);
    else sessionStorage.removeItem("hafloc.key");
    this.pictures.clear();
  }

  get hasKey(): boolean {
    return this.key !== "";
  }

  // An address that the service gave, or a path of its own. Other servers never get the key.
  url(path: string): string {
    const base = new URL(document.baseURI);
    if (/^https?:/.test(path) || path.startsWith(base.pathname + "v1/")) return new URL(path, base).href;
    return new URL(path.replace(/^\/+/, ""), base).href;
  }

  // Templates keep their braces, which URL() would encode.
  template(path: string): string {
    return this.url(path).replaceAll("%7B", "{").replaceAll("%7D", "}");
  }

  headers(url: string): Record<string, string> {
    const own = new URL(url).origin === location.origin;
    return own && this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }

  async json<T>(path: string): Promise<T> {
    return (await (await this.get(path)).json()) as T;
  }

  picture(path: string): Picture {
    return { load: this.source(path) };
  }

  // What makes an address of a picture, once it is wanted.
  source(path: string): () => Promise<string> {
    return () => this.load(path);
  }

  async locate(photos: readonly File[], options: Options, watch: Watch): Promise<(Answer | Failed)[]> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.send(photos, options, watch);
      } catch (error) {
        const busy = error instanceof Problem && [429, 503].includes(error.status);
        if (!busy || tries === MOST_TRIES) throw error;
        const seconds = Math.min(LONGEST_WAIT, Math.max(1, error.retryAfter ?? 2));
        watch.waiting(seconds);
        await pause(seconds * 1000, watch.signal);
      }
    }
  }

  private load(path: string): Promise<string> {
    const known = this.pictures.get(path);
    if (known) return known;
    const made = this.get(path).then(async (response) => URL.createObjectURL(await response.blob()));
    made.catch(() => this.pictures.delete(path));
    this.pictures.set(path, made);
    if (this.pictures.size > KEPT_PICTURES) {
      const [oldest, source] = this.pictures.entries().next().value as [string, Promise<string>];
      this.pictures.delete(oldest);
      void source.then((address) => URL.revokeObjectURL(address));
    }
    return made;
  }

  private async get(path: string): Promise<Response> {
    const url = this.url(path);
    let response: Response;
    try {
      response = await fetch(url, { headers: this.headers(url) });
    } catch {
      throw new Problem(UNREACHED);
    }
    if (response.ok) return response;
    throw this.told(problemOf(await response.text(), response.status, response.headers.get("Retry-After")));
  }

  // By XMLHttpRequest: fetch does not say how much has been sent.
  private send(photos: readonly File[], options: Options, watch: Watch): Promise<(Answer | Failed)[]> {
    const form = new FormData();
    for (const photo of photos) form.append("photo", photo, photo.name);
    const query = new URLSearchParams({ evidence: "true", pairs: "true" });
    if (options.database) query.set("database", options.database);
    if (options.near) {
      const { lat, lon, metres } = options.near;
      query.set("near", `${lat.toFixed(7)},${lon.toFixed(7)},${Math.ceil(metres)}`);
    }
    if (options.sequence) query.set("sequence", "true");
    if (options.cautious) query.set("cautious", "true");
    const url = this.url(`v1/locate?${query.toString()}`);
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const stop = (): void => request.abort();
      const failed = (error: Error): void => reject(error);
      request.open("POST", url);
      for (const [name, value] of Object.entries(this.headers(url))) request.setRequestHeader(name, value);
      request.upload.addEventListener("progress", (event) => {
        if (event.lengthComputable) watch.sent(event.loaded / event.total);
      });
      request.addEventListener("load", () => {
        if (request.status === 200) return resolve(answersIn(request.responseText));
        const again = request.getResponseHeader("Retry-After");
        failed(this.told(problemOf(request.responseText, request.status, again)));
      });
      request.addEventListener("error", () => failed(new Problem(UNREACHED)));
      request.addEventListener("timeout", () => failed(new Problem(UNREACHED)));
      request.addEventListener("abort", () => failed(new DOMException("cancelled", "AbortError")));
      request.addEventListener("loadend", () => watch.signal.removeEventListener("abort", stop));
      watch.signal.addEventListener("abort", stop);
      if (watch.signal.aborted) return failed(new DOMException("cancelled", "AbortError"));
      request.send(form);
    });
  }

  private told(problem: Problem): Problem {
    if (problem.status === 401 || problem.status === 403) this.refused(problem);
    return problem;
  }
}

const answersIn = (text: string): (Answer | Failed)[] =>
  (JSON.parse(text) as { answers: (Answer | Failed)[] }).answers;

function problemOf(text: string, status: number, again: string | null): Problem {
  let details: Details = {};
  try {
    details = JSON.parse(text) as Details;
  } catch {
    // A proxy in between answers in words of its own.
  }
  const words = details.detail ?? details.title ?? `the service answered with status ${number(status)}`;
  return new Problem(words, status, secondsOf(again));
}

// Retry-After is a number of seconds or a date.
function secondsOf(again: string | null): number | null {
  if (!again) return null;
  const seconds = Number(again);
  if (Number.isFinite(seconds)) return seconds;
  const until = (Date.parse(again) - Date.now()) / 1000;
  return Number.isFinite(until) ? Math.max(0, until) : null;
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(new DOMException("cancelled", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal.addEventListener("abort", stop, { once: true });
  });
}
