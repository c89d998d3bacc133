/** One dialog for the whole page: who signs or breaks the glass proves anew who they are. */

class StepUp {
  /** Whether the dialog is open. */
  asked = $state(false);
  private answer: ((proved: boolean) => void) | null = null;

  ask(): Promise<boolean> {
    this.answer?.(false);
    this.asked = true;
    return new Promise((resolve) => (this.answer = resolve));
  }

  close(proved: boolean): void {
    this.asked = false;
    this.answer?.(proved);
    this.answer = null;
  }
}

export const stepUp = new StepUp();
