/**
 * Why a process cannot do what it was started for, as one sentence for whoever runs it: what is
 * wrong, and what to do about it. It is printed without a stack.
 */
export class CannotStart extends Error {
  override readonly name = 'CannotStart';
}
