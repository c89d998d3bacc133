/** 长辈版: larger text and targets (MIIT 移动互联网应用适老化通用设计规范 1.1, 2.1); remembered on this machine. */

export type Density = "standard" | "elder";

const STORED_AS = "qianli.density";

class DensityChoice {
  current = $state<Density>(localStorage.getItem(STORED_AS) === "elder" ? "elder" : "standard");

  toggle(): void {
    this.current = this.current === "elder" ? "standard" : "elder";
    localStorage.setItem(STORED_AS, this.current);
  }
}

export const density = new DensityChoice();
