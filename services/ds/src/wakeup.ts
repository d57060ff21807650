/** Lets one sleeper sleep until somebody wakes it; a call before it sleeps is not lost. */
export class Wakeup {
  #isCalled = false;
  #resolve: (() => void) | undefined;

  wake(): void {
    this.#isCalled = true;
    this.#resolve?.();
  }

  async wait(): Promise<void> {
    if (!this.#isCalled) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
    }
    this.#resolve = undefined;
    this.#isCalled = false;
  }
}
