import js from "@eslint/js";
import svelte from "eslint-plugin-svelte";
import globals from "globals";
import ts from "typescript-eslint";

export default ts.config(
  { ignores: ["node_modules"] },
  js.configs.recommended,
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  { languageOptions: { globals: globals.browser } },
  {
    files: ["**/*.svelte", "**/*.svelte.ts"],
    languageOptions: { parserOptions: { parser: ts.parser } },
  },
  // State is replaced, never mutated in place ($state.raw): plain Map, Set and URL are meant.
  { rules: { "svelte/prefer-svelte-reactivity": "off" } },
  { rules: { "max-lines": ["error", 300], complexity: ["error", 10] } },
);
