/** Hash routes: `#/<page>` or `#/<page>/<id>`; every person, bed and device has an address that can be sent. */

const PAGES = [
  "login",
  "join",
  "password",
  "wall",
  "bed",
  "people",
  "register",
  "person",
  "unclaimed",
  "places",
  "staff",
  "duty",
  "devices",
  "pipeline",
  "reviews",
  "audit",
  "me",
  "account",
] as const;

export type Page = (typeof PAGES)[number];
export type Route = { page: Page; id: string };

/** What an address means; null when it names no page. */
export function routeOf(hash: string): Route | null {
  const [name, id = ""] = hash.replace(/^#\/?/, "").split("/");
  const page = PAGES.find((known) => known === name);
  return page ? { page, id: decodeURIComponent(id) } : null;
}

export const hrefOf = (page: Page, id = ""): string => `#/${page}${id && `/${encodeURIComponent(id)}`}`;

/** Pages for somebody who is not logged in. */
export const isAtTheDoor = (page: Page): boolean => ["login", "join", "password"].includes(page);

/** The whole address of a page, to be scanned by another machine. */
export const addressOf = (page: Page, id = ""): string => location.href.split("#")[0] + hrefOf(page, id);

class CurrentRoute {
  current = $state.raw<Route | null>(routeOf(location.hash));

  constructor() {
    addEventListener("hashchange", () => (this.current = routeOf(location.hash)));
  }

  /** The page that is shown, or "login" where the address names none yet. */
  get page(): Page {
    return this.current?.page ?? "login";
  }

  go(page: Page, id = ""): void {
    const hash = hrefOf(page, id);
    if (location.hash !== hash) location.hash = hash;
  }
}

export const route = new CurrentRoute();
