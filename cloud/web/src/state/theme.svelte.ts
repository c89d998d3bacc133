export type Theme = "dark" | "light";

const STORED_AS = "qianli.theme";

class ThemeChoice {
  private chosen = $state<Theme | null>(null);
  private system = $state<Theme>("dark");

  constructor() {
    const stored = localStorage.getItem(STORED_AS);
    if (stored === "dark" || stored === "light") this.chosen = stored;
    const prefersLight = matchMedia("(prefers-color-scheme: light)");
    this.system = prefersLight.matches ? "light" : "dark";
    prefersLight.addEventListener("change", (e) => (this.system = e.matches ? "light" : "dark"));
  }

  /** Wall and bed are dark unless someone chose otherwise; what is written and read follows the system. */
  on(page: string): Theme {
    return this.chosen ?? (page === "wall" || page === "bed" ? "dark" : this.system);
  }

  toggle(page: string): void {
    this.chosen = this.on(page) === "dark" ? "light" : "dark";
    localStorage.setItem(STORED_AS, this.chosen);
  }
}

export const theme = new ThemeChoice();
