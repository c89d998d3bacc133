import { inputText, translate, wordText, type Key, type Language, type Parameters } from "./words";

const STORED_AS = "qianli.language";

/** Chinese first, whatever the browser says; the choice is remembered. */
function firstLanguage(): Language {
  return localStorage.getItem(STORED_AS) === "en" ? "en" : "zh";
}

class LanguageChoice {
  current = $state<Language>(firstLanguage());

  get tag(): string {
    return this.current === "zh" ? "zh-CN" : "en-GB";
  }

  toggle(): void {
    this.current = this.current === "zh" ? "en" : "zh";
    localStorage.setItem(STORED_AS, this.current);
  }
}

export const language = new LanguageChoice();

export const t = (key: Key, parameters?: Parameters): string => translate(language.current, key, parameters);

export const word = (family: string, name: string): string => wordText(language.current, family, name);

export const inputWord = (input: string): string => inputText(language.current, input);

/** Picks `title_zh` or `title_en` and falls back to the other when one is empty. */
export function pick(zhText: string, enText: string): string {
  return language.current === "zh" ? zhText || enText : enText || zhText;
}
