import { feed } from "../live/feed.svelte";

/** The server's clock; this machine's as long as the server has not told its own. */
export const serverNow = (): number => (Number.isFinite(feed.now) ? feed.now : Date.now());
