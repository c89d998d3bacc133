/** Where the live view is, and what a page says that was there before (docs/live-api.md). */

import type { Mark } from "./messages";

export const markOf = ({ journal, upto }: Mark): Mark => ({ journal, upto });

/** With `heard` the server sends the waves that came after it. */
export function liveUrl(page: string, heard: Mark | null): string {
  const url = new URL("api/live", page);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  if (heard) url.search = new URLSearchParams({ journal: heard.journal, after: `${heard.upto}` }).toString();
  return url.href;
}
