/** Which pages a role finds in the rail; the first is where it begins. What it may see there the server decides. */

import type { Page } from "./route.svelte";

const ACCOUNT: Page[] = ["account"];
const CARE: Page[] = ["wall", "people", "unclaimed"];

const PAGES_BY_ROLE: Record<string, Page[]> = {
  clinician: [...CARE, ...ACCOUNT],
  nurse: [...CARE, ...ACCOUNT],
  administrator: ["places", "staff", "duty", "devices", "pipeline", ...ACCOUNT],
  auditor: ["audit", "reviews", ...ACCOUNT],
  resident: ["me", ...ACCOUNT],
};

export const pagesOf = (role: string): Page[] => PAGES_BY_ROLE[role] ?? ACCOUNT;

export const homeOf = (role: string): Page => pagesOf(role)[0] ?? "account";
