/** Lets one sleeper sleep until somebody wakes it; a call before it sleeps is not lost. */
export class Wakeup {
  #isCalled = false;
  #resolve: (() => void) | undefined;

  wake(): void {
    this.#isCalled = true;
    this.#resolve?.();
  }

  /** Whether somebody called; false where the time was up first. */
  async wait(timeoutMs?: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    if (!this.#isCalled) {
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
        if (timeoutMs !== undefined) timer = setTimeout(resolve, timeoutMs);
      });
    }
    clearTimeout(timer);
    const isCalled = this.#isCalled;
    this.#resolve = undefined;
    this.#isCalled = false;
    return isCalled;
  }
}
