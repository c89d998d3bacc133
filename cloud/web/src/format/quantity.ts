import type { Translate } from "../i18n/words";

/** UCUM codes as people write them. */
const UNITS: Record<string, string> = { "mm[Hg]": "mmHg", Cel: "°C", "1": "", "%": "%" };

export function unitText(ucum: string, t: Translate): string {
  if (ucum === "/min") return t("value.perMinute");
  return UNITS[ucum] ?? ucum.replace(/[{}]/g, "");
}

export function numberText(value: number, decimals: number | undefined): string {
  return value.toFixed(decimals ?? (Number.isInteger(value) ? 0 : 1));
}
