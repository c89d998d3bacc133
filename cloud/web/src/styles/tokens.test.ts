import { describe, expect, it } from "vitest";
import css from "./tokens.css?raw";

const SURFACES = ["--ground", "--card", "--raised"];
const TEXTS = [
  "--text --text-2 --faded --ecg --spo2 --resp --nibp --temperature --action".split(" "),
  SURFACES,
] as const;
const FILLS = ["action", "down", "band-low", "band-low-medium", "band-medium", "band-high"];

type Tokens = Record<string, string>;

function tokensOf(theme: string): Tokens {
  const body = new RegExp(`data-theme="${theme}"\\] \\{([^}]*)\\}`).exec(css)?.[1] ?? "";
  return Object.fromEntries([...body.matchAll(/(--[\w-]+): (#[0-9a-f]{6});/g)].map((m) => [m[1], m[2]]));
}

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((i) => {
    const channel = parseInt(hex.slice(i, i + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** WCAG 2.2, contrast ratio. */
function contrast(tokens: Tokens, one: string, other: string): number {
  const [a, b] = [luminance(tokens[one] ?? ""), luminance(tokens[other] ?? "")];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

describe.each(["dark", "light"])("the %s theme", (theme) => {
  const tokens = tokensOf(theme);

  it("has every token of the other theme", () => {
    expect(Object.keys(tokens).sort()).toEqual(Object.keys(tokensOf("dark")).sort());
    expect(Object.keys(tokens).length).toBeGreaterThan(20);
  });

  it.each(TEXTS[0])("%s is readable text on every surface", (text) => {
    for (const surface of TEXTS[1]) expect(contrast(tokens, text, surface)).toBeGreaterThanOrEqual(4.5);
  });

  it.each(FILLS)("text on the fill %s is readable", (fill) => {
    expect(contrast(tokens, `--on-${fill}`, `--${fill}`)).toBeGreaterThanOrEqual(4.5);
  });

  it.each(["--edge", "--hatch", "--focus", "--down"])("%s is visible against ground and card", (edge) => {
    for (const surface of ["--ground", "--card"]) {
      expect(contrast(tokens, edge, surface)).toBeGreaterThanOrEqual(3);
    }
  });
});
