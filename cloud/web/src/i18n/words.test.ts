import { describe, expect, it } from "vitest";
import { TEXTS, inputText, translate, wordText, type Key } from "./words";

const keys = Object.keys(TEXTS) as Key[];
const parametersOf = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

/** The closed sets of `vitals.gap`, `vitals.observation` and `docs/live-api.md`. */
const WORDS: Record<string, string> = {
  cause: `sensor_off sensor_fault searching demo_mode battery out_of_range cable device_silent agent_off uplink_off
    broker_off database_off server_off unbound dropped_by_policy unknown`,
  flag: `failed below_resolution above_range below_range reserved no_contact searching movement cuff_loose
    irregular_pulse pulse_above_range pulse_below_range bad_position low_perfusion signal_weak demonstration
    testing intermediate stored clock_not_set unknown_user implausible sensor_fault`,
  quality: "good questionable invalid",
  storage: "unstored",
  risk: "low low-medium medium high",
  reason: "never expired silent invalid",
  loose: "unbound clock",
  origin: "scan bed trip household ward_file retro",
  end: "discharge end_of_trip hand_over replaced returned moved wrong_person reading_taken idle",
  relation: "self guardian family",
  grade: "notices numbers everything",
  category: "life_threat unconscious handover_gap public_health other",
  verdict: "justified not_justified",
  class: "general sensitive highly_sensitive",
  outcome: "allowed refused throttled",
  purpose: "care self review operation",
  basis: "system self family care duty encounter referral consultation trip consent break_glass",
  role: "anonymous clinician nurse administrator auditor resident client system",
  sex: "male female unknown",
  identifier: "resident_id passport health_card insurance hospital_record temporary",
  candidate: "same_identifier same_name_and_birth_date one_wrong_character",
  number: `empty too_long characters length shape check_character region birth_date born_in_future legacy_century
    date_in_future issuer_missing issuer_shape`,
  level: "village township county city province",
  location: "ward room bed hut vehicle home",
  position: "lead member",
  work: `physician specialist family_doctor village_doctor nurse technician ambulance_crew administrator auditor`,
  licence: "physician assistant_physician village_doctor nurse technician",
  signing: `no_role role_ended role_not_begun role_signs_nothing no_licence licence_not_yet_valid licence_expired
    licence_revoked`,
  scope: "read_patients edit_patients read_system manage_devices read_audit",
  weekday: "0 1 2 3 4 5 6",
  certificate: "none valid soon expired revoked",
};

describe("the dictionaries", () => {
  it.each(keys)("%s has a text and the same parameters in both", (key) => {
    const [zh, en] = TEXTS[key];
    expect(zh).not.toBe("");
    expect(en).not.toBe("");
    expect(parametersOf(en)).toEqual(parametersOf(zh));
  });

  it.each(Object.entries(WORDS))("know every word of the family %s in both languages", (family, words) => {
    for (const word of words.split(/\s+/)) {
      expect(wordText("zh", family, word)).toMatch(/[\u4e00-\u9fff]/);
      expect(wordText("en", family, word)).toMatch(/^[\x20-\x7e]+$/);
    }
  });

  it("English has no Chinese but the name of the language", () => {
    const chinese = keys.filter((key) => /[\u4e00-\u9fff]/.test(TEXTS[key][1]));
    expect(chinese).toEqual(["app.language", "register.unknown"]);
  });
});

describe("a text", () => {
  it("takes its parameters", () => {
    expect(translate("zh", "silence.line", { time: "14:03:22", cause: "蓝牙离开范围" })).toBe(
      "自 14:03:22 起无数据 · 原因: 蓝牙离开范围",
    );
  });

  it("shows a word that it does not know instead of hiding it", () => {
    expect(wordText("zh", "cause", "meteor")).toBe("meteor");
  });

  it("knows an input by its name in the score and in the vocabulary", () => {
    expect(["rr", "resp_rate"].map((name) => inputText("zh", name))).toEqual(["呼吸", "呼吸"]);
  });
});
