import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte()],
  // Relative addresses: the page works under any prefix; hash routes need no server rule.
  base: "./",
  build: {
    outDir: "../static",
    emptyOutDir: true,
    // No data: addresses and no inline scripts, so that a strict Content-Security-Policy holds.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
  },
  // The colour tokens are read as text by their contrast test.
  // An answer of the server, recorded for a test.
  assetsInclude: ["**/*.msgpack"],
  test: { include: ["src/**/*.test.ts"], css: { include: /tokens\.css/ } },
});
