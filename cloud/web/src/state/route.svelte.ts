/** Hash routes: `#/login`, `#/wall`, `#/bed/<patient id>`. */

export type Route = { page: "login" } | { page: "wall" } | { page: "bed"; patient: string };

export function routeOf(hash: string): Route {
  const [page, id] = hash.replace(/^#\/?/, "").split("/");
  if (page === "bed" && id) return { page: "bed", patient: decodeURIComponent(id) };
  return page === "login" ? { page: "login" } : { page: "wall" };
}

export const bedHref = (patient: string): string => `#/bed/${encodeURIComponent(patient)}`;

class CurrentRoute {
  current = $state.raw<Route>(routeOf(location.hash));

  constructor() {
    addEventListener("hashchange", () => (this.current = routeOf(location.hash)));
  }

  go(hash: string): void {
    if (location.hash !== hash) location.hash = hash;
  }
}

export const route = new CurrentRoute();
